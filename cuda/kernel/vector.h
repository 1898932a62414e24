/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors (backend.h: accumulate, resolve, dot, add, lerp), the search for numbers that are not
 * finite, and conversions between element types. Copies and zeros need no kernel.
 */
#ifndef CUDA_KERNEL_VECTOR_H
#define CUDA_KERNEL_VECTOR_H

#include <stdint.h>

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Blocks that a search goes by, each with a place for what it finds. */
enum { VECTOR_PARTS = 1024 };

/* total[i] += round(values[i] · 2^scale_bits), ties to even, where |values[i] · 2^scale_bits| ≤ bound:
 * the integers of the CPU backend. */
struct accumulate_launch {
    const float *values; /* (n) */
    int64_t *total;      /* (n) += */
    int64_t n;
    int32_t scale_bits;
    double bound;
    struct refused *refused; /* device, one: the larger of it and what was refused, and += */
    struct refused *parts;   /* device, (VECTOR_PARTS) scratch */
};
int launch_accumulate(void *stream, const struct accumulate_launch *args);

/* The same for rows of a matrix: total[rows[i], c] += round(values[i, c] · 2^scale_bits). */
struct accumulate_rows_launch {
    const float *values; /* (count, C) */
    const int32_t *rows; /* (count): all different */
    int64_t *total;      /* (·, C) += */
    int64_t count, C;
    int32_t scale_bits;
    double bound;
    struct refused *refused;
    struct refused *parts; /* (VECTOR_PARTS) scratch */
};
int launch_accumulate_rows(void *stream, const struct accumulate_rows_launch *args);

struct resolve_launch { /* out[i] = total[i] · 2^-scale_bits */
    const int64_t *total;
    float *out;
    int64_t n;
    int32_t scale_bits;
};
int launch_resolve(void *stream, const struct resolve_launch *args);

/* Σ x y of each VECTOR_BLOCK (backend.h) elements, products and sums in double. */
struct dot_launch {
    const float *x, *y; /* (n) */
    double *blocks;     /* device, (n / VECTOR_BLOCK rounded up) = */
    int64_t n;
};
int launch_dot(void *stream, const struct dot_launch *args);

struct add_launch { /* out += x */
    const float *x;
    float *out; /* (n) */
    int64_t n;
};
int launch_add(void *stream, const struct add_launch *args);

struct lerp_launch { /* out = x + factor (y − x); out may be x or y */
    const float *x, *y;
    float *out; /* (n) */
    int64_t n;
    float factor;
};
int launch_lerp(void *stream, const struct lerp_launch *args);

/* The index of the first number that is not finite, −1 for none. */
struct nonfinite_launch {
    const void *x;  /* (n) of dtype */
    int64_t *first; /* device, one = */
    int64_t *parts; /* device, (VECTOR_PARTS) scratch */
    int64_t n;
    enum dtype dtype; /* F32 or BF16 */
};
int launch_nonfinite(void *stream, const struct nonfinite_launch *args);

/* out = x in another element type: exact where it is the wider one, else to the nearest, ties to
 * even. x and out may overlap only as the same address with the same size of elements. */
struct convert_launch {
    const void *x; /* (n) of from: F32, BF16 or F16 */
    void *out;     /* (n) of to: F32 or BF16 */
    int64_t n;
    enum dtype from, to;
};
int launch_convert(void *stream, const struct convert_launch *args);

#ifdef __cplusplus
}
#endif

#endif
