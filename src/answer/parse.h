/* SPDX-License-Identifier: Apache-2.0
 *
 * From a written answer to its tree. What is not understood whole is not understood: false, and the
 * answer is compared as a text.
 *
 *     answer     = element ((, | ; | and | or) element)*
 *     element    = [name "in"] set (relation set)*
 *     set        = sum ((∪ | ∩ | ∖) sum)*
 *     sum        = [+ | −] product ((+ | − | ±) product)*
 *     product    = power ((· | / | nothing) power)* [unit]
 *     power      = primary [^ script] [! | % | °]*
 *     primary    = number | letter | function | fraction | root | matrix | "(" answer ")" | …
 */
#ifndef ANSWER_PARSE_H
#define ANSWER_PARSE_H

#include <stdbool.h>

#include "answer/token.h"
#include "answer/tree.h"

/* Fills the tree and gives its root. The tree points into the text. */
bool parse_answer(struct span text, enum token_commas commas, struct tree *tree, int *root);

/* --- between the files of the parser --- */

struct parser {
    struct span text;
    enum token_commas commas;
    struct tree *tree;
    struct token token; /* the next one */
    size_t consumed;    /* where the last one ended */
    int depth;          /* of nesting */
    int bars;           /* | that wait for their second */
    int brackets;       /* so open; commas divide in them */
    bool failed;
};

/* Takes the token; parse_next_digit: the one behind it is read as an argument of \frac. */
void parse_next(struct parser *parser);
void parse_next_digit(struct parser *parser);

/* Gives up; TREE_NONE. */
int parse_fail(struct parser *parser);

/* The token, which must be of this kind, is taken. */
void parse_expect(struct parser *parser, enum token_kind kind);

/* Nesting: false, and failed, when there is too much. Each parse_enter has its parse_leave. */
bool parse_enter(struct parser *parser);
void parse_leave(struct parser *parser);

/* parse.c: a list up to a closing token; parse_sum.c: an expression; parse_primary.c. */
int parse_list(struct parser *parser);
int parse_sum(struct parser *parser);
int parse_power(struct parser *parser);
int parse_multiply(struct parser *parser, int product, int factor);
bool parse_begins_factor(const struct parser *parser);

#endif
