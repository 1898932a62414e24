/* SPDX-License-Identifier: Apache-2.0
 *
 * The length of an answer as a share of the longest allowed; a negative weight rewards short ones.
 */
#include "reward/reward.h"

static double score(const struct reward_input *input) {
    return input->max_new_tokens > 0 ? (double)input->tokens / (double)input->max_new_tokens : 0;
}

const struct reward_rule reward_length = {
    .name = "length",
    .text = "tokens of the answer / rollout.max_new_tokens",
    .score = score,
};
