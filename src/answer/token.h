/* SPDX-License-Identifier: Apache-2.0
 *
 * Written mathematics, LaTeX or plain text or a mixture, as a row of tokens. What only shapes the
 * look (\left, \,, $, colours of fonts) is no token. Reading one takes time linear in its bytes.
 */
#ifndef ANSWER_TOKEN_H
#define ANSWER_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/decimal.h"
#include "answer/span.h"

enum token_kind {
    TOKEN_END,
    TOKEN_BAD, /* what has no meaning here */
    TOKEN_NUMBER,
    TOKEN_LETTER,   /* a variable: `name` */
    TOKEN_VULGAR,   /* ½ and its like: detail, 16 × top + bottom */
    TOKEN_WORD,     /* two or more letters that are no function: a product, or a word */
    TOKEN_TEXT,     /* the content of \text{…} */
    TOKEN_FUNCTION, /* detail: enum function */
    TOKEN_CONSTANT, /* detail: enum constant */
    TOKEN_REALS,
    TOKEN_EMPTY, /* the empty set */
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_PLUS_MINUS, /* detail: 1 for ±, −1 for ∓ */
    TOKEN_TIMES,
    TOKEN_DIVIDE,
    TOKEN_CARET,
    TOKEN_RAISED, /* a raised digit: detail */
    TOKEN_UNDERSCORE,
    TOKEN_FACTORIAL,
    TOKEN_PERCENT,
    TOKEN_DEGREE,
    TOKEN_PRIME,
    TOKEN_LEFT_BRACE, /* { and } of LaTeX, which group and are not seen */
    TOKEN_RIGHT_BRACE,
    TOKEN_OPEN, /* detail: enum bracket */
    TOKEN_CLOSE,
    TOKEN_BAR, /* |, which may open or close */
    TOKEN_COMMA,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_RELATION, /* detail: enum relation */
    TOKEN_IN,
    TOKEN_UNION,
    TOKEN_INTERSECT,
    TOKEN_WITHOUT,
    TOKEN_FRACTION,
    TOKEN_BINOMIAL,
    TOKEN_ACCENT, /* \vec and the like over an argument */
    TOKEN_OVERLINE,
    TOKEN_BOX,
    TOKEN_BEGIN_MATRIX,
    TOKEN_END_MATRIX,
    TOKEN_AMPERSAND,
    TOKEN_NEW_ROW,
};

struct token {
    enum token_kind kind;
    bool space; /* white space stands before it */
    int detail;
    struct span text; /* its bytes; of TOKEN_TEXT what stands between the braces */
    size_t end;       /* where the next one begins */
    uint64_t name;
    /* TOKEN_NUMBER: written without a sign, with a point or an exponent or not */
    struct decimal number;
    bool point;
};

/* How numbers are read: 1,234 as one number, or as two with a comma between. Groups that LaTeX
 * holds together, 1{,}234 or 1,\!234, are one number always. */
enum token_commas { TOKEN_COMMAS_GROUP, TOKEN_COMMAS_DIVIDE };

/* The token at byte `at`. */
struct token token_read(struct span text, size_t at, enum token_commas commas);

/* The same, but a number is one digit, as an argument of \frac without braces. */
struct token token_read_digit(struct span text, size_t at);

#endif
