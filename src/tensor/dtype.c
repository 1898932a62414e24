/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/dtype.h"

#include <math.h>
#include <string.h>

size_t dtype_bytes(enum dtype dtype) {
    return dtype == DTYPE_F32 ? 4 : 2;
}

const char *dtype_name(enum dtype dtype) {
    static const char *const names[] = {
        [DTYPE_F32] = "F32", [DTYPE_BF16] = "BF16", [DTYPE_F16] = "F16"};
    return names[dtype];
}

bool dtype_find(const char *name, enum dtype *out) {
    for (enum dtype dtype = DTYPE_F32; dtype <= DTYPE_F16; dtype++)
        if (strcmp(dtype_name(dtype), name) == 0) {
            *out = dtype;
            return true;
        }
    return false;
}

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float widen_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu,
                   fraction = half & 0x3ffu;
    if (exponent == 0x1f)
        return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) /* zero or subnormal: fraction × 2^-24 */
        return sign != 0 ? -ldexpf((float)fraction, -24) : ldexpf((float)fraction, -24);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static uint16_t round_f16(float value) {
    const uint16_t sign = (uint16_t)(to_bits(value) >> 16 & 0x8000u);
    const float size = fabsf(value);
    if (isnan(value))
        return (uint16_t)(sign | 0x7e00u);
    if (size >= 65520.0f)
        return (uint16_t)(sign | 0x7c00u);
    if (size < 0x1p-14f) /* subnormal: in units of 2^-24, rounded to nearest even by rintf */
        return (uint16_t)(sign | (uint16_t)rintf(ldexpf(size, 24)));
    const uint32_t bits = to_bits(size), rounded = bits + 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | (uint16_t)((rounded >> 13) - (112u << 10)));
}

/* Each kind in a loop of its own, which a compiler turns into vectors. */
static void widen_all_bf16(const unsigned char *bytes, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = from_bits((uint32_t)half << 16);
    }
}

static void widen_all_f16(const unsigned char *bytes, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = widen_f16(half);
    }
}

void dtype_to_f32(enum dtype dtype, const void *source, float *out, int64_t n) {
    if (dtype == DTYPE_F32) {
        memcpy(out, source, (size_t)n * sizeof *out);
        return;
    }
    if (dtype == DTYPE_BF16)
        widen_all_bf16(source, out, n);
    else
        widen_all_f16(source, out, n);
}

void dtype_from_f32(enum dtype dtype, const float *source, void *out, int64_t n) {
    if (dtype == DTYPE_F32) {
        memcpy(out, source, (size_t)n * sizeof *source);
        return;
    }
    unsigned char *bytes = out;
    for (int64_t i = 0; i < n; i++) {
        const uint16_t half =
            dtype == DTYPE_BF16 ? dtype_bf16_bits(source[i]) : round_f16(source[i]);
        memcpy(bytes + 2 * i, &half, sizeof half);
    }
}
