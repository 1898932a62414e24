/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain loops in place of cuBLASLt, in the stream as everything else.
 */
#include "cuda/blas.h"

#include <math.h>
#include <stdlib.h>

#include "cuda/host/queue.h"

enum status blas_open(struct blas *blas) {
    blas->state = NULL;
    return STATUS_OK;
}

void blas_close(struct blas *blas) {
    (void)blas;
}

static float element(enum dtype dtype, const void *x, int64_t i) {
    float value;
    dtype_to_f32(dtype, (const char *)x + i * (int64_t)dtype_bytes(dtype), &value, 1);
    return value;
}

/* The operand (lines, K) as floats. */
static float *widened(const struct product_launch *p, const void *x, int64_t lines, int64_t ld,
                      bool transposed) {
    float *wide = malloc((size_t)(lines * p->K + 1) * sizeof *wide);
    for (int64_t i = 0; wide != NULL && i < lines; i++)
        for (int64_t k = 0; k < p->K; k++)
            wide[i * p->K + k] = element(p->dtype, x, transposed ? k * ld + i : i * ld + k);
    return wide;
}

static void multiply(void *closure) {
    const struct product_launch *p = closure;
    float *a = widened(p, p->a, p->M, p->lda, p->a_transposed),
          *b = widened(p, p->b, p->N, p->ldb, p->b_transposed);
    ASSERT(a != NULL && b != NULL);
    for (int64_t i = 0; i < p->M; i++)
        for (int64_t j = 0; j < p->N; j++) {
            const int64_t at = i * p->ldy + j;
            float sum = 0;
            for (int64_t k = 0; k < p->K; k++)
                sum = fmaf(a[i * p->K + k], b[j * p->K + k], sum);
            sum = p->scale * sum + (p->bias != NULL ? p->bias[j] : 0.0f);
            if (p->residual != NULL)
                sum += element(p->y_dtype, p->residual, at);
            dtype_from_f32(p->y_dtype, &sum, (char *)p->y + at * (int64_t)dtype_bytes(p->y_dtype),
                           1);
        }
    free(a);
    free(b);
}

enum status blas_product(struct blas *blas, void *stream, const struct product_launch *p,
                         bool *done) {
    (void)blas;
    struct product_launch *kept = malloc(sizeof *kept);
    if (kept == NULL)
        return FAIL(STATUS_MEMORY, "no memory for a product");
    *kept = *p;
    *done = true;
    return device_launched(queue_push(stream, (struct queue_task){multiply, free, kept}),
                           "a product");
}
