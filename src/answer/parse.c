/* SPDX-License-Identifier: Apache-2.0
 *
 * The outer levels: lists, relations, sets; and what all levels share.
 */
#include "answer/parse.h"

/* --- shared --- */

static void read_token(struct parser *parser) {
    const bool divide = parser->brackets > 0 || parser->commas == TOKEN_COMMAS_DIVIDE;
    parser->token = token_read(parser->text, parser->consumed,
                               divide ? TOKEN_COMMAS_DIVIDE : TOKEN_COMMAS_GROUP);
    parser->failed |= parser->token.kind == TOKEN_BAD;
}

void parse_next(struct parser *parser) {
    parser->consumed = parser->token.end;
    read_token(parser);
}

void parse_next_digit(struct parser *parser) {
    parser->consumed = parser->token.end;
    parser->token = token_read_digit(parser->text, parser->consumed);
    parser->failed |= parser->token.kind == TOKEN_BAD;
}

int parse_fail(struct parser *parser) {
    parser->failed = true;
    return TREE_NONE;
}

void parse_expect(struct parser *parser, enum token_kind kind) {
    if (parser->token.kind != kind)
        parser->failed = true;
    else
        parse_next(parser);
}

bool parse_enter(struct parser *parser) {
    parser->failed |= ++parser->depth > TREE_DEPTH;
    return !parser->failed;
}

void parse_leave(struct parser *parser) {
    parser->depth--;
}

/* --- sets, relations, lists --- */

static enum node_kind set_operation(enum token_kind kind) {
    switch (kind) {
    case TOKEN_UNION:
        return NODE_UNION;
    case TOKEN_INTERSECT:
        return NODE_INTERSECT;
    default:
        return NODE_DIFFERENCE;
    }
}

static bool is_set_operation(enum token_kind kind) {
    return kind == TOKEN_UNION || kind == TOKEN_INTERSECT || kind == TOKEN_WITHOUT;
}

static int parse_set(struct parser *parser) {
    int set = parse_sum(parser);
    while (!parser->failed && is_set_operation(parser->token.kind)) {
        const enum node_kind kind = set_operation(parser->token.kind);
        parse_next(parser);
        const int next = parse_sum(parser);
        if (!parser->failed && kind == NODE_UNION && parser->tree->nodes[set].kind == kind)
            tree_append(parser->tree, set, next);
        else
            set = tree_pair(parser->tree, kind, 0, set, next);
        parser->failed |= parser->tree->full;
    }
    return set;
}

/* a = b, a < b ≤ c; x ∈ A is A. */
static int parse_relation(struct parser *parser) {
    int first = parse_set(parser);
    if (!parser->failed && parser->token.kind == TOKEN_IN &&
        parser->tree->nodes[first].kind == NODE_SYMBOL) {
        parse_next(parser);
        first = parse_set(parser);
    }
    if (parser->failed || parser->token.kind != TOKEN_RELATION)
        return first;
    const int chain = tree_wrap(parser->tree, NODE_RELATION, 0, first);
    while (!parser->failed && parser->token.kind == TOKEN_RELATION) {
        const enum relation relation = (enum relation)parser->token.detail;
        parse_next(parser);
        const int next = parse_set(parser);
        tree_append(parser->tree, chain, next);
        parser->failed |= parser->tree->full;
        if (!parser->failed)
            parser->tree->nodes[next].relation = relation;
    }
    return chain;
}

static bool is_separator(enum token_kind kind) {
    return kind == TOKEN_COMMA || kind == TOKEN_AND || kind == TOKEN_OR;
}

/* One or more separators: "1, 2, and 3". True when one of them was "and". */
static bool take_separators(struct parser *parser) {
    bool all = false;
    for (; !parser->failed && is_separator(parser->token.kind); parse_next(parser))
        all |= parser->token.kind == TOKEN_AND;
    return all;
}

int parse_list(struct parser *parser) {
    const int first = parse_relation(parser);
    if (parser->failed || !is_separator(parser->token.kind))
        return first;
    const int list = tree_wrap(parser->tree, NODE_LIST, BRACKET_NONE, first);
    while (!parser->failed && is_separator(parser->token.kind)) {
        const bool all = take_separators(parser);
        const int next = parse_relation(parser);
        tree_append(parser->tree, list, next);
        parser->failed |= parser->tree->full;
        if (!parser->failed && all)
            parser->tree->nodes[list].detail = BRACKET_ALL;
    }
    return list;
}

bool parse_answer(struct span text, enum token_commas commas, struct tree *tree, int *root) {
    struct parser parser = {.text = text, .commas = commas, .tree = tree};
    tree->count = 0;
    tree->full = false;
    read_token(&parser);
    *root = parse_list(&parser);
    return !parser.failed && !tree->full && *root != TREE_NONE && parser.token.kind == TOKEN_END;
}
