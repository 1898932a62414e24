/* SPDX-License-Identifier: Apache-2.0
 *
 * How far an answer keeps to <think> … </think> <answer> … </answer>: the levels of the gate
 * paper's eq. 10 (design, section 9).
 */
#include "reward/reward.h"

#include <string.h>

#include "answer/span.h"

/* The trimmed text is two blocks and nothing else. Since each tag stands once, their places alone
 * decide. */
static bool is_two_blocks(struct span text, const struct extract_tags *think,
                          const struct extract_tags *answer) {
    const char *const tags[] = {think->open, think->close, answer->open, answer->close};
    for (int i = 0; i < 4; i++)
        if (span_count(text, tags[i]) != 1)
            return false;
    const size_t end = span_find(text, think->close, 0) + strlen(think->close);
    const struct span rest = {text.text + end, text.length - end};
    return span_begins(text, think->open) && span_begins(span_trim_begin(rest), answer->open) &&
           span_ends(text, answer->close);
}

static double score(const struct reward_input *input) {
    const struct extract_tags *think = reward_think_tags(input),
                              *answer = reward_answer_tags(input);
    const struct span text = span_trim((struct span){input->text, input->length});
    if (is_two_blocks(text, think, answer))
        return 1;
    return 0.25 * span_begins(text, think->open) + 0.25 * span_ends(text, answer->close);
}

const struct reward_rule reward_format = {
    .name = "format",
    .text = "1, 0.5, 0.25 or 0: how far the text is one think block and one answer block",
    .score = score,
};
