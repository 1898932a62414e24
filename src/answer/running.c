/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/running.h"

#include <stdint.h>
#include <string.h>

#include "answer/vocabulary.h"
#include "base/utf8.h"

/* --- formulas --- */

/* Formulas between $ … $, \( … \) and \[ … \]: one pass, which keeps where one was opened. A $
 * before a blank opens none, and one behind a blank closes none, so that $5 is money. */
struct formulas {
    size_t dollar, bracket; /* where one was opened, behind its sign; SIZE_MAX: none */
    size_t begin, end;      /* of the last whole one; end 0: none */
};

static void see_dollar(struct span text, size_t i, struct formulas *formulas) {
    const bool twice = span_at(text, i + 1) == '$';
    const bool closes = formulas->dollar != SIZE_MAX && i > formulas->dollar &&
                        !byte_is_blank(text.text[i - 1]) && !byte_is_digit(span_at(text, i + 1));
    if (closes) {
        formulas->begin = formulas->dollar;
        formulas->end = i;
        formulas->dollar = SIZE_MAX;
    } else if (!byte_is_blank(span_at(text, i + 1 + twice))) {
        formulas->dollar = i + 1 + twice;
    }
}

static void see_bracket(struct span text, size_t i, struct formulas *formulas) {
    const char c = span_at(text, i + 1);
    if (c == '(' || c == '[') {
        formulas->bracket = i + 2;
    } else if ((c == ')' || c == ']') && formulas->bracket != SIZE_MAX) {
        formulas->begin = formulas->bracket;
        formulas->end = i;
        formulas->bracket = SIZE_MAX;
    }
}

static struct formulas find_formulas(struct span text) {
    struct formulas formulas = {.dollar = SIZE_MAX, .bracket = SIZE_MAX};
    for (size_t i = 0; i < text.length; i++) {
        const char c = text.text[i];
        if (c == '\\') {
            see_bracket(text, i, &formulas);
            i++;
        } else if (c == '$') {
            see_dollar(text, i, &formulas);
            i += span_at(text, i + 1) == '$';
        }
    }
    return formulas;
}

/* --- numbers, and what is computed with them --- */

/* What may stand in a number of running text, or in a fraction of two. */
static bool is_numeric(char c) {
    return byte_is_digit(c) || c == '.' || c == ',' || c == '/';
}

static size_t back_over_blanks(struct span text, size_t end) {
    while (end > 0 && (text.text[end - 1] == ' ' || text.text[end - 1] == '\t'))
        end--;
    return end;
}

static size_t over_blanks(struct span text, size_t i) {
    while (span_at(text, i) == ' ' || span_at(text, i) == '\t')
        i++;
    return i;
}

/* Where the number, or the fraction of two, begins whose last digit ends at `end`; a sign and the $
 * of money do not belong to it. `end` when no digit stands there. */
static size_t number_begin(struct span text, size_t end) {
    if (end == 0 || !byte_is_digit(text.text[end - 1]))
        return end;
    size_t begin = end;
    while (begin > 0 && is_numeric(text.text[begin - 1]))
        begin--;
    while (text.text[begin] == ',' || text.text[begin] == '/')
        begin++;
    return begin;
}

static const char *const operators[] = {"+",
                                        "-",
                                        "*",
                                        "/",
                                        "^",
                                        "\xc3\x97" /* × */,
                                        "\xc3\xb7" /* ÷ */,
                                        "\xc2\xb7" /* · */,
                                        "\xe2\x88\x92" /* − */,
                                        "\\times",
                                        "\\cdot",
                                        "\\div"};
enum { OPERATORS = sizeof operators / sizeof *operators };

/* Where the operator begins that ends at `end`, or the one ends that begins at `begin`; that place
 * itself when there is none. */
static size_t operator_begin(struct span text, size_t end) {
    for (int k = 0; k < OPERATORS; k++)
        if (span_ends(span_part(text, 0, end), operators[k]))
            return end - strlen(operators[k]);
    return end;
}

static size_t operator_end(struct span text, size_t begin) {
    for (int k = 0; k < OPERATORS; k++)
        if (span_begins(span_part(text, begin, text.length), operators[k]))
            return begin + strlen(operators[k]);
    return begin;
}

/* The ( of the ) that ends at `end`; SIZE_MAX when none does, or what is between is no arithmetic. */
static size_t bracket_begin(struct span text, size_t end) {
    int64_t depth = 0;
    for (size_t i = end; i-- > 0;) {
        const char c = text.text[i];
        if (!byte_is_digit(c) && (c == '\0' || strchr(".,+-*/^%$ ()", c) == NULL))
            return SIZE_MAX;
        depth += (c == ')') - (c == '(');
        if (depth == 0)
            return i;
    }
    return SIZE_MAX;
}

/* Where the operand before an operator begins, a number or a bracket; SIZE_MAX when none is there. */
static size_t operand_begin(struct span text, size_t end) {
    const size_t last = end - (end > 0 && text.text[end - 1] == '%');
    const bool bracket = last > 0 && text.text[last - 1] == ')';
    const size_t begin = bracket ? bracket_begin(text, last) : number_begin(text, last);
    if (begin == SIZE_MAX || begin == last)
        return SIZE_MAX;
    const char before = begin > 0 ? text.text[begin - 1] : ' ';
    return byte_is_letter(before) || byte_is_digit(before) ? SIZE_MAX : begin;
}

/* A * that only sets its text off: *2* 15. */
static bool is_emphasis(struct span text, size_t begin, size_t end) {
    return text.text[begin] == '*' &&
           (byte_is_blank(span_at(text, end)) != byte_is_blank(text.text[begin - 1]) ||
            text.text[begin - 1] == '*');
}

/* From a number, [*begin, *end), to the whole of what is computed with it on its line. */
static void extend(struct span text, size_t *begin, size_t *end) {
    for (size_t first = *begin, last = *end;;) {
        const size_t money = first - (first > 0 && text.text[first - 1] == '$');
        const size_t at = back_over_blanks(text, money);
        const size_t sign = operator_begin(text, at);
        const size_t close = over_blanks(text, last);
        if (sign < at && sign > 0 && !is_emphasis(text, sign, at)) {
            first = operand_begin(text, back_over_blanks(text, sign));
            if (first == SIZE_MAX)
                return;
            *begin = first;
            *end = last;
        } else if (money > 0 && text.text[money - 1] == '(' && span_at(text, close) == ')') {
            first = money - 1;
            last = close + 1;
        } else {
            return;
        }
    }
}

/* Whether all that follows an expression is an operator whose second operand is missing. */
static bool breaks_off(struct span text, size_t begin, size_t end, bool computed) {
    size_t at = end;
    while (span_at(text, at) == ' ' || span_at(text, at) == ')')
        at++;
    const bool apart = at > end, emphasis = begin > 0 && text.text[begin - 1] == '*';
    const size_t behind = operator_end(text, at);
    if (behind == at || !(computed || apart) || (emphasis && text.text[at] == '*'))
        return false;
    const struct span rest = span_trim(span_part(text, behind, text.length));
    return rest.length == 0 || (rest.length == 1 && rest.text[0] == '(');
}

/* The last number with what is computed with it: its begin is SIZE_MAX when there is none, and its
 * length 0 when the computation breaks off. */
static struct span last_expression(struct span text, size_t *begin) {
    size_t end = text.length;
    while (end > 0 && !byte_is_digit(text.text[end - 1]))
        end--;
    *begin = SIZE_MAX;
    if (end == 0)
        return span_part(text, 0, 0);
    const size_t number = number_begin(text, end);
    size_t first = number;
    end += span_at(text, end) == '%';
    extend(text, &first, &end);
    const bool sign = first > 0 && text.text[first - 1] == '-' &&
                      (first == 1 || !(byte_is_letter(text.text[first - 2]) ||
                                       byte_is_digit(text.text[first - 2])));
    *begin = first - sign;
    return breaks_off(text, number, end, first < number) ? span_part(text, first, first)
                                                         : span_part(text, first - sign, end);
}

/* "4 + 3 +" of $4 + 3 +$, but not x^+. */
static bool formula_breaks_off(struct span formula) {
    const struct span text = span_trim(formula);
    const size_t sign = operator_begin(text, text.length);
    return sign < text.length && (sign == 0 || strchr("^_*", text.text[sign - 1]) == NULL);
}

bool running_last(struct span text, struct span *out) {
    const struct formulas formulas = find_formulas(text);
    size_t begin;
    const struct span expression = last_expression(text, &begin);
    if (formulas.end > 0 && (begin == SIZE_MAX || begin < formulas.end)) {
        *out = span_part(text, formulas.begin, formulas.end);
        return !formula_breaks_off(*out);
    }
    *out = expression;
    return expression.length > 0;
}

/* --- sentences --- */

/* Words that make another number of the one beside them, or none. */
static const char *const changing[] = {
    "no",      "not",      "never",     "neither",  "nor",      "cannot",  "none",     "nothing",
    "or",      "zero",     "one",       "two",      "three",    "four",    "five",     "six",
    "seven",   "eight",    "nine",      "ten",      "eleven",   "twelve",  "thirteen", "fourteen",
    "fifteen", "sixteen",  "seventeen", "eighteen", "nineteen", "twenty",  "thirty",   "forty",
    "fifty",   "sixty",    "seventy",   "eighty",   "ninety",   "hundred", "thousand", "million",
    "billion", "trillion", "dozen",     "dozens",   "half",     "halves",  "third",    "thirds",
    "quarter", "quarters", "fourth",    "fourths",  "fifth",    "fifths",  "tenth",    "tenths",
    "once",    "twice",    "thrice",    "double",   "triple",   "squared", "cubed",    "root",
    "minus",   "plus",     "negative",  "between"};

/* Words that make a bound of the number behind them. */
static const char *const bounding[] = {"than",  "least", "most",   "over",   "under",
                                       "above", "below", "beyond", "exceeds"};

static bool is_among(struct span word, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < word.length && (word.text[k] | 0x20) == list[i][k] && list[i][k] != '\0')
            k++;
        if (k == word.length && list[i][k] == '\0')
            return true;
    }
    return false;
}

#define IS_AMONG(word, list) is_among((word), (list), sizeof(list) / sizeof *(list))

/* A number with its sign and a % behind it, no letter at either end; `at` when there is none. */
static size_t number_end(struct span text, size_t at) {
    const char before = at > 0 ? text.text[at - 1] : ' ';
    size_t end = at;
    if (span_at(text, end) == '-' && (byte_is_blank(before) || before == '$'))
        end++;
    if (!byte_is_digit(span_at(text, end + (span_at(text, end) == '.'))) || byte_is_letter(before))
        return at;
    while (is_numeric(span_at(text, end)))
        end++;
    while (!byte_is_digit(text.text[end - 1]))
        end--;
    return byte_is_letter(span_at(text, end)) ? at : end + (span_at(text, end) == '%');
}

/* Letters of any script, and ' among them; `at` when none stands there. */
static size_t word_end(struct span text, size_t at) {
    size_t end = at;
    while (end < text.length) {
        int32_t character;
        const size_t length = utf8_step(text.text + end, text.length - end, &character);
        const bool prose = character >= 0x80 && vocabulary_character(character) == NULL;
        if (!prose && !byte_is_letter(text.text[end]) && !(end > at && text.text[end] == '\''))
            break;
        end += length;
    }
    return end;
}

/* Whether a number beside the word is not what the sentence means: variables and choices are one
 * letter, and "isn't" is "not". */
static bool changes(struct span word) {
    const struct word *known = vocabulary_word(word);
    const bool mathematics = known != NULL && known->kind != TOKEN_AND &&
                             known->kind != TOKEN_PERCENT && known->kind != TOKEN_DEGREE;
    return mathematics || (word.length == 1 && word.text[0] != 'a') || span_ends(word, "n't") ||
           span_ends(word, "n\xe2\x80\x99t") || IS_AMONG(word, changing);
}

/* A number of the sentence, after the word: whether it is the only one so far, or the same again
 * behind an "and", and not a mere bound. */
static bool counts(struct span number, struct span word, const struct span *before, bool joined) {
    return !IS_AMONG(word, bounding) &&
           (before->length == 0 || (joined && span_equal(number, *before)));
}

bool running_number(struct span sentence, struct span *out) {
    struct span word = {sentence.text, 0}; /* the last one */
    bool joined = false;                   /* an "and" since the last number */
    *out = span_part(sentence, 0, 0);
    for (size_t i = 0, end; i < sentence.length; i = end) {
        end = number_end(sentence, i);
        if (end > i) {
            const struct span number = span_part(sentence, i, end);
            if (!counts(number, word, out, joined))
                return false;
            *out = number;
            joined = false;
            continue;
        }
        end = word_end(sentence, i);
        word = end > i ? span_part(sentence, i, end) : word;
        if (end > i && changes(word))
            return false;
        joined |= end > i && span_equal(word, (struct span){"and", 3});
        if (end == i && strchr(" \t,;:.'\"!?*$-", sentence.text[i]) == NULL)
            return false;
        end += end == i;
    }
    return out->length > 0;
}
