/* SPDX-License-Identifier: Apache-2.0
 *
 * A soft punishment of long answers (DAPO, arXiv 2503.14476, eq. 13): nothing up to a length
 * L1, then falling as a line to −1 at a length L2, and −1 beyond. DAPO has L2 − L1 = 4096
 * before the longest.
 */
#include "reward/reward.h"

static double score(const struct reward_input *input) {
    const int64_t from = input->overlong_from, to = input->overlong_to, tokens = input->tokens;
    if (tokens <= from)
        return 0;
    return tokens >= to ? -1 : -(double)(tokens - from) / (double)(to - from);
}

const struct reward_rule reward_overlong = {
    .name = "overlong",
    .text = "0 up to reward.overlong_from tokens, falling to -1 at reward.overlong_to",
    .score = score,
};
