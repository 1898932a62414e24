/* SPDX-License-Identifier: Apache-2.0
 *
 * The words that answers are made of: commands of LaTeX, names of functions, characters of Unicode,
 * units.
 */
#ifndef ANSWER_VOCABULARY_H
#define ANSWER_VOCABULARY_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/span.h"
#include "answer/token.h"

/* What a word stands for. Styles and spaces are no tokens; the reader handles them. */
enum {
    WORD_SPACE = 1000, /* leave it out: \left, \quad */
    WORD_STYLE,        /* leave it out, and see what its argument is: \mathrm, \operatorname */
    WORD_STYLE_TEXT,   /* an argument of words: \text, \mbox */
    WORD_ENVIRONMENT,  /* \begin */
    WORD_ENVIRONMENT_END,
};

struct word {
    const char *name;
    int kind; /* enum token_kind, or one of the above */
    int detail;
};

/* A command behind its backslash, and a word without one; NULL when it is not known. */
const struct word *vocabulary_command(struct span name);
const struct word *vocabulary_word(struct span name);

/* What a character of Unicode stands for, as a command or word; NULL when it is not known. */
const struct word *vocabulary_character(int32_t character);

/* A unit, or a thing that is counted: its kind, so that only like ones are compared, and how many of
 * the smallest of the kind it is; unknown ones have kind 0. */
struct unit {
    int kind;
    double size;
};
struct unit vocabulary_unit(struct span word);

/* Whether a word behind a number is one that only says what is counted. */
bool vocabulary_is_unit(struct span word);

#endif
