/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel takes a forward product. All rows of a weight must be taken in one way, and all parts
 * of one that is taken in parts (the output head), for a number has to have the same bits alone and
 * among others. The library may take a weight's where it gave rows, and blocks of columns, the same
 * bits in a trial, which is made when such a weight is first used; else the backend's own kernel does,
 * which has them by construction.
 */
#ifndef CUDA_CUDA_WAYS_H
#define CUDA_CUDA_WAYS_H

#include "cuda/blas.h"

struct backend;

/* Products that are taken in the same way. */
struct cuda_way {
    int64_t N, K, lda, ldb, ldy; /* of a weight that is taken in parts: whole, with any ldy */
    enum dtype dtype, y_dtype;
    bool bias, residual;
    bool library;
};

enum { CUDA_WAYS_MAX = 64 };
struct cuda_ways {
    struct cuda_way ways[CUDA_WAYS_MAX];
    int count;
};

/* Whether the library takes this product and all like it. */
enum status cuda_way_of(struct backend *backend, const struct product_launch *product,
                        bool *library) MUST_USE;

/* The trial: whether the library gives rows of such products, and blocks of columns where the product
 * is a part of a whole, the same bits whatever their number and place. Waits for the device, and takes
 * memory while it lasts. */
enum status cuda_rows_same(struct backend *backend, const struct product_launch *product,
                           bool *same) MUST_USE;

#endif
