/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of matrices whose bits do not depend on their size: every element of the result is one
 * chain over k in ascending order, in fp32 by fused multiply-adds, in bf16 by tensor cores in steps
 * of 16 with fp32 sums. So a row has the same bits alone and among others, whatever tile it falls
 * into.
 */
#ifndef CUDA_KERNEL_PRODUCT_H
#define CUDA_KERNEL_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct product_launch {
    const void *a;        /* (M, K) of dtype with row stride lda; a_transposed: (K, M) */
    const void *b;        /* (N, K) of dtype with row stride ldb; b_transposed: (K, N) */
    const float *bias;    /* (N) or NULL */
    const void *residual; /* (M, N) of y_dtype with row stride ldy, or NULL; may be y */
    void *y; /* (M, N) of y_dtype with row stride ldy = scale a bᵀ + bias + residual */
    int64_t M, N, K, lda, ldb, ldy;
    float scale; /* of the sums, before anything is added */
    enum dtype dtype, y_dtype;
    bool a_transposed, b_transposed; /* b, or both, or none */
    /* Not read by the kernel, whose bits do not depend on it: b is rows begin … begin + N − 1 of `whole`
     * rows, all parts of which a library has to take in the same way; 0: b is whole. */
    int64_t begin, whole;
};
int launch_product(void *stream, const struct product_launch *args);

/* Rows brought together, in another element type. */
struct product_rows_launch {
    const void *x; /* (rows, columns) of from with row stride ldx */
    void *out;     /* (rows, columns) of to, contiguous */
    int64_t rows, columns, ldx;
    enum dtype from, to; /* F32, BF16 */
};
int launch_product_rows(void *stream, const struct product_rows_launch *args);

/* Column sums: within 32 runs of rows in ascending order, then over the runs. */
struct column_sums_launch {
    const void *x; /* (rows, columns) of dtype with row stride ldx */
    float *out;    /* (columns) =, or += with add */
    int64_t rows, columns, ldx;
    enum dtype dtype;
    bool add;
};
int launch_column_sums(void *stream, const struct column_sums_launch *args);

#ifdef __cplusplus
}
#endif

#endif
