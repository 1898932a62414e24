/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the last closed <answer> block holds the reference answer, as text or as a number.
 */
#include "answer/decimal.h"
#include "answer/extract.h"
#include "reward/reward.h"

static bool same_number(struct span a, struct span b) {
    struct decimal x, y;
    return decimal_read(a, &x) && decimal_read(b, &y) && decimal_equal(&x, &y);
}

static bool extract(const struct reward_input *input, struct span *out) {
    if (!extract_block((struct span){input->text, input->length}, reward_answer_tags(input), out))
        return false;
    *out = span_trim(*out);
    return true;
}

static double score(const struct reward_input *input) {
    struct span content;
    if (!extract(input, &content))
        return 0;
    const struct span reference =
        span_trim((struct span){input->reference, input->reference_length});
    return span_equal(content, reference) || same_number(content, reference);
}

const struct reward_rule reward_answer = {
    .name = "answer",
    .text = "1 when the last answer block equals the reference, as text or as a number",
    .score = score,
    .extract = extract,
};
