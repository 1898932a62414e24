/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of rows with rows, in double: what principal components cost most of, faster than a
 * reference BLAS. Each is summed in the order of its terms, from the first to the last, so that its bits
 * are those of a plain loop.
 */
#ifndef MAUVE_PRODUCTS_H
#define MAUVE_PRODUCTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Number k of row i is at[i * row + k * step]: the rows or the columns of a matrix, upwards or
 * downwards. */
struct product_rows {
    const double *at;
    int64_t n, row, step;
};

/* out (a.n, b.n) = Σ_k a[i][k] b[j][k] over k < terms; `upper`: of a symmetric matrix, whose rows are a
 * and b, at least where j ≥ i. */
enum status products(const struct product_rows *a, const struct product_rows *b, int64_t terms,
                     bool upper, double *out) MUST_USE;

/* Bytes that it works in. */
int64_t products_scratch(int64_t a_n, int64_t b_n);

#endif
