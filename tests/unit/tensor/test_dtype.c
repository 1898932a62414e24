/* SPDX-License-Identifier: Apache-2.0
 * Promises: widening is exact for every bf16 and f16 pattern, rounding goes to the nearest with
 * ties to even, and both are inverse on representable numbers. */
#include "tensor/dtype.h"

#include "check.h"

/* The value of a half-precision pattern from its definition (IEEE 754-2008, 3.4). */
static double f16_value(uint16_t h) {
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double sign = h >> 15 ? -1.0 : 1.0;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    return exponent == 0 ? sign * ldexp(fraction, -24)
                         : sign * ldexp(1024 + fraction, exponent - 25);
}

static void every_pattern(void) {
    for (uint32_t i = 0; i < 65536; i++) {
        const uint16_t half = (uint16_t)i;
        float wide;
        uint16_t back;
        dtype_to_f32(DTYPE_F16, &half, &wide, 1);
        const double want = f16_value(half);
        if (isnan(want)) {
            CHECK(isnan(wide));
            continue;
        }
        CHECK(wide == want);
        dtype_from_f32(DTYPE_F16, &wide, &back, 1);
        CHECK_EQ(back, half);
    }
    for (uint32_t i = 0; i < 65536; i++) {
        const uint16_t half = (uint16_t)i;
        float wide;
        uint16_t back;
        dtype_to_f32(DTYPE_BF16, &half, &wide, 1);
        dtype_from_f32(DTYPE_BF16, &wide, &back, 1);
        if (!isnan(wide))
            CHECK_EQ(back, half);
    }
}

static void rounding(void) {
    /* 1 + 2^-11 lies halfway between two f16 numbers, 1 + 2^-8 between two bf16 numbers: the even
     * one wins. */
    static const struct {
        enum dtype dtype;
        float value;
        uint16_t want;
    } cases[] = {
        {DTYPE_F16, 1.0f + 0x1p-11f, 0x3c00},    {DTYPE_F16, 1.0f + 3 * 0x1p-11f, 0x3c02},
        {DTYPE_F16, 1.0f + 0x1.01p-11f, 0x3c01}, {DTYPE_F16, 65519.0f, 0x7bff},
        {DTYPE_F16, 65520.0f, 0x7c00},           {DTYPE_F16, 0x1p-25f, 0x0000},
        {DTYPE_F16, 0x1.1p-25f, 0x0001},         {DTYPE_F16, -0.0f, 0x8000},
        {DTYPE_BF16, 1.0f + 0x1p-8f, 0x3f80},    {DTYPE_BF16, 1.0f + 3 * 0x1p-8f, 0x3f82},
        {DTYPE_BF16, 1.0f + 0x1.01p-8f, 0x3f81}, {DTYPE_BF16, 3.4e38f, 0x7f80},
        {DTYPE_F16, 0x1.ffep-15f, 0x0400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t have;
        dtype_from_f32(cases[i].dtype, &cases[i].value, &have, 1);
        CHECK_EQ(have, cases[i].want);
    }
}

int main(void) {
    every_pattern();
    rounding();
    CHECK_EQ(dtype_bytes(DTYPE_F32), 4);
    CHECK_EQ(dtype_bytes(DTYPE_BF16), 2);
    return CHECK_END();
}
