/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/decimal.h"

#define EXPONENT_LIMIT 1000000000000000

static char at(struct span text, size_t i) {
    return i < text.length ? text.text[i] : '\0';
}

static size_t digits_end(struct span text, size_t i) {
    while (byte_is_digit(at(text, i)))
        i++;
    return i;
}

/* End of the whole part: digits, or one to three digits and groups of a comma and three digits. */
static size_t whole_end(struct span text, size_t begin) {
    size_t end = digits_end(text, begin);
    if (end - begin < 1 || end - begin > 3)
        return end;
    while (at(text, end) == ',' && digits_end(text, end + 1) == end + 4)
        end += 4;
    return end;
}

static bool sign_read(struct span text, size_t *i) {
    const char c = at(text, *i);
    *i += c == '+' || c == '-';
    return c == '-';
}

/* [eE] sign? digits at *i, or nothing; false when there is something else. */
static bool exponent_read(struct span text, size_t *i, int64_t *value) {
    *value = 0;
    if (at(text, *i) != 'e' && at(text, *i) != 'E')
        return true;
    ++*i;
    const bool negative = sign_read(text, i);
    const size_t begin = *i;
    for (*i = begin; byte_is_digit(at(text, *i)); ++*i)
        if (*value <= EXPONENT_LIMIT)
            *value = 10 * *value + (at(text, *i) - '0');
    if (*i == begin || *value > EXPONENT_LIMIT)
        return false;
    *value = negative ? -*value : *value;
    return true;
}

/* Zeros around the digits are left out, and the point is put before the first digit that remains. */
struct decimal decimal_of_digits(struct span text, size_t begin, size_t point, size_t end,
                                 int64_t exponent) {
    size_t first = begin, last = end;
    while (first < last && (text.text[first] < '1' || text.text[first] > '9'))
        first++;
    while (last > first && (text.text[last - 1] < '1' || text.text[last - 1] > '9'))
        last--;
    for (size_t i = first; i < point; i++)
        exponent += byte_is_digit(text.text[i]);
    for (size_t i = point; i < first; i++)
        exponent -= byte_is_digit(text.text[i]);
    return (struct decimal){.digits = {text.text + first, last - first},
                            .exponent = last == first ? 0 : exponent};
}

bool decimal_read(struct span text, struct decimal *out) {
    size_t i = 0;
    const bool negative = sign_read(text, &i);
    int64_t exponent;
    const size_t begin = i, point = whole_end(text, begin);
    const bool has_point = at(text, point) == '.';
    const size_t end = has_point ? digits_end(text, point + 1) : point;
    const size_t digits = (point - begin) + (has_point ? end - point - 1 : 0);
    i = end;
    if (digits == 0 || !exponent_read(text, &i, &exponent) || i != text.length)
        return false;
    *out = decimal_of_digits(text, begin, point, end, exponent);
    out->negative = negative && out->digits.length > 0;
    return true;
}

char decimal_next_digit(struct span digits, size_t *i) {
    while (*i < digits.length && !byte_is_digit(digits.text[*i]))
        ++*i;
    return *i < digits.length ? digits.text[(*i)++] : '\0';
}

bool decimal_equal(const struct decimal *a, const struct decimal *b) {
    if (a->negative != b->negative || a->exponent != b->exponent)
        return false;
    for (size_t i = 0, j = 0;;) {
        const char x = decimal_next_digit(a->digits, &i), y = decimal_next_digit(b->digits, &j);
        if (x != y)
            return false;
        if (x == '\0')
            return true;
    }
}
