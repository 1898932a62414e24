/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums, products and powers.
 */
#include "answer/parse.h"

#include <string.h>

#include "answer/vocabulary.h"

/* --- products --- */

/* sec and min that no argument follows are seconds and minutes. */
static bool is_short_time(const struct parser *parser) {
    const struct token *token = &parser->token;
    if (token->kind != TOKEN_FUNCTION ||
        (token->detail != FUNCTION_SEC && token->detail != FUNCTION_MIN))
        return false;
    const enum token_kind next = token_read(parser->text, token->end, parser->commas).kind;
    return next == TOKEN_END || next == TOKEN_COMMA || next == TOKEN_RIGHT_BRACE;
}

/* Whether the token says what the number before it counts, rather than being a factor. */
static bool begins_unit(const struct parser *parser) {
    const struct token *token = &parser->token;
    if (token->kind == TOKEN_WORD)
        return vocabulary_is_unit(token->text) || (token->space && token->text.length >= 4);
    return token->kind == TOKEN_TEXT || is_short_time(parser);
}

/* ^2, ^{-1} behind a unit. */
static void skip_exponent(struct parser *parser) {
    parse_next(parser);
    const bool group = parser->token.kind == TOKEN_LEFT_BRACE;
    if (group)
        parse_next(parser);
    if (parser->token.kind == TOKEN_MINUS)
        parse_next(parser);
    parse_expect(parser, TOKEN_NUMBER);
    if (group)
        parse_expect(parser, TOKEN_RIGHT_BRACE);
}

static bool is_unit_word(const struct parser *parser) {
    const enum token_kind kind = parser->token.kind;
    return kind == TOKEN_WORD || kind == TOKEN_TEXT || kind == TOKEN_LETTER ||
           kind == TOKEN_CONSTANT || is_short_time(parser);
}

/* Words, their powers and quotients: cm^2, square feet, km/h. */
static int parse_unit(struct parser *parser, int product) {
    const int unit = tree_wrap(parser->tree, NODE_UNIT, 0, product);
    const size_t begin = (size_t)(parser->token.text.text - parser->text.text);
    bool more = true;
    while (more && !parser->failed) {
        const enum token_kind kind = parser->token.kind;
        more = is_unit_word(parser) || kind == TOKEN_RAISED || kind == TOKEN_DIVIDE ||
               kind == TOKEN_CARET;
        if (kind == TOKEN_CARET)
            skip_exponent(parser);
        else if (more)
            parse_next(parser);
    }
    if (parser->failed || unit == TREE_NONE)
        return parse_fail(parser);
    parser->tree->nodes[unit].text =
        (struct span){parser->text.text + begin, parser->consumed - begin};
    return unit;
}

static bool is_matrix(const struct parser *parser, int node) {
    return node != TREE_NONE && (parser->tree->nodes[node].kind == NODE_MATRIX ||
                                 parser->tree->nodes[node].kind == NODE_SCALED);
}

/* A number times a matrix. */
static int scale_matrix(struct parser *parser, int product, int matrix) {
    return tree_pair(parser->tree, NODE_SCALED, 0, product, matrix);
}

int parse_multiply(struct parser *parser, int product, int factor) {
    struct tree *tree = parser->tree;
    if (parser->failed || product == TREE_NONE || factor == TREE_NONE)
        return parse_fail(parser);
    if (is_matrix(parser, factor) && !is_matrix(parser, product))
        return scale_matrix(parser, product, factor);
    if (is_matrix(parser, product))
        return is_matrix(parser, factor) ? parse_fail(parser)
                                         : scale_matrix(parser, factor, product);
    if (tree->nodes[product].kind != NODE_PRODUCT)
        product = tree_wrap(tree, NODE_PRODUCT, 0, product);
    tree_append(tree, product, factor);
    return product;
}

/* A factor behind an operator, which may have a sign. */
static int parse_signed(struct parser *parser) {
    bool negative = false;
    for (; parser->token.kind == TOKEN_MINUS || parser->token.kind == TOKEN_PLUS;
         parse_next(parser))
        negative ^= parser->token.kind == TOKEN_MINUS;
    const int factor = parse_power(parser);
    return negative ? tree_wrap(parser->tree, NODE_NEGATE, 0, factor) : factor;
}

/* Whether a number here is a factor, as in 3! 4! or (x+1) 2, rather than digits that lost their
 * sign. */
static bool is_after_end(const struct parser *parser) {
    return parser->consumed > 0 && strchr("!)}", parser->text.text[parser->consumed - 1]) != NULL &&
           parser->text.text[parser->consumed - 1] != '\0';
}

static int parse_product(struct parser *parser) {
    int product = parse_power(parser);
    while (!parser->failed) {
        const enum token_kind kind = parser->token.kind;
        if (begins_unit(parser)) {
            product = parse_unit(parser, product);
        } else if (kind == TOKEN_TIMES || kind == TOKEN_DIVIDE) {
            parse_next(parser);
            int factor = parse_signed(parser);
            if (kind == TOKEN_DIVIDE)
                factor = tree_wrap(parser->tree, NODE_INVERT, 0, factor);
            product = parse_multiply(parser, product, factor);
        } else if (parse_begins_factor(parser) && (kind != TOKEN_NUMBER || is_after_end(parser))) {
            product = parse_multiply(parser, product, parse_power(parser));
        } else {
            break;
        }
    }
    return product;
}

/* --- sums --- */

static bool is_sign(enum token_kind kind) {
    return kind == TOKEN_PLUS || kind == TOKEN_MINUS || kind == TOKEN_PLUS_MINUS;
}

/* A product with the signs before it. */
static int parse_term(struct parser *parser) {
    bool negative = false;
    int both = 0;
    for (; !parser->failed && is_sign(parser->token.kind); parse_next(parser)) {
        negative ^= parser->token.kind == TOKEN_MINUS;
        if (parser->token.kind == TOKEN_PLUS_MINUS)
            both = parser->token.detail;
    }
    int term = parse_product(parser);
    if (negative)
        term = is_matrix(parser, term) ? scale_matrix(parser,
                                                      tree_wrap(parser->tree, NODE_NEGATE, 0,
                                                                tree_integer(parser->tree, "1")),
                                                      term)
                                       : tree_wrap(parser->tree, NODE_NEGATE, 0, term);
    return both != 0 ? tree_wrap(parser->tree, NODE_PLUS_MINUS, both, term) : term;
}

int parse_sum(struct parser *parser) {
    if (!parse_enter(parser))
        return TREE_NONE;
    int sum = parse_term(parser);
    if (!parser->failed && is_sign(parser->token.kind)) {
        sum = tree_wrap(parser->tree, NODE_SUM, 0, sum);
        while (!parser->failed && is_sign(parser->token.kind)) {
            tree_append(parser->tree, sum, parse_term(parser));
            parser->failed |= parser->tree->full;
        }
    }
    parse_leave(parser);
    return parser->failed ? TREE_NONE : sum;
}
