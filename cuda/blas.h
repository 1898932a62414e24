/* SPDX-License-Identifier: Apache-2.0
 *
 * Products by a library: cuBLASLt (blas_cuda.c), and plain loops that stand in for it on the host
 * (blas_host.c). The algorithm of a product is the one that the library's heuristic names for
 * BLAS_ROWS rows, without workspace and without splitting k; it is used for any number of rows, and
 * for any part of the columns. So the bits are the same every time; whether those of a row, or of a
 * column, depend on the others has to be tried.
 */
#ifndef CUDA_BLAS_H
#define CUDA_BLAS_H

#include "backend/backend.h"
#include "cuda/device.h"
#include "cuda/kernel/product.h"

enum { BLAS_ROWS = 4096 };

struct blas {
    void *state;
};

enum status blas_open(struct blas *blas) MUST_USE;
void blas_close(struct blas *blas);

/* Puts the product into the stream, if the library has a way for its layouts, types and addresses:
 * *done says so. */
enum status blas_product(struct blas *blas, void *stream, const struct product_launch *product,
                         bool *done) MUST_USE;

/* The algorithms chosen so far, for a checkpoint, and taking over those of one: what the library does
 * not offer any more is chosen anew, and a warning says so. */
enum { BLAS_WORDS = BACKEND_ALGORITHM_WORDS };
void blas_choices(const struct blas *blas, int64_t words[BLAS_WORDS]);
void blas_choose(struct blas *blas, const int64_t words[BLAS_WORDS]);

#endif
