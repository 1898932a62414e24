/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the last closed <answer> block holds the reference answer, as text or as a number.
 */
#include "reward/decimal.h"
#include "reward/reward.h"
#include "reward/span.h"

#include <stdint.h>

#define OPEN  "<answer>"
#define CLOSE "</answer>"

/* Content of the block that closes last; a tag opened twice counts from the second. One walk over
 * the text. */
static bool last_block(struct span text, struct span *content) {
    bool found = false;
    size_t open = SIZE_MAX;
    for (size_t i = span_find(text, "<", 0); i != SIZE_MAX; i = span_find(text, "<", i + 1)) {
        const struct span rest = {text.text + i, text.length - i};
        if (span_begins(rest, OPEN)) {
            open = i + sizeof OPEN - 1;
        } else if (open != SIZE_MAX && span_begins(rest, CLOSE)) {
            *content = (struct span){text.text + open, i - open};
            found = true;
            open = SIZE_MAX;
        }
    }
    return found;
}

static bool same_number(struct span a, struct span b) {
    struct decimal x, y;
    return decimal_read(a, &x) && decimal_read(b, &y) && decimal_equal(&x, &y);
}

static double score(const struct reward_input *input) {
    struct span content;
    if (!last_block((struct span){input->text, input->length}, &content))
        return 0;
    content = span_trim(content);
    const struct span reference =
        span_trim((struct span){input->reference, input->reference_length});
    return span_equal(content, reference) || same_number(content, reference);
}

const struct reward_rule reward_answer = {
    .name = "answer",
    .text = "1 when the last answer block equals the reference, as text or as a number",
    .score = score,
};
