/* SPDX-License-Identifier: Apache-2.0
 *
 * Which algorithm a library takes for which products. It is chosen when such a product first comes,
 * and kept with the checkpoints of a run, whose bits depend on it.
 */
#ifndef CUDA_BLAS_CHOICE_H
#define CUDA_BLAS_CHOICE_H

#include "cuda/blas.h"

/* Products that one algorithm takes. All parts of a whole have its key; the rows that a product has,
 * or that a gradient of a weight sums over, are no part of it. */
struct blas_key {
    int64_t N, K, ldb;
    enum dtype dtype, y_dtype;
    bool a_transposed, b_transposed, bias, residual;
};

enum { BLAS_ALGORITHM_WORDS = 8, BLAS_CHOICES_MAX = 128 };
struct blas_choice {
    struct blas_key key;
    uint64_t algorithm[BLAS_ALGORITHM_WORDS]; /* the library's own */
    bool usable;                              /* it has one */
    bool made;                                /* else it is to be chosen */
    bool kept; /* of a checkpoint: whether the library offers it is to be seen */
};

struct blas_choices {
    struct blas_choice list[BLAS_CHOICES_MAX];
    int count;
};

/* The choice for such products, perhaps one that is to be made; NULL where there is no room for
 * another. */
struct blas_choice *blas_choice_of(struct blas_choices *choices,
                                   const struct product_launch *product);

/* Whether addresses and strides are those that fast kernels take: multiples of 16 bytes. */
bool blas_aligned(const struct product_launch *product);

/* As a list of numbers, with the version of the library. */
void blas_choices_write(const struct blas_choices *choices, int64_t version,
                        int64_t words[BLAS_WORDS]);

/* Takes over such a list. One of another version, or of nobody knows whom, is not: a warning says
 * that all is chosen anew. */
void blas_choices_read(struct blas_choices *choices, int64_t version,
                       const int64_t words[BLAS_WORDS]);

/* Says that the library does not offer what a checkpoint has for such products. */
void blas_choice_lost(const struct blas_choice *choice);

#endif
