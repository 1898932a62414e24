/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether an answer means the same as the reference (answer/README).
 */
#include "reward/reward.h"

static struct answer_grade grade(const struct reward_input *input) {
    const struct answer_rules *rules = input->rules != NULL ? input->rules : &answer_rules_usual;
    return answer_grade(rules, (struct span){input->text, input->length},
                        (struct span){input->reference, input->reference_length});
}

static double score(const struct reward_input *input) {
    return grade(input).verdict == ANSWER_RIGHT;
}

static bool extract(const struct reward_input *input, struct span *out) {
    const struct answer_grade found = grade(input);
    *out = found.extracted;
    return found.verdict != ANSWER_MISSING;
}

const struct reward_rule reward_math = {
    .name = "math",
    .text = "1 when the answer that the text gives means the same as the reference",
    .score = score,
    .extract = extract,
};
