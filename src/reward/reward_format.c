/* SPDX-License-Identifier: Apache-2.0
 *
 * How far an answer keeps to <think> … </think> <answer> … </answer>: the levels of the gate
 * paper's eq. 10 (design, section 9).
 */
#include "reward/reward.h"
#include "answer/span.h"

/* The trimmed text is two blocks and nothing else. Since each tag stands once, their places alone
 * decide. */
static bool is_two_blocks(struct span text) {
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    for (int i = 0; i < 4; i++)
        if (span_count(text, tags[i]) != 1)
            return false;
    const size_t end = span_find(text, "</think>", 0) + sizeof "</think>" - 1;
    const struct span rest = {text.text + end, text.length - end};
    return span_begins(text, "<think>") && span_begins(span_trim_begin(rest), "<answer>") &&
           span_ends(text, "</answer>");
}

static double score(const struct reward_input *input) {
    const struct span text = span_trim((struct span){input->text, input->length});
    if (is_two_blocks(text))
        return 1;
    return 0.25 * span_begins(text, "<think>") + 0.25 * span_ends(text, "</answer>");
}

const struct reward_rule reward_format = {
    .name = "format",
    .text = "1, 0.5, 0.25 or 0: how far the text is one think block and one answer block",
    .score = score,
};
