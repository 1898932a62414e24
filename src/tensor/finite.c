/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/finite.h"

#include <string.h>

/* All bits of the exponent set: infinite or not a number. */
static uint32_t is_odd(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u;
}

int64_t first_not_finite(const float *x, int64_t n) {
    enum { PIECE = 1024 };
    for (int64_t begin = 0; begin < n; begin += PIECE) {
        const int64_t end = n - begin < PIECE ? n : begin + PIECE;
        uint32_t odd = 0;
        for (int64_t i = begin; i < end; i++)
            odd |= is_odd(x[i]);
        for (int64_t i = begin; odd != 0 && i < end; i++)
            if (is_odd(x[i]))
                return i;
    }
    return -1;
}
