/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as exact decimals: ±0.d1d2d3… × 10^exponent, read from text without rounding and without
 * memory of their own; the digits stay where they are. Linear in the length of the text.
 */
#ifndef REWARD_DECIMAL_H
#define REWARD_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "reward/span.h"

struct decimal {
    bool negative; /* false for zero */
    /* From the first digit that is not 0 to the last; commas and the point may stand between;
     * empty for zero */
    struct span digits;
    int64_t exponent; /* 0 for zero */
};

/* Whether the whole text is a number: sign? (digits, plain or in groups of three with commas)
 * (.digits?)? ([eE] sign? digits)?, where the digits before or behind the point may be missing but
 * not both. Exponents beyond ±1e15 are refused. */
bool decimal_read(struct span text, struct decimal *out);

bool decimal_equal(const struct decimal *a, const struct decimal *b);

#endif
