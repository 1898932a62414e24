/* SPDX-License-Identifier: Apache-2.0
 *
 * Principal components by LAPACK, the only place that calls it: of the covariance where rows are longer
 * than wide, else of the rows' products with each other. In double, on one thread, so that the bits do
 * not depend on how many there are. Costs n d s / 2 + about 4/3 s³ multiplications, s the smaller of n
 * and d, and where rows are longer n d m for m components.
 */
#ifndef MAUVE_PCA_H
#define MAUVE_PCA_H

#include <stdint.h>

#include "base/status.h"

/* The rows of x (n, d), which loses its mean, in the coordinates of their first principal components,
 * by falling variance and not scaled (no whitening). There are as many of these as it takes for the
 * share `variance` of the whole, at least 1. *out (n, *m), the caller's, memory_release. */
enum status pca_project(double *x, int64_t n, int64_t d, double variance, float **out,
                        int64_t *m) MUST_USE;

/* Bytes that it takes besides x, at most. */
int64_t pca_scratch(int64_t n, int64_t d);

#endif
