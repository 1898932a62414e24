/* SPDX-License-Identifier: Apache-2.0
 *
 * The product of two matrices that all matrix operations rest on.
 *
 *     C[i][j] = scale Σ_k A[i][k] B[k][j]   (+ bias[j]) (+ residual[i][j])
 *
 * Each element is one chain of fused multiply-adds over ascending k that begins with zero, or with
 * the C of a former call when `accumulate` is set; then come the scale, the bias and the residual. So
 * the bits of an element depend on its row of A and column of B alone: not on the other rows, not
 * on how k is cut into calls.
 *
 * B may hold bf16 numbers, two neighbours of k in one word of 32 bits, the even one in the low half.
 * Then the sum runs over pairs, and what a term is depends on the instruction set: where it has a
 * product of pairs (avx512bf16) A is given in pairs as well, rounded to bf16; elsewhere A stays fp32
 * and the chain is that of the widened B.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_PRODUCT_H
#define BACKEND_CPU_CPU_KERNEL_PRODUCT_H

#include "backend/cpu/cpu.h"

enum cpu_terms {
    CPU_TERMS_F32,     /* a number of A times one of B */
    CPU_TERMS_WIDENED, /* two numbers of A times the pair of B, the even one first */
    CPU_TERMS_PAIRS,   /* a pair of A times a pair of B: v_dot_pairs of simd.h */
    CPU_TERMS_COUNT
};

struct cpu_product {
    enum cpu_terms terms;
    const float *a; /* A[i][k] = a[i a_row + k a_k]; words, where terms are pairs of both */
    int64_t a_row, a_k;
    /* B[k][32 p + j] = b[p b_panel + k b_k + j]; whole panels can be read. k counts words where
     * B is bf16 */
    const float *b;
    int64_t b_panel, b_k;
    float *c; /* C[i][j] = c[i c_row + j]; only `columns` of each row are written */
    int64_t c_row;
    int64_t rows, columns, k; /* k: words of B in a column */
    bool accumulate;
    float scale;           /* 0: none; none where k is cut */
    const float *bias;     /* (columns) or NULL */
    const float *residual; /* row stride residual_row, or NULL; may be c unless k is cut */
    int64_t residual_row;
    const float *fetch; /* NULL, or fetch + k fetch_k comes into the cache while k passes */
    int64_t fetch_k;
};

CPU_KERNEL_FORMS(void, cpu_kernel_product, (const struct cpu_product *product));

/* Rows that a tile of the product has at most: A is best given in multiples of it. */
CPU_KERNEL_FORMS(int64_t, cpu_kernel_tile_rows, (void));

/* The terms that products with a bf16 weight are made of. */
CPU_KERNEL_FORMS(enum cpu_terms, cpu_kernel_bf16_terms, (void));

/* Pairs of neighbours rounded to bf16: to[j][i] = (from[i][2 j], from[i][2 j + 1]) for i < rows,
 * j < pairs, the first in the low half of the word. */
CPU_KERNEL_FORMS(void, cpu_kernel_transpose_pairs,
                 (float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows,
                  int64_t pairs));

/* And back, widened: to[i][2 j], to[i][2 j + 1] = from[j][i]. */
CPU_KERNEL_FORMS(void, cpu_kernel_widen_pairs,
                 (float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows,
                  int64_t pairs));

/* to[j][i] = from[i][j] for i < rows, j < columns. */
CPU_KERNEL_FORMS(void, cpu_kernel_transpose,
                 (float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows,
                  int64_t columns));

/* to[i][j] = from[i][j] for i < rows, j < columns. */
CPU_KERNEL_FORMS(void, cpu_kernel_copy,
                 (float *to, int64_t to_row, const float *from, int64_t from_row, int64_t rows,
                  int64_t columns));

#endif
