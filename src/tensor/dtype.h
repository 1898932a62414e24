/* SPDX-License-Identifier: Apache-2.0
 *
 * Kinds of numbers in files and in working weights, and their conversion to fp32.
 */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16 };

/* Bytes of one element. */
size_t dtype_bytes(enum dtype dtype);

/* "F32", "BF16", "F16": the names of safetensors. */
const char *dtype_name(enum dtype dtype);

/* The kind of that name; false for another name. */
bool dtype_find(const char *name, enum dtype *out);

/* The bits of the nearest bf16, ties to even; a NaN stays one. */
static inline uint16_t dtype_bf16_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Widens n elements exactly; `source` may be unaligned. */
void dtype_to_f32(enum dtype dtype, const void *source, float *out, int64_t n);

/* Rounds n elements to the nearest, ties to even. */
void dtype_from_f32(enum dtype dtype, const float *source, void *out, int64_t n);

#endif
