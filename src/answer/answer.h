/* SPDX-License-Identifier: Apache-2.0
 *
 * Grading of mathematical answers: what a text answers, and whether that means the same as a
 * reference. README beside this file says what is equal to what.
 *
 * Deterministic, without state, in time linear in the texts plus at most some milliseconds: an
 * answer of more than ANSWER_LONGEST bytes, one that nests too deeply or needs more than
 * ANSWER_BUDGET operations is compared as a text and as a decimal number alone.
 */
#ifndef ANSWER_ANSWER_H
#define ANSWER_ANSWER_H

#include <stdint.h>

#include "answer/extract.h"
#include "answer/span.h"
#include "base/status.h"

enum { ANSWER_LONGEST = 4096, ANSWER_BUDGET = 200000 };

/* name, word, what it means */
#define ANSWER_VERDICTS(X)                                                                         \
    X(RIGHT, "right", "it means the same as the reference")                                        \
    X(WRONG, "wrong", "it means something else, or nothing that is understood")                    \
    X(MISSING, "missing", "the text gives no answer")                                              \
    X(UNDECIDED, "undecided", "the budget was spent, or an answer is too long, before it was known")

enum answer_verdict {
#define X(name, word, text) ANSWER_##name,
    ANSWER_VERDICTS(X)
#undef X
};
const char *answer_verdict_word(enum answer_verdict verdict);

struct answer_rules {
    enum answer_place places[ANSWER_PLACE_COUNT]; /* (place_count) the first that is there counts */
    int place_count;
    struct extract_tags block; /* of ANSWER_BLOCK */
    /* Relative, of a decimal beside a number without finite ones: 1/3 and 0.333333 */
    double tolerance;
};

/* All places in their order; <answer>; 1e-5, so that six digits are enough. */
extern const struct answer_rules answer_rules_usual;

/* The usual rules with these places, by their words (none: all), and this tolerance;
 * STATUS_INPUT for an unknown word. */
enum status answer_rules_read(char *const *places, int64_t count, double tolerance,
                              struct answer_rules *out) MUST_USE;

struct answer_grade {
    enum answer_verdict verdict;
    enum answer_place place; /* where the answer stood, ANSWER_PLACE_COUNT when it is missing */
    struct span extracted;
};

/* Grades a text by a reference, which may be an answer or a text with one: a box or #### in it
 * counts. Of a sentence behind ANSWER_PHRASE the one number in it is extracted where the reference
 * is a number. */
struct answer_grade answer_grade(const struct answer_rules *rules, struct span text,
                                 struct span reference);

/* Whether an answer means the same as a reference, both without text around them. Never MISSING. */
enum answer_verdict answer_compare(double tolerance, struct span answer, struct span reference);

#endif
