/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as exact decimals: ±0.d1d2d3… × 10^exponent, read from text without rounding and without
 * memory of their own; the digits stay where they are. Linear in the length of the text.
 */
#ifndef ANSWER_DECIMAL_H
#define ANSWER_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/span.h"

struct decimal {
    bool negative; /* false for zero */
    /* From the first digit that is not 0 to the last; other characters may stand between;
     * empty for zero */
    struct span digits;
    int64_t exponent; /* 0 for zero */
};

/* Whether the whole text is a number: sign? (digits, plain or in groups of three with commas)
 * (.digits?)? ([eE] sign? digits)?, where the digits before or behind the point may be missing but
 * not both. Exponents beyond ±1e15 are refused. */
bool decimal_read(struct span text, struct decimal *out);

/* The number whose digits stand in text[begin, end), those from `point` on behind the decimal
 * point, times 10^exponent. What is no digit does not count. */
struct decimal decimal_of_digits(struct span text, size_t begin, size_t point, size_t end,
                                 int64_t exponent);

/* The next digit at or behind *i, which then stands behind it; 0 when none is left. */
char decimal_next_digit(struct span digits, size_t *i);

bool decimal_equal(const struct decimal *a, const struct decimal *b);

#endif
