/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/answer.h"
#include "fuzz/fuzz.h"

/* A text and, behind the last line end, its reference: graded as such, compared both ways and with
 * itself. A text is equal to itself; the same texts have the same verdict. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *bytes = (const char *)data;
    size_t cut = size;
    while (cut > 0 && bytes[cut - 1] != '\n')
        cut--;
    const struct span text = {bytes, cut > 0 ? cut - 1 : 0}, reference = {bytes + cut, size - cut};
    const struct answer_grade first = answer_grade(&answer_rules_usual, text, reference),
                              again = answer_grade(&answer_rules_usual, text, reference);
    if (first.verdict != again.verdict || first.place != again.place)
        abort();
    if (first.extracted.length > 0 &&
        (first.extracted.text < text.text ||
         first.extracted.text + first.extracted.length > text.text + text.length))
        abort();
    const enum answer_verdict same = answer_compare(1e-5, reference, reference);
    if (same != ANSWER_RIGHT && span_trim(reference).length > 0 &&
        answer_compare(1e-5, (struct span){"x", 1}, reference) == ANSWER_RIGHT)
        abort();
    answer_compare(1e-5, text, reference);
    answer_compare(1e-5, reference, text);
    return fuzz_end(STATUS_OK, 0);
}
