/* SPDX-License-Identifier: Apache-2.0
 *
 * What sums and products are made of.
 */
#include "answer/parse.h"

#include "answer/plain.h"
#include "answer/vocabulary.h"

static struct node *node_of(struct parser *parser, int node) {
    return node == TREE_NONE ? NULL : &parser->tree->nodes[node];
}

static bool is_integer(struct parser *parser, int node) {
    const struct node *found = node_of(parser, node);
    return found != NULL && found->kind == NODE_NUMBER && !found->point;
}

/* --- numbers --- */

static int number_node(struct parser *parser, const struct token *token) {
    const int node = tree_add(parser->tree, NODE_NUMBER, 0);
    if (node == TREE_NONE)
        return parse_fail(parser);
    parser->tree->nodes[node].number = token->number;
    parser->tree->nodes[node].point = token->point;
    return node;
}

/* 0.1\overline{36}: the digits under the line, so far behind the point, by 1 − 10^−(their number). */
static int parse_repeating(struct parser *parser, const struct token *number) {
    static const char nines[] = "999999999999999999";
    struct tree *tree = parser->tree;
    const struct span text = number->text;
    size_t point = 0;
    while (point < text.length && text.text[point] != '.')
        point++;
    parse_next(parser); /* the line */
    parse_expect(parser, TOKEN_LEFT_BRACE);
    const struct token digits = parser->token;
    const size_t count = digits.text.length;
    if (parser->failed || digits.kind != TOKEN_NUMBER || digits.point || count >= sizeof nines)
        return parse_fail(parser);
    parse_next(parser);
    parse_expect(parser, TOKEN_RIGHT_BRACE);
    const int64_t shift = (int64_t)(text.length - point - 1);
    const int begin = number_node(parser, number), sum = tree_wrap(tree, NODE_SUM, 0, begin);
    const int repeat = number_node(parser, &digits), all = tree_add(tree, NODE_NUMBER, 0);
    if (parser->failed || tree->full)
        return parse_fail(parser);
    tree->nodes[begin].point = false; /* it is exact */
    tree->nodes[repeat].number.exponent -= shift + (int64_t)count;
    tree->nodes[all].number = (struct decimal){.digits = {nines, count}};
    tree_append(tree, sum,
                tree_pair(tree, NODE_PRODUCT, 0, repeat, tree_wrap(tree, NODE_INVERT, 0, all)));
    return sum;
}

/* 11010_2. */
static int parse_based(struct parser *parser, int number) {
    int base = 0;
    parse_next(parser);
    const bool braces = parser->token.kind == TOKEN_LEFT_BRACE;
    if (braces)
        parse_next(parser);
    const struct token *token = &parser->token;
    for (size_t i = 0; token->kind == TOKEN_NUMBER && i < token->text.length && i < 2; i++)
        base = 10 * base + (token->text.text[i] - '0');
    if (token->kind != TOKEN_NUMBER || token->point || base < 2 || base > 36)
        return parse_fail(parser);
    parse_next(parser);
    if (braces)
        parse_expect(parser, TOKEN_RIGHT_BRACE);
    struct node *node = node_of(parser, number);
    node->kind = NODE_BASED;
    node->detail = base;
    return number;
}

static int parse_fraction(struct parser *parser, bool binomial);

/* ½. */
static int parse_vulgar(struct parser *parser) {
    static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    struct tree *tree = parser->tree;
    const int top = parser->token.detail / 16, under = parser->token.detail % 16;
    parse_next(parser);
    return tree_pair(tree, NODE_PRODUCT, 0, tree_integer(tree, digits[top]),
                     tree_wrap(tree, NODE_INVERT, 0, tree_integer(tree, digits[under])));
}

/* 1 1/2, of which the 1 has been taken: the fraction, or TREE_NONE with nothing taken. */
static int parse_mixed_plain(struct parser *parser) {
    const struct parser before = *parser;
    const int count = parser->tree->count, top = number_node(parser, &parser->token);
    parse_next(parser);
    if (!parser->failed && parser->token.kind == TOKEN_DIVIDE && !parser->token.space) {
        parse_next(parser);
        if (parser->token.kind == TOKEN_NUMBER && !parser->token.point) {
            const int bottom = number_node(parser, &parser->token);
            parse_next(parser);
            return tree_pair(parser->tree, NODE_PRODUCT, 0, top,
                             tree_wrap(parser->tree, NODE_INVERT, 0, bottom));
        }
    }
    *parser = before;
    parser->tree->count = count;
    return TREE_NONE;
}

/* Whether the fraction is one of two integers, as that of a mixed number is. */
static bool is_plain_fraction(struct parser *parser, int fraction) {
    if (fraction == TREE_NONE)
        return false;
    const int top = tree_first(parser->tree, fraction), under = tree_second(parser->tree, fraction);
    return is_integer(parser, top) && under != TREE_NONE &&
           is_integer(parser, tree_first(parser->tree, under));
}

static int parse_number(struct parser *parser) {
    const struct token token = parser->token;
    struct tree *tree = parser->tree;
    parse_next(parser);
    if (token.point && parser->token.kind == TOKEN_OVERLINE)
        return parse_repeating(parser, &token);
    const int number = number_node(parser, &token);
    if (parser->token.kind == TOKEN_UNDERSCORE)
        return parse_based(parser, number);
    int fraction = TREE_NONE;
    if (!token.point && parser->token.kind == TOKEN_FRACTION)
        fraction = parse_fraction(parser, false);
    else if (!token.point && parser->token.kind == TOKEN_VULGAR)
        fraction = parse_vulgar(parser);
    else if (!token.point && parser->token.kind == TOKEN_NUMBER && !parser->token.point &&
             parser->token.space)
        fraction = parse_mixed_plain(parser);
    if (parser->failed || fraction == TREE_NONE)
        return number;
    return tree_pair(tree, is_plain_fraction(parser, fraction) ? NODE_SUM : NODE_PRODUCT, 0, number,
                     fraction);
}

/* --- arguments --- */

/* { answer }: the braces are not seen, but what they hold may be a list. */
static int parse_group(struct parser *parser) {
    if (!parse_enter(parser))
        return TREE_NONE;
    parser->brackets++;
    parse_next(parser);
    const int content = parse_list(parser);
    parser->brackets--;
    parse_expect(parser, TOKEN_RIGHT_BRACE);
    parse_leave(parser);
    struct node *node = node_of(parser, content);
    if (!parser->failed && node->kind == NODE_LIST && node->detail <= BRACKET_ALL)
        node->detail = BRACKET_BRACE | BRACKET_BRACE << 4;
    return content;
}

/* What stands at ^ or _ or is the argument of a root: a group, a bracket, or one sign; a number is
 * taken whole, as x^10 means it. */
static int parse_script(struct parser *parser) {
    int script;
    if (!parse_enter(parser))
        return TREE_NONE;
    if (parser->token.kind == TOKEN_MINUS) {
        parse_next(parser);
        script = tree_wrap(parser->tree, NODE_NEGATE, 0, parse_script(parser));
    } else if (parser->token.kind == TOKEN_LEFT_BRACE) {
        script = parse_group(parser);
    } else if (parser->token.kind == TOKEN_NUMBER) {
        script = number_node(parser, &parser->token);
        parse_next(parser);
    } else {
        script = parse_power(parser);
    }
    parse_leave(parser);
    return script;
}

/* One argument of \frac, which the token begins; it is taken but for its last token. */
static int parse_argument(struct parser *parser) {
    if (parser->token.kind == TOKEN_LEFT_BRACE) {
        if (!parse_enter(parser))
            return TREE_NONE;
        parser->brackets++;
        parse_next(parser);
        const int content = parse_sum(parser);
        parser->brackets--;
        parser->failed |= parser->token.kind != TOKEN_RIGHT_BRACE;
        parse_leave(parser);
        return content;
    }
    const struct token *token = &parser->token;
    int node;
    switch (token->kind) {
    case TOKEN_NUMBER:
        return number_node(parser, token);
    case TOKEN_CONSTANT:
        return tree_add(parser->tree, NODE_CONSTANT, token->detail);
    case TOKEN_LETTER:
        node = tree_add(parser->tree, NODE_SYMBOL, 0);
        if (node != TREE_NONE)
            parser->tree->nodes[node].name = token->name;
        return node;
    default:
        return parse_fail(parser);
    }
}

static int parse_fraction(struct parser *parser, bool binomial) {
    struct tree *tree = parser->tree;
    parse_next_digit(parser);
    const int top = parse_argument(parser);
    if (parser->failed)
        return TREE_NONE;
    parse_next_digit(parser);
    const int under = parse_argument(parser);
    if (parser->failed)
        return TREE_NONE;
    parse_next(parser);
    return binomial ? tree_pair(tree, NODE_FUNCTION, FUNCTION_BINOMIAL, top, under)
                    : tree_pair(tree, NODE_PRODUCT, 0, top, tree_wrap(tree, NODE_INVERT, 0, under));
}

/* --- functions --- */

/* \sqrt[3]{x}, √2, sqrt(2). */
static int parse_root(struct parser *parser) {
    int degree = TREE_NONE;
    parse_next(parser);
    if (parser->token.kind == TOKEN_OPEN && parser->token.detail == BRACKET_SQUARE) {
        parse_next(parser);
        degree = parse_sum(parser);
        parse_expect(parser, TOKEN_CLOSE);
    }
    const int root = tree_wrap(parser->tree, NODE_FUNCTION, FUNCTION_SQRT, parse_script(parser));
    if (degree != TREE_NONE)
        tree_append(parser->tree, root, degree);
    return root;
}

/* What a function without brackets takes: \sin 2x, \cos 15^\circ, \ln 2. */
static int parse_function_argument(struct parser *parser) {
    if (!parse_enter(parser))
        return TREE_NONE;
    bool negative = false;
    for (; parser->token.kind == TOKEN_MINUS; parse_next(parser))
        negative ^= true;
    int argument = parse_power(parser);
    while (!parser->failed && parse_begins_factor(parser) && parser->token.kind != TOKEN_NUMBER &&
           parser->token.kind != TOKEN_FUNCTION && parser->token.kind != TOKEN_WORD &&
           parser->token.kind != TOKEN_TEXT)
        argument = parse_multiply(parser, argument, parse_power(parser));
    parse_leave(parser);
    return negative ? tree_wrap(parser->tree, NODE_NEGATE, 0, argument) : argument;
}

static bool takes_several(int function) {
    return function >= FUNCTION_MIN && function <= FUNCTION_LCM;
}

/* The children of a list in round brackets become those of the function. */
static int spread(struct parser *parser, int function, int argument) {
    struct tree *tree = parser->tree;
    const struct node *list = node_of(parser, argument);
    if (list == NULL || list->kind != NODE_LIST || !takes_several(tree->nodes[function].detail)) {
        tree_append(tree, function, argument);
        return function;
    }
    struct node *node = &tree->nodes[function];
    node->first = list->first;
    node->last = list->last;
    node->count = list->count;
    return function;
}

static int inverse_of(int function) {
    switch (function) {
    case FUNCTION_SIN:
        return FUNCTION_ARCSIN;
    case FUNCTION_COS:
        return FUNCTION_ARCCOS;
    case FUNCTION_TAN:
        return FUNCTION_ARCTAN;
    case FUNCTION_COT:
        return FUNCTION_ARCCOT;
    default:
        return TREE_NONE;
    }
}

static bool is_minus_one(struct parser *parser, int node) {
    const struct node *sign = node_of(parser, node);
    if (sign == NULL || sign->kind != NODE_NEGATE || !is_integer(parser, sign->first))
        return false;
    const struct decimal *number = &parser->tree->nodes[sign->first].number;
    return number->exponent == 1 && number->digits.length == 1 && number->digits.text[0] == '1';
}

/* \sin^2 x, \sin^{-1} x, \log_2 8, \max(1, 2). */
static int parse_function(struct parser *parser) {
    struct tree *tree = parser->tree;
    int id = parser->token.detail, base = TREE_NONE, exponent = TREE_NONE;
    if (id == FUNCTION_SQRT)
        return parse_root(parser);
    parse_next(parser);
    for (int i = 0; i < 2 && !parser->failed; i++) {
        if (parser->token.kind == TOKEN_UNDERSCORE && base == TREE_NONE) {
            parse_next(parser);
            base = parse_script(parser);
        } else if (parser->token.kind == TOKEN_CARET && exponent == TREE_NONE) {
            parse_next(parser);
            exponent = parse_script(parser);
        }
    }
    if (is_minus_one(parser, exponent) && inverse_of(id) != TREE_NONE) {
        id = inverse_of(id);
        exponent = TREE_NONE;
    }
    const bool bracket = parser->token.kind == TOKEN_OPEN || parser->token.kind == TOKEN_LEFT_BRACE;
    const int function = tree_add(tree, NODE_FUNCTION, id);
    const int argument = bracket ? parse_power(parser) : parse_function_argument(parser);
    if (parser->failed || function == TREE_NONE || argument == TREE_NONE)
        return parse_fail(parser);
    spread(parser, function, argument);
    if (base != TREE_NONE)
        tree_append(tree, function, base);
    return exponent == TREE_NONE ? function : tree_pair(tree, NODE_POWER, 0, function, exponent);
}

/* --- names --- */

/* The raw text of a script, which is part of a name: v_0, \lambda_{\text{red}}. */
static struct span take_raw_script(struct parser *parser) {
    const size_t begin = (size_t)(parser->token.text.text - parser->text.text);
    int depth = 0;
    if (parser->token.kind == TOKEN_END) {
        parser->failed = true;
        return (struct span){parser->text.text, 0};
    }
    do {
        depth += parser->token.kind == TOKEN_LEFT_BRACE;
        depth -= parser->token.kind == TOKEN_RIGHT_BRACE;
        parser->failed |= parser->token.kind == TOKEN_END;
        parse_next(parser);
    } while (depth > 0 && !parser->failed);
    return (struct span){parser->text.text + begin, parser->consumed - begin};
}

/* Subscripts and primes behind a letter. */
static uint64_t extend_name(struct parser *parser, uint64_t name) {
    while (!parser->failed) {
        if (parser->token.kind == TOKEN_PRIME) {
            name = tree_name(name, (struct span){"'", 1});
            parse_next(parser);
        } else if (parser->token.kind == TOKEN_UNDERSCORE) {
            parse_next(parser);
            name = plain_name(tree_name(name, (struct span){"_", 1}), take_raw_script(parser));
        } else {
            break;
        }
    }
    return name;
}

/* Whether a letter with a bracket behind it is a function of one thing, as f(x), P(n), I(0),
 * and not a product. The bracket may stand in braces. */
static bool is_application(const struct parser *parser, const struct token *letter) {
    static const char names[] = "fghFGHIKLNPQRSTUVW";
    const enum token_commas divide = TOKEN_COMMAS_DIVIDE;
    struct token open = parser->token;
    if (open.kind == TOKEN_LEFT_BRACE)
        open = token_read(parser->text, open.end, divide);
    if (open.kind != TOKEN_OPEN || open.detail != BRACKET_ROUND || parser->token.space)
        return false;
    bool known = false;
    for (size_t i = 0; names[i] != '\0'; i++)
        known |= letter->text.length == 1 && letter->text.text[0] == names[i];
    const struct token inner = token_read(parser->text, open.end, divide),
                       close = token_read(parser->text, inner.end, divide);
    return known && (inner.kind == TOKEN_LETTER || inner.kind == TOKEN_NUMBER) &&
           close.kind == TOKEN_CLOSE;
}

static int symbol_node(struct parser *parser, enum node_kind kind, uint64_t name) {
    const int node = tree_add(parser->tree, kind, 0);
    if (node == TREE_NONE)
        return parse_fail(parser);
    parser->tree->nodes[node].name = name;
    return node;
}

static int parse_letter(struct parser *parser) {
    const struct token letter = parser->token;
    parse_next(parser);
    const uint64_t name = extend_name(parser, letter.name);
    if (!is_application(parser, &letter))
        return symbol_node(parser, NODE_SYMBOL, name);
    const bool braces = parser->token.kind == TOKEN_LEFT_BRACE;
    if (braces)
        parse_next(parser);
    parse_next(parser);
    const int node = symbol_node(parser, NODE_APPLY, name);
    tree_append(parser->tree, node, parse_sum(parser));
    parse_expect(parser, TOKEN_CLOSE);
    if (braces)
        parse_expect(parser, TOKEN_RIGHT_BRACE);
    return node;
}

/* Letters that stand together: each is a factor. */
static int parse_letters(struct parser *parser) {
    struct tree *tree = parser->tree;
    const struct span letters = parser->token.text;
    const int product = tree_add(tree, NODE_PRODUCT, 0);
    parse_next(parser);
    for (size_t i = 0; i < letters.length && !parser->failed; i++) {
        const struct span letter = {letters.text + i, 1};
        uint64_t name = tree_name(TREE_NAME_START, letter);
        if (i + 1 == letters.length)
            name = extend_name(parser, name);
        if (*letter.text == 'e' || *letter.text == 'i')
            tree_append(
                tree, product,
                tree_add(tree, NODE_CONSTANT, *letter.text == 'e' ? CONSTANT_E : CONSTANT_I));
        else
            tree_append(tree, product, symbol_node(parser, NODE_SYMBOL, name));
        parser->failed |= tree->full;
    }
    return product;
}

/* Words up to the next separator. */
static int parse_words(struct parser *parser) {
    const int node = tree_add(parser->tree, NODE_TEXT, 0);
    const char *begin = parser->token.text.text;
    size_t end = 0;
    while (!parser->failed &&
           (parser->token.kind == TOKEN_WORD || parser->token.kind == TOKEN_TEXT ||
            parser->token.kind == TOKEN_LETTER)) {
        end = (size_t)(parser->token.text.text - begin) + parser->token.text.length;
        parse_next(parser);
    }
    if (node == TREE_NONE)
        return parse_fail(parser);
    parser->tree->nodes[node].text = (struct span){begin, end};
    return node;
}

/* \vec{v}, \dot x, \overline{AB}: a name of its own. */
static int parse_accent(struct parser *parser) {
    const uint64_t accent =
        tree_name(tree_name(TREE_NAME_START, (struct span){"accent", 6}), parser->token.text);
    parse_next_digit(parser);
    const struct span raw = take_raw_script(parser);
    return symbol_node(parser, NODE_SYMBOL, extend_name(parser, plain_name(accent, raw)));
}

/* --- brackets --- */

static int shaped(struct parser *parser, int content, int function) {
    return tree_wrap(parser->tree, NODE_FUNCTION, function, content);
}

static bool is_empty_bracket(const struct parser *parser, int open) {
    return parser->token.kind == TOKEN_CLOSE && parser->token.detail == open &&
           open == BRACKET_BRACE;
}

/* A bracket around one thing groups it, unless it is a set; around more it is a list. */
static int parse_bracket(struct parser *parser) {
    const int open = parser->token.detail;
    struct tree *tree = parser->tree;
    if (!parse_enter(parser))
        return TREE_NONE;
    parser->brackets++;
    parse_next(parser);
    const bool empty = is_empty_bracket(parser, open);
    const int content = empty ? tree_add(tree, NODE_LIST, 0) : parse_list(parser);
    const int close = parser->token.detail;
    parser->brackets--;
    parse_expect(parser, TOKEN_CLOSE);
    parse_leave(parser);
    struct node *node = node_of(parser, content);
    if (parser->failed || node == NULL)
        return parse_fail(parser);
    const bool list = node->kind == NODE_LIST && (node->detail >> 4) == BRACKET_NONE;
    if (list) {
        node->detail = open | close << 4;
        return content;
    }
    if (open == BRACKET_FLOOR || open == BRACKET_CEIL || open == BRACKET_BAR)
        return open == close ? shaped(parser, content,
                                      open == BRACKET_FLOOR  ? FUNCTION_FLOOR
                                      : open == BRACKET_CEIL ? FUNCTION_CEIL
                                                             : FUNCTION_ABS)
                             : parse_fail(parser);
    if (open == BRACKET_BRACE && close == open)
        return tree_wrap(tree, NODE_LIST, open | close << 4, content);
    return open == close ? content : parse_fail(parser);
}

static int parse_bars(struct parser *parser) {
    parser->bars++;
    parse_next(parser);
    const int content = parse_sum(parser);
    parse_expect(parser, TOKEN_BAR);
    parser->bars--;
    return shaped(parser, content, FUNCTION_ABS);
}

/* \begin{pmatrix} a & b \\ c & d \end{pmatrix}: rows of the same length. */
static int parse_matrix(struct parser *parser) {
    struct tree *tree = parser->tree;
    const int matrix = tree_add(tree, NODE_MATRIX, 0);
    int columns = 0, column = 0;
    if (!parse_enter(parser))
        return TREE_NONE;
    parser->brackets++;
    parse_next(parser);
    while (!parser->failed && parser->token.kind != TOKEN_END_MATRIX) {
        tree_append(tree, matrix, parse_sum(parser));
        column++;
        if (parser->token.kind == TOKEN_AMPERSAND) {
            parse_next(parser);
            continue;
        }
        columns = columns == 0 ? column : columns;
        parser->failed |= columns != column || tree->full;
        column = 0;
        if (parser->token.kind == TOKEN_NEW_ROW)
            parse_next(parser);
        else if (parser->token.kind != TOKEN_END_MATRIX)
            parser->failed = true;
    }
    parser->brackets--;
    parse_leave(parser);
    parse_expect(parser, TOKEN_END_MATRIX);
    if (parser->failed || columns == 0)
        return parse_fail(parser);
    tree->nodes[matrix].detail = columns;
    return matrix;
}

/* --- primaries and powers --- */

static bool is_word(const struct token *token) {
    return token->kind == TOKEN_TEXT ||
           (token->kind == TOKEN_WORD &&
            (token->text.length >= 4 || vocabulary_is_unit(token->text)));
}

static int parse_constant(struct parser *parser) {
    const struct token token = parser->token;
    parse_next(parser);
    if (parser->token.kind != TOKEN_UNDERSCORE)
        return tree_add(parser->tree, NODE_CONSTANT, token.detail);
    return symbol_node(parser, NODE_SYMBOL, extend_name(parser, token.name));
}

static int parse_primary(struct parser *parser) {
    switch (parser->token.kind) {
    case TOKEN_NUMBER:
        return parse_number(parser);
    case TOKEN_LETTER:
        return parse_letter(parser);
    case TOKEN_WORD:
    case TOKEN_TEXT:
        return is_word(&parser->token) ? parse_words(parser) : parse_letters(parser);
    case TOKEN_CONSTANT:
        return parse_constant(parser);
    case TOKEN_FUNCTION:
        return parse_function(parser);
    case TOKEN_REALS:
        parse_next(parser);
        return tree_add(parser->tree, NODE_REALS, 0);
    case TOKEN_EMPTY:
        parse_next(parser);
        return tree_add(parser->tree, NODE_LIST, BRACKET_BRACE | BRACKET_BRACE << 4);
    case TOKEN_LEFT_BRACE:
        return parse_group(parser);
    case TOKEN_OPEN:
        return parse_bracket(parser);
    case TOKEN_BAR:
        return parse_bars(parser);
    case TOKEN_FRACTION:
        return parse_fraction(parser, false);
    case TOKEN_BINOMIAL:
        return parse_fraction(parser, true);
    case TOKEN_VULGAR:
        return parse_vulgar(parser);
    case TOKEN_ACCENT:
    case TOKEN_OVERLINE:
        return parse_accent(parser);
    case TOKEN_BOX:
        parse_next(parser);
        return parse_group(parser);
    case TOKEN_BEGIN_MATRIX:
        return parse_matrix(parser);
    default:
        return parse_fail(parser);
    }
}

bool parse_begins_factor(const struct parser *parser) {
    switch (parser->token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_LETTER:
    case TOKEN_WORD:
    case TOKEN_CONSTANT:
    case TOKEN_FUNCTION:
    case TOKEN_LEFT_BRACE:
    case TOKEN_OPEN:
    case TOKEN_FRACTION:
    case TOKEN_BINOMIAL:
    case TOKEN_VULGAR:
    case TOKEN_ACCENT:
    case TOKEN_OVERLINE:
    case TOKEN_BEGIN_MATRIX:
        return true;
    case TOKEN_BAR:
        return parser->bars == 0;
    default:
        return false;
    }
}

/* ^ and its script; ^\circ is a degree. */
static int parse_exponent(struct parser *parser, int base) {
    parse_next(parser);
    const bool group = parser->token.kind == TOKEN_LEFT_BRACE;
    const struct token inner =
        group ? token_read(parser->text, parser->token.end, parser->commas) : parser->token;
    if (inner.kind == TOKEN_DEGREE) {
        if (group)
            parse_next(parser);
        parse_next(parser);
        if (group)
            parse_expect(parser, TOKEN_RIGHT_BRACE);
        return tree_wrap(parser->tree, NODE_DEGREE, 0, base);
    }
    struct node *node = node_of(parser, base);
    if (inner.kind == TOKEN_PRIME && node != NULL && node->kind == NODE_SYMBOL) {
        node->name = plain_name(node->name, take_raw_script(parser));
        return base;
    }
    return tree_pair(parser->tree, NODE_POWER, 0, base, parse_script(parser));
}

static int raise(struct parser *parser, int base) {
    static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    const int exponent = tree_integer(parser->tree, digits[parser->token.detail % 10]);
    parse_next(parser);
    return tree_pair(parser->tree, NODE_POWER, 0, base, exponent);
}

int parse_power(struct parser *parser) {
    struct tree *tree = parser->tree;
    if (!parse_enter(parser))
        return TREE_NONE;
    int power = parse_primary(parser), levels = 0;
    for (bool more = true; more && !parser->failed;) {
        parser->failed |= power == TREE_NONE || ++levels > TREE_DEPTH;
        const enum token_kind kind = parser->token.kind;
        if (kind == TOKEN_CARET) {
            power = parse_exponent(parser, power);
        } else if (kind == TOKEN_RAISED) {
            power = raise(parser, power);
        } else if (kind == TOKEN_FACTORIAL) {
            parse_next(parser);
            power = tree_wrap(tree, NODE_FUNCTION, FUNCTION_FACTORIAL, power);
        } else if (kind == TOKEN_PERCENT || kind == TOKEN_DEGREE) {
            parse_next(parser);
            power = tree_wrap(tree, kind == TOKEN_PERCENT ? NODE_PERCENT : NODE_DEGREE, 0, power);
        } else {
            more = false;
        }
    }
    parse_leave(parser);
    return parser->failed || tree->full ? parse_fail(parser) : power;
}
