/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/token.h"

#include <string.h>

#include "answer/tree.h"
#include "answer/vocabulary.h"
#include "base/utf8.h"

static bool stands(struct span text, size_t i, const char *words) {
    const size_t length = strlen(words);
    return i <= text.length && length <= text.length - i &&
           memcmp(text.text + i, words, length) == 0;
}

/* --- numbers --- */

static size_t digits_end(struct span text, size_t i) {
    while (byte_is_digit(span_at(text, i)))
        i++;
    return i;
}

/* Bytes of what may stand before a group of three digits: a comma where commas group, and what
 * LaTeX writes for one: {,} and ,\! and \, with blanks behind. */
static size_t group_mark(struct span text, size_t i, enum token_commas commas) {
    size_t length = 0;
    if (stands(text, i, "{,}"))
        length = 3;
    else if (stands(text, i, ",\\!"))
        length = 3;
    else if (stands(text, i, "\\!,"))
        length = 3;
    else if (stands(text, i, "\\,"))
        length = 2;
    else if (span_at(text, i) == ',' && commas == TOKEN_COMMAS_GROUP)
        return 1;
    while (length > 0 && span_at(text, i + length) == ' ')
        length++;
    return length;
}

/* End of the digits before the point: plain, or in groups of three. */
static size_t whole_end(struct span text, size_t begin, enum token_commas commas) {
    size_t end = digits_end(text, begin);
    if (end - begin < 1 || end - begin > 3 || span_at(text, begin) == '0')
        return end;
    for (;;) {
        const size_t mark = group_mark(text, end, commas), next = end + mark;
        if (mark == 0 || digits_end(text, next) != next + 3)
            return end;
        end = next + 3;
    }
}

/* An exponent e±123 at *i; `e` alone is Euler's number. */
static int64_t read_exponent(struct span text, size_t *i) {
    if (span_at(text, *i) != 'e' && span_at(text, *i) != 'E')
        return 0;
    const size_t sign = *i + 1;
    const bool negative = span_at(text, sign) == '-';
    const size_t begin = sign + (negative || span_at(text, sign) == '+'),
                 end = digits_end(text, begin);
    int64_t value = 0;
    if (end == begin || end - begin > 9)
        return 0;
    for (size_t k = begin; k < end; k++)
        value = 10 * value + (text.text[k] - '0');
    *i = end;
    return negative ? -value : value;
}

static void read_number(struct span text, size_t begin, enum token_commas commas,
                        struct token *token) {
    const size_t point = whole_end(text, begin, commas);
    size_t end = point;
    if (span_at(text, point) == '.' && (point > begin || byte_is_digit(span_at(text, point + 1))))
        end = digits_end(text, point + 1);
    token->kind = TOKEN_NUMBER;
    token->end = end;
    const int64_t exponent = read_exponent(text, &token->end);
    token->point = token->end > point;
    token->number = decimal_of_digits(text, begin, point, end, exponent);
}

/* --- words and commands --- */

static size_t letters_end(struct span text, size_t i) {
    while (byte_is_letter(span_at(text, i)))
        i++;
    return i;
}

static size_t blanks_end(struct span text, size_t i) {
    while (span_at(text, i) == ' ' || span_at(text, i) == '\n' || span_at(text, i) == '\t')
        i++;
    return i;
}

/* The brace that closes the one at `open`, or the end of the text. */
static size_t closing_brace(struct span text, size_t open) {
    int depth = 0;
    for (size_t i = open; i < text.length; i++) {
        if (text.text[i] == '\\')
            i++;
        else if (text.text[i] == '{')
            depth++;
        else if (text.text[i] == '}' && --depth == 0)
            return i;
    }
    return text.length;
}

static void take_word(const struct word *word, struct token *token) {
    token->kind = (enum token_kind)word->kind;
    token->detail = word->detail;
    token->name = tree_name(TREE_NAME_START, (struct span){word->name, strlen(word->name)});
}

static void take_letter(struct span letter, struct token *token) {
    token->kind = TOKEN_LETTER;
    token->name = tree_name(TREE_NAME_START, letter);
    if (span_at(letter, 0) == 'e' || span_at(letter, 0) == 'i') {
        token->kind = TOKEN_CONSTANT;
        token->detail = span_at(letter, 0) == 'e' ? CONSTANT_E : CONSTANT_I;
    }
}

/* Letters that stand together. */
static void read_letters(struct span letters, struct token *token) {
    const struct word *word = vocabulary_word(letters);
    token->text = letters;
    if (word != NULL)
        take_word(word, token);
    else if (letters.length == 1)
        take_letter(letters, token);
    else
        token->kind = TOKEN_WORD;
}

/* The argument in braces of a command that ends at `i`: begin and end of its content, without
 * blanks at its begin. */
static bool argument(struct span text, size_t i, size_t *begin, size_t *end) {
    const size_t open = blanks_end(text, i);
    if (span_at(text, open) != '{')
        return false;
    *end = closing_brace(text, open);
    *begin = blanks_end(text, open + 1);
    return *begin < *end && *end < text.length;
}

/* \mathrm{cm}, \mathbf x, \operatorname{lcm}, \mathbb{R}: true when it was a token. */
static bool read_style(struct span text, size_t i, struct span command, struct token *token) {
    size_t begin, end;
    if (span_at(text, i) == '*')
        token->end = ++i;
    if (!argument(text, i, &begin, &end) || letters_end(text, begin) != end)
        return false;
    read_letters(span_part(text, begin, end), token);
    if (token->kind == TOKEN_WORD)
        token->kind = TOKEN_TEXT;
    if (command.length == 6 && memcmp(command.text, "mathbb", 6) == 0 && end - begin == 1 &&
        text.text[begin] == 'R')
        token->kind = TOKEN_REALS;
    token->end = end + 1;
    return true;
}

/* \text{…}: words, or mathematics that is only written upright. */
static bool read_text(struct span text, size_t i, struct token *token) {
    size_t begin, end;
    if (!argument(text, i, &begin, &end))
        return false;
    const struct span content = span_trim(span_part(text, begin, end));
    if (!byte_is_letter(span_at(content, 0)) && span_at(content, 0) != '(')
        return false;
    token->end = end + 1;
    token->text = content;
    const struct word *word = vocabulary_word(content);
    if (word != NULL)
        take_word(word, token);
    else
        token->kind = TOKEN_TEXT;
    return true;
}

/* \begin{pmatrix} and \end{pmatrix}; of an array its columns are passed over. */
static void read_environment(struct span text, size_t i, bool begins, struct token *token) {
    static const char *const names[] = {"pmatrix", "bmatrix",     "matrix", "vmatrix",
                                        "Bmatrix", "smallmatrix", "array"};
    size_t begin, end;
    token->kind = TOKEN_BAD;
    if (!argument(text, i, &begin, &end))
        return;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (end - begin == strlen(names[k]) && stands(text, begin, names[k]))
            token->kind = begins ? TOKEN_BEGIN_MATRIX : TOKEN_END_MATRIX;
    const bool array = stands(text, begin, "array");
    token->end = end + 1;
    if (begins && array && argument(text, token->end, &begin, &end))
        token->end = end + 1;
}

/* At a backslash. True when a token was read; else *token says where to go on. */
static bool read_command(struct span text, size_t begin, struct token *token) {
    size_t end = letters_end(text, begin + 1);
    end += end == begin + 1 && end < text.length;
    const struct span name = span_part(text, begin + 1, end);
    const struct word *word = name.length > 0 ? vocabulary_command(name) : NULL;
    token->end = end;
    token->kind = TOKEN_BAD;
    if (word == NULL)
        return true;
    switch (word->kind) {
    case WORD_SPACE:
        token->space |= name.text[0] != '!' && name.text[0] != 'l';
        if (span_at(text, end) == '.' && name.length >= 4) /* \left. */
            token->end++;
        return false;
    case WORD_STYLE:
        return read_style(text, end, name, token);
    case WORD_STYLE_TEXT:
        return read_text(text, end, token);
    case WORD_ENVIRONMENT:
    case WORD_ENVIRONMENT_END:
        read_environment(text, end, word->kind == WORD_ENVIRONMENT, token);
        return true;
    default:
        take_word(word, token);
        return true;
    }
}

/* --- single characters --- */

/* <=, >=, !=, **, and the like, of two characters. */
static bool read_pair(struct span text, size_t i, struct token *token) {
    static const struct {
        const char *text;
        enum token_kind kind;
        int detail;
    } pairs[] = {
        {"<=", TOKEN_RELATION, RELATION_LESS_EQUAL},
        {">=", TOKEN_RELATION, RELATION_GREATER_EQUAL},
        {"!=", TOKEN_RELATION, RELATION_UNEQUAL},
        {"==", TOKEN_RELATION, RELATION_EQUAL},
        {"**", TOKEN_CARET, 0},
    };
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++)
        if (stands(text, i, pairs[k].text)) {
            token->kind = pairs[k].kind;
            token->detail = pairs[k].detail;
            token->end = i + 2;
            return true;
        }
    return false;
}

static void read_ascii(char c, struct token *token) {
    static const struct {
        char c;
        enum token_kind kind;
        int detail;
    } characters[] = {
        {'+', TOKEN_PLUS, 0},
        {'-', TOKEN_MINUS, 0},
        {'*', TOKEN_TIMES, 0},
        {'/', TOKEN_DIVIDE, 0},
        {':', TOKEN_DIVIDE, 0},
        {'^', TOKEN_CARET, 0},
        {'_', TOKEN_UNDERSCORE, 0},
        {'!', TOKEN_FACTORIAL, 0},
        {'%', TOKEN_PERCENT, 0},
        {'\'', TOKEN_PRIME, 0},
        {'{', TOKEN_LEFT_BRACE, 0},
        {'}', TOKEN_RIGHT_BRACE, 0},
        {'(', TOKEN_OPEN, BRACKET_ROUND},
        {')', TOKEN_CLOSE, BRACKET_ROUND},
        {'[', TOKEN_OPEN, BRACKET_SQUARE},
        {']', TOKEN_CLOSE, BRACKET_SQUARE},
        {'|', TOKEN_BAR, 0},
        {',', TOKEN_COMMA, 0},
        {';', TOKEN_COMMA, 0},
        {'&', TOKEN_AMPERSAND, 0},
        {'=', TOKEN_RELATION, RELATION_EQUAL},
        {'<', TOKEN_RELATION, RELATION_LESS},
        {'>', TOKEN_RELATION, RELATION_GREATER},
    };
    for (size_t k = 0; k < sizeof characters / sizeof *characters; k++)
        if (characters[k].c == c) {
            token->kind = characters[k].kind;
            token->detail = characters[k].detail;
        }
}

/* A character that is not ASCII; false when it is none to be seen. */
static bool read_unicode(struct span text, size_t i, struct token *token) {
    int32_t character;
    token->end = i + utf8_step(text.text + i, text.length - i, &character);
    token->kind = TOKEN_BAD;
    if (character >= 0 && utf8_is_space(character)) {
        token->space = true;
        return false;
    }
    const struct word *word = vocabulary_character(character);
    if (word != NULL && word->kind == WORD_SPACE)
        return false;
    if (word != NULL)
        take_word(word, token);
    return true;
}

/* One token, or something that is none; false for that. */
static bool read_one(struct span text, size_t i, enum token_commas commas, struct token *token) {
    const char c = text.text[i];
    token->end = i + 1;
    token->detail = 0;
    token->text = span_part(text, i, i + 1);
    if (c == '$' || c == '~' || c == '\r' || c == '\n' || c == ' ' || c == '\t') {
        token->space |= c != '$';
        return false;
    }
    if (byte_is_digit(c) || (c == '.' && byte_is_digit(span_at(text, i + 1)))) {
        read_number(text, i, commas, token);
        return true;
    }
    if (c == '\\')
        return read_command(text, i, token);
    if ((unsigned char)c >= 0x80)
        return read_unicode(text, i, token);
    if (byte_is_letter(c)) {
        token->end = letters_end(text, i);
        read_letters(span_part(text, i, token->end), token);
        return true;
    }
    token->kind = TOKEN_BAD;
    if (!read_pair(text, i, token))
        read_ascii(c, token);
    return true;
}

struct token token_read(struct span text, size_t at, enum token_commas commas) {
    struct token token = {.kind = TOKEN_END, .end = at};
    for (size_t i = at; i < text.length; i = token.end)
        if (read_one(text, i, commas, &token)) {
            if (token.kind != TOKEN_TEXT && token.kind != TOKEN_WORD)
                token.text = span_part(text, i, token.end);
            return token;
        }
    token.kind = TOKEN_END;
    token.end = text.length;
    token.text = span_part(text, text.length, text.length);
    return token;
}

struct token token_read_digit(struct span text, size_t at) {
    struct token token = token_read(text, at, TOKEN_COMMAS_DIVIDE);
    const size_t begin = token.kind == TOKEN_NUMBER ? (size_t)(token.text.text - text.text) : 0;
    if (token.kind != TOKEN_NUMBER || text.text[begin] == '.')
        return token;
    token.text.length = 1;
    token.end = begin + 1;
    token.point = false;
    token.number = decimal_of_digits(text, begin, token.end, token.end, 0);
    return token;
}
