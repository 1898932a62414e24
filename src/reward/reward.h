/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewards: the text of an answer and the prompt's reference in, a number out. Rules work within a
 * budget of operations, so that no answer can stall a run; one that exceeds it gets 0. To add one:
 * write reward_NAME.c, add a line to reward.c.
 */
#ifndef REWARD_REWARD_H
#define REWARD_REWARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct reward_input {
    const char *text; /* UTF-8, without special tokens; may hold zero bytes */
    size_t length;
    const char *reference; /* the prompt's reference answer */
    size_t reference_length;
    int64_t tokens;         /* of the answer, the stop id included */
    int64_t max_new_tokens; /* of the run */
};

struct reward_rule {
    const char *name, *text;
    double (*score)(const struct reward_input *input);
};

/* format: the four levels of the gate paper's eq. 10: 1 for one think block and one answer block
 * and nothing else but white space around and between; 0.5 when the text ends with </answer>; 0.25
 * when it begins with <think>; else 0. answer: 1 when the last closed <answer> block equals the
 * reference, exactly after trimming or as numbers; else 0. length: tokens / max_new_tokens. */
const struct reward_rule *const *reward_list(int *count);
const struct reward_rule *reward_find(const char *name);

#endif
