/* SPDX-License-Identifier: Apache-2.0
 *
 * A build without cuBLASLt: all products are the backend's own.
 */
#include "cuda/blas.h"

#include <string.h>

enum status blas_open(struct blas *blas) {
    blas->state = NULL;
    return STATUS_OK;
}

void blas_close(struct blas *blas) {
    (void)blas;
}

enum status blas_product(struct blas *blas, void *stream, const struct product_launch *p,
                         bool *done) {
    (void)blas, (void)stream, (void)p;
    *done = false;
    return STATUS_OK;
}

void blas_choices(const struct blas *blas, int64_t words[BLAS_WORDS]) {
    (void)blas;
    memset(words, 0, BLAS_WORDS * sizeof *words);
}

void blas_choose(struct blas *blas, const int64_t words[BLAS_WORDS]) {
    (void)blas, (void)words;
}
