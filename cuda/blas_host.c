/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain loops in place of cuBLASLt, in the stream as everything else.
 */
#include "cuda/blas_host.h"

#include <math.h>
#include <stdlib.h>

#include "cuda/blas_choice.h"
#include "cuda/host/queue.h"

enum status blas_open(struct blas *blas) {
    blas->state = calloc(1, sizeof(struct blas_choices));
    return blas->state != NULL ? STATUS_OK
                               : FAIL(STATUS_MEMORY, "no memory for the choices of products");
}

void blas_close(struct blas *blas) {
    free(blas->state);
    blas->state = NULL;
}

void blas_choices(const struct blas *blas, int64_t words[BLAS_WORDS]) {
    blas_choices_write(blas->state, BLAS_HOST_VERSION, words);
}

void blas_choose(struct blas *blas, const int64_t words[BLAS_WORDS]) {
    blas_choices_read(blas->state, BLAS_HOST_VERSION, words);
}

/* --- a product --- */

struct task {
    struct product_launch product;
    bool down;
};

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

static float chain(const float *a, const float *b, int64_t K, bool down) {
    float sum = 0;
    for (int64_t i = 0; i < K; i++) {
        const int64_t k = down ? K - 1 - i : i;
        sum = fmaf(a[k], b[k], sum);
    }
    return sum;
}

static void multiply(void *closure) {
    const struct task *task = closure;
    const struct product_launch *p = &task->product;
    float *a = widened(p, p->a, p->M, p->lda, p->a_transposed),
          *b = widened(p, p->b, p->N, p->ldb, p->b_transposed);
    ASSERT(a != NULL && b != NULL);
    for (int64_t i = 0; i < p->M; i++)
        for (int64_t j = 0; j < p->N; j++) {
            const int64_t at = i * p->ldy + j;
            float sum = p->scale * chain(a + i * p->K, b + j * p->K, p->K, task->down) +
                        (p->bias != NULL ? p->bias[j] : 0.0f);
            if (p->residual != NULL)
                sum += element(p->y_dtype, p->residual, at);
            dtype_from_f32(p->y_dtype, &sum, (char *)p->y + at * (int64_t)dtype_bytes(p->y_dtype),
                           1);
        }
    free(a);
    free(b);
}

/* GRADUS_HOST_ALGORITHM: another one, as if this were another machine's library. */
static uint64_t named(void) {
    const char *text = getenv("GRADUS_HOST_ALGORITHM");
    return text != NULL ? strtoull(text, NULL, 10) : BLAS_HOST_UP;
}

static enum blas_host_algorithm algorithm_of(struct blas *blas, const struct product_launch *p) {
    struct blas_choice *choice = blas_choice_of(blas->state, p);
    if (choice == NULL)
        return BLAS_HOST_UP;
    if (choice->kept && choice->algorithm[0] >= BLAS_HOST_ALGORITHMS) {
        blas_choice_lost(choice);
        choice->made = false;
    }
    if (!choice->made)
        choice->algorithm[0] = named();
    choice->made = choice->usable = true;
    choice->kept = false;
    return (enum blas_host_algorithm)choice->algorithm[0];
}

enum status blas_product(struct blas *blas, void *stream, const struct product_launch *p,
                         bool *done) {
    *done = blas_aligned(p);
    if (!*done)
        return STATUS_OK;
    const enum blas_host_algorithm algorithm = algorithm_of(blas, p);
    struct task *task = malloc(sizeof *task);
    if (task == NULL)
        return FAIL(STATUS_MEMORY, "no memory for a product");
    *task = (struct task){.product = *p,
                          .down = algorithm == BLAS_HOST_DOWN ||
                                  (algorithm == BLAS_HOST_BY_ROWS && p->M == 1) ||
                                  (algorithm == BLAS_HOST_BY_COLUMNS && p->N < p->whole)};
    return device_launched(queue_push(stream, (struct queue_task){multiply, free, task}),
                           "a product");
}
