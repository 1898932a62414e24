/* SPDX-License-Identifier: Apache-2.0
 *
 * The product of two matrices that all matrix operations rest on.
 *
 *     C[i][j] = Σ_k A[i][k] B[k][j]   (+ bias[j]) (+ residual[i][j])
 *
 * Each element is one chain of fused multiply-adds over ascending k that begins with zero, or with
 * the C of a former call when `accumulate` is set; then the bias is added, then the residual. So
 * the bits of an element depend on its row of A and column of B alone: not on the other rows, not
 * on how k is cut into calls.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_PRODUCT_H
#define BACKEND_CPU_CPU_KERNEL_PRODUCT_H

#include "backend/cpu/cpu.h"

struct cpu_product {
    const float *a; /* A[i][k] = a[i a_row + k a_k] */
    int64_t a_row, a_k;
    const float *b; /* B[k][32 p + j] = b[p b_panel + k b_k + j]; whole panels can be read */
    int64_t b_panel, b_k;
    float *c; /* C[i][j] = c[i c_row + j]; only `columns` of each row are written */
    int64_t c_row;
    int64_t rows, columns, k;
    bool accumulate;
    const float *bias;     /* (columns) or NULL */
    const float *residual; /* row stride residual_row, or NULL; may be c unless k is cut */
    int64_t residual_row;
    const float *fetch; /* NULL, or fetch + k fetch_k comes into the cache while k passes */
    int64_t fetch_k;
};

CPU_KERNEL_FORMS(void, cpu_kernel_product, (const struct cpu_product *product));

/* Rows that a tile of the product has at most: A is best given in multiples of it. */
CPU_KERNEL_FORMS(int64_t, cpu_kernel_tile_rows, (void));

/* to[j][i] = from[i][j] for i < rows, j < columns. */
CPU_KERNEL_FORMS(void, cpu_kernel_transpose,
                 (float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows,
                  int64_t columns));

/* to[i][j] = from[i][j] for i < rows, j < columns. */
CPU_KERNEL_FORMS(void, cpu_kernel_copy,
                 (float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows,
                  int64_t columns));

#endif
