/* SPDX-License-Identifier: Apache-2.0
 *
 * Recursive descent into a tree of nodes, walked once for each row. Nodes and depth are bounded, so
 * that no text exhausts the stack.
 */
#include "data/filter.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { NODES_MAX = 1000, DEPTH_MAX = 100 };

enum value_kind { VALUE_NUMBER, VALUE_TEXT, VALUE_TRUTH, VALUE_NULL, VALUE_OTHER };

struct value {
    enum value_kind kind;
    bool whole;      /* a number that is exact in `integer` */
    int64_t integer; /* also 0 or 1 of a truth */
    double real;
    const char *text; /* not terminated by its length when it holds zero bytes */
    size_t length;
};

enum comparison { EQUAL, UNEQUAL, AT_MOST, LESS, AT_LEAST, GREATER };

enum node_kind {
    NODE_OR,
    NODE_AND,
    NODE_NOT,
    NODE_COMPARE,
    NODE_HAS,
    NODE_FIELD,
    NODE_TOKENS,
    NODE_LITERAL
};

struct node {
    enum node_kind kind;
    enum comparison comparison;
    int left, right;    /* operands, by index */
    struct value value; /* of a literal; for a field and has(field) the name is the text */
};

struct filter {
    char *source; /* as given */
    char *copy;   /* texts and names, terminated, each where it stands in the source */
    struct node *nodes;
    int count, root;     /* root < 0: every row */
    const char **fields; /* names that nodes look at */
    size_t field_count;
};

struct parser {
    struct filter *filter;
    size_t at;
    int depth;
};

/* --- from text to nodes --- */

static enum status expected(const struct parser *parser, const char *what) {
    char quote[STATUS_QUOTE_MAX];
    return FAIL(STATUS_INPUT, "where = '%s': at position %zu %s",
                status_quote(quote, parser->filter->source, SIZE_MAX), parser->at + 1, what);
}

static const char *rest(struct parser *parser) {
    const char *text = parser->filter->source;
    while (text[parser->at] != '\0' && strchr(" \t\r\n", text[parser->at]) != NULL)
        parser->at++;
    return text + parser->at;
}

static bool accept(struct parser *parser, const char *word) {
    const size_t length = strlen(word);
    if (strncmp(rest(parser), word, length) != 0)
        return false;
    parser->at += length;
    return true;
}

static enum status add_node(struct parser *parser, struct node node, int *out) {
    struct filter *filter = parser->filter;
    if (filter->count == NODES_MAX)
        return expected(parser, "the filter has become too long");
    filter->nodes[filter->count] = node;
    *out = filter->count++;
    return STATUS_OK;
}

static enum status parse_text(struct parser *parser, int *out) {
    const char *source = parser->filter->source;
    char *copy = parser->filter->copy;
    const char quote = source[parser->at];
    const size_t begin = ++parser->at;
    size_t end = begin;
    for (; source[parser->at] != quote; parser->at++) {
        if (source[parser->at] == '\\' && source[parser->at + 1] != '\0' &&
            strchr("\"'\\", source[parser->at + 1]) != NULL)
            parser->at++;
        if (source[parser->at] == '\0')
            return expected(parser, "the text is not closed by its quote");
        copy[end++] = source[parser->at];
    }
    copy[end] = '\0';
    parser->at++;
    const struct value value = {.kind = VALUE_TEXT, .text = copy + begin, .length = end - begin};
    return add_node(parser, (struct node){.kind = NODE_LITERAL, .value = value}, out);
}

static enum status parse_number(struct parser *parser, int *out) {
    const char *begin = rest(parser);
    const size_t length = strspn(begin, "+-0123456789.eE");
    char text[64], *end;
    if (length >= sizeof text)
        return expected(parser, "the number is too long");
    memcpy(text, begin, length);
    text[length] = '\0';
    struct value value = {.kind = VALUE_NUMBER, .real = strtod(text, &end)};
    if (end != text + length || length == 0 || isalnum((unsigned char)begin[length]) ||
        !(value.real - value.real == 0.0))
        return expected(parser, "this is no number");
    value.whole = strpbrk(text, ".eE") == NULL && value.real > -9e18 && value.real < 9e18;
    value.integer = value.whole ? strtoll(text, NULL, 10) : 0;
    parser->at += length;
    return add_node(parser, (struct node){.kind = NODE_LITERAL, .value = value}, out);
}

static enum status parse_name(struct parser *parser, int *out) {
    const char *begin = rest(parser);
    size_t length = 0;
    while (isalnum((unsigned char)begin[length]) || begin[length] == '_')
        length++;
    char *name = parser->filter->copy + parser->at;
    memcpy(name, begin, length);
    name[length] = '\0';
    struct node node = {.kind = NODE_FIELD, .value = {.text = name, .length = length}};
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
        node.kind = NODE_LITERAL;
        node.value = (struct value){.kind = VALUE_TRUTH, .integer = name[0] == 't'};
    } else if (strcmp(name, "null") == 0) {
        node.kind = NODE_LITERAL;
        node.value = (struct value){.kind = VALUE_NULL};
    } else if (strcmp(name, "tokens") == 0) {
        node.kind = NODE_TOKENS;
    }
    parser->at += length;
    return add_node(parser, node, out);
}

static enum status parse_operand(struct parser *parser, int *out) {
    const unsigned char first = (unsigned char)*rest(parser);
    if (first == '"' || first == '\'')
        return parse_text(parser, out);
    if (isalpha(first) || first == '_')
        return parse_name(parser, out);
    if (isdigit(first) || (first != '\0' && strchr("+-.", first) != NULL))
        return parse_number(parser, out);
    return expected(parser, "a field, number or text is expected");
}

static bool parse_comparison(struct parser *parser, enum comparison *out) {
    /* the longer ones first */
    static const struct {
        const char *word;
        enum comparison comparison;
    } table[] = {{"==", EQUAL},    {"!=", UNEQUAL}, {"<=", AT_MOST},
                 {">=", AT_LEAST}, {"<", LESS},     {">", GREATER}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (accept(parser, table[i].word)) {
            *out = table[i].comparison;
            return true;
        }
    }
    return false;
}

static enum status parse_or(struct parser *parser, int *out);

static enum status parse_parenthesis(struct parser *parser, int *out) {
    TRY(parse_or(parser, out));
    return accept(parser, ")") ? STATUS_OK : expected(parser, "')' is expected");
}

/* Behind "has(". */
static enum status parse_has(struct parser *parser, int *out) {
    const unsigned char first = (unsigned char)*rest(parser);
    if (!isalpha(first) && first != '_')
        return expected(parser, "the name of a field is expected");
    TRY(parse_name(parser, out));
    struct node *node = parser->filter->nodes + *out;
    if (node->kind != NODE_FIELD)
        return expected(parser, "this word is no field");
    node->kind = NODE_HAS;
    return accept(parser, ")") ? STATUS_OK : expected(parser, "')' is expected");
}

static bool accept_has(struct parser *parser) {
    const size_t before = parser->at;
    if (accept(parser, "has") && accept(parser, "("))
        return true;
    parser->at = before;
    return false;
}

static enum status parse_term(struct parser *parser, int *out) {
    struct node node = {.kind = NODE_COMPARE};
    if (accept(parser, "("))
        return parse_parenthesis(parser, out);
    if (accept_has(parser))
        return parse_has(parser, out);
    TRY(parse_operand(parser, &node.left));
    *out = node.left;
    if (!parse_comparison(parser, &node.comparison))
        return STATUS_OK;
    TRY(parse_operand(parser, &node.right));
    return add_node(parser, node, out);
}

static enum status parse_not(struct parser *parser, int *out) {
    if (parser->depth == DEPTH_MAX)
        return expected(parser, "the filter is nested too deeply");
    parser->depth++;
    struct node node = {.kind = NODE_NOT};
    if (accept(parser, "!")) {
        TRY(parse_not(parser, &node.left));
        TRY(add_node(parser, node, out));
    } else {
        TRY(parse_term(parser, out));
    }
    parser->depth--;
    return STATUS_OK;
}

static enum status parse_and(struct parser *parser, int *out) {
    TRY(parse_not(parser, out));
    while (accept(parser, "&&")) {
        struct node node = {.kind = NODE_AND, .left = *out};
        TRY(parse_not(parser, &node.right));
        TRY(add_node(parser, node, out));
    }
    return STATUS_OK;
}

static enum status parse_or(struct parser *parser, int *out) {
    TRY(parse_and(parser, out));
    while (accept(parser, "||")) {
        struct node node = {.kind = NODE_OR, .left = *out};
        TRY(parse_and(parser, &node.right));
        TRY(add_node(parser, node, out));
    }
    return STATUS_OK;
}

static enum status parse(struct filter *filter) {
    struct parser parser = {.filter = filter};
    filter->root = -1;
    if (*rest(&parser) == '\0')
        return STATUS_OK;
    TRY(parse_or(&parser, &filter->root));
    if (*rest(&parser) != '\0')
        return expected(&parser, "'&&', '||', a comparison (as '==') or the end is expected");
    return STATUS_OK;
}

enum status filter_create(struct filter **out, const char *text) {
    struct filter *filter = NULL;
    const size_t bytes = strlen(text) + 1;
    *out = NULL;
    TRY(memory_new(&filter, 1, "filter"));
    enum status status = memory_new(&filter->source, bytes, "filter");
    TRY_ELSE(status, done, status);
    memcpy(filter->source, text, bytes);
    TRY_ELSE(status, done, memory_new(&filter->copy, bytes, "filter"));
    TRY_ELSE(status, done, memory_new(&filter->nodes, NODES_MAX, "filter"));
    TRY_ELSE(status, done, parse(filter));
    TRY_ELSE(status, done, memory_new(&filter->fields, filter->count + 1, "filter"));
    for (int i = 0; i < filter->count; i++)
        if (filter->nodes[i].kind == NODE_FIELD || filter->nodes[i].kind == NODE_HAS)
            filter->fields[filter->field_count++] = filter->nodes[i].value.text;
    *out = filter;
    return STATUS_OK;
done:
    filter_destroy(&filter);
    return status;
}

void filter_destroy(struct filter **filter) {
    if (*filter == NULL)
        return;
    memory_release(&(*filter)->source);
    memory_release(&(*filter)->copy);
    memory_release(&(*filter)->nodes);
    memory_release(&(*filter)->fields);
    memory_release(filter);
}

const char *const *filter_fields(const struct filter *filter, size_t *count) {
    *count = filter->field_count;
    return filter->fields;
}

/* --- from a row to yes or no --- */

struct place {
    const struct filter *filter;
    const struct filter_row *row;
};

static const char *kind_text(enum value_kind kind) {
    static const char *const texts[] = {"a number", "a text", "true or false", "null",
                                        "a list or an object"};
    return texts[kind];
}

static enum status field_value(const struct place *place, const char *name, struct value *out) {
    const json_t *field = json_object_get(place->row->object, name);
    if (field == NULL)
        return FAIL(STATUS_INPUT,
                    "%s:%ld: the row has no field \"%s\", which `where` asks for (has(%s) asks "
                    "whether it is there)",
                    place->row->path, place->row->line, name, name);
    if (json_is_integer(field))
        *out = (struct value){.kind = VALUE_NUMBER,
                              .whole = true,
                              .integer = json_integer_value(field),
                              .real = (double)json_integer_value(field)};
    else if (json_is_real(field))
        *out = (struct value){.kind = VALUE_NUMBER, .real = json_real_value(field)};
    else if (json_is_string(field))
        *out = (struct value){.kind = VALUE_TEXT,
                              .text = json_string_value(field),
                              .length = json_string_length(field)};
    else if (json_is_boolean(field))
        *out = (struct value){.kind = VALUE_TRUTH, .integer = json_is_true(field)};
    else
        *out = (struct value){.kind = json_is_null(field) ? VALUE_NULL : VALUE_OTHER};
    return STATUS_OK;
}

static enum status tokens_value(const struct place *place, struct value *out) {
    int64_t tokens;
    if (place->row->count_tokens == NULL)
        return FAIL(STATUS_INPUT, "%s: `where` asks for tokens, which cannot be counted here",
                    place->row->path);
    TRY(place->row->count_tokens(place->row->context, &tokens));
    *out = (struct value){
        .kind = VALUE_NUMBER, .whole = true, .integer = tokens, .real = (double)tokens};
    return STATUS_OK;
}

static enum status operand_value(const struct place *place, int index, struct value *out) {
    const struct node *node = place->filter->nodes + index;
    if (node->kind == NODE_FIELD)
        return field_value(place, node->value.text, out);
    if (node->kind == NODE_TOKENS)
        return tokens_value(place, out);
    *out = node->value;
    return STATUS_OK;
}

/* −1, 0, 1 as a is less than, equal to, greater than b. */
static int order_of(const struct value *a, const struct value *b) {
    if (a->kind == VALUE_TEXT) {
        const int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
        return order != 0 ? (order > 0) - (order < 0)
                          : (a->length > b->length) - (a->length < b->length);
    }
    if (a->kind == VALUE_TRUTH || (a->whole && b->whole))
        return (a->integer > b->integer) - (a->integer < b->integer);
    return (a->real > b->real) - (a->real < b->real);
}

static bool holds(enum comparison comparison, int order) {
    switch (comparison) {
    case EQUAL:
        return order == 0;
    case UNEQUAL:
        return order != 0;
    case AT_MOST:
        return order <= 0;
    case LESS:
        return order < 0;
    case AT_LEAST:
        return order >= 0;
    case GREATER:
        break;
    }
    return order > 0;
}

static enum status match_comparison(const struct place *place, const struct node *node,
                                    bool *taken) {
    struct value a, b;
    TRY(operand_value(place, node->left, &a));
    TRY(operand_value(place, node->right, &b));
    const bool whether = node->comparison == EQUAL || node->comparison == UNEQUAL;
    if (whether && (a.kind == VALUE_NULL || b.kind == VALUE_NULL)) {
        *taken = (a.kind == b.kind) == (node->comparison == EQUAL);
        return STATUS_OK;
    }
    if (a.kind != b.kind || a.kind == VALUE_NULL || a.kind == VALUE_OTHER)
        return FAIL(STATUS_INPUT, "%s:%ld: `where` compares %s with %s in this row",
                    place->row->path, place->row->line, kind_text(a.kind), kind_text(b.kind));
    if (a.kind == VALUE_TRUTH && !whether)
        return FAIL(STATUS_INPUT, "%s:%ld: `where` asks whether true or false is less or greater",
                    place->row->path, place->row->line);
    *taken = holds(node->comparison, order_of(&a, &b));
    return STATUS_OK;
}

static enum status match_truth(const struct place *place, int index, bool *taken) {
    struct value value;
    TRY(operand_value(place, index, &value));
    if (value.kind != VALUE_TRUTH)
        return FAIL(STATUS_INPUT, "%s:%ld: `where` needs true or false and finds %s in this row",
                    place->row->path, place->row->line, kind_text(value.kind));
    *taken = value.integer != 0;
    return STATUS_OK;
}

static enum status match(const struct place *place, int index, bool *taken) {
    const struct node *node = place->filter->nodes + index;
    switch (node->kind) {
    case NODE_OR:
        TRY(match(place, node->left, taken));
        return *taken ? STATUS_OK : match(place, node->right, taken);
    case NODE_AND:
        TRY(match(place, node->left, taken));
        return *taken ? match(place, node->right, taken) : STATUS_OK;
    case NODE_NOT:
        TRY(match(place, node->left, taken));
        *taken = !*taken;
        return STATUS_OK;
    case NODE_COMPARE:
        return match_comparison(place, node, taken);
    case NODE_HAS:
        *taken = json_object_get(place->row->object, node->value.text) != NULL;
        return STATUS_OK;
    case NODE_FIELD:
    case NODE_TOKENS:
    case NODE_LITERAL:
        break;
    }
    return match_truth(place, index, taken);
}

enum status filter_match(const struct filter *filter, const struct filter_row *row, bool *taken) {
    const struct place place = {.filter = filter, .row = row};
    *taken = true;
    return filter->root < 0 ? STATUS_OK : match(&place, filter->root, taken);
}
