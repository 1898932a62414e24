/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/cuda_ways.h"

#include <string.h>

#include "base/memory.h"
#include "cuda/cuda.h"

/* The trial's rows, on the device; results, on the host. */
struct trial {
    struct backend *backend;
    struct product_launch product;
    int64_t rows;
    void *x, *y, *all, *some;
    size_t x_row, y_row; /* bytes */
};

static void trial_end(struct trial *trial) {
    cuda_release(trial->backend, trial->x);
    cuda_release(trial->backend, trial->y);
    memory_release(&trial->all);
    memory_release(&trial->some);
}

/* Numbers of many sizes, so that every order of a sum has its own rounding. */
static void fill(enum dtype dtype, void *to, int64_t n) {
    uint64_t state = 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const float x = (float)(int32_t)(state >> 32) * 0x1p-31f,
                    value = x * (state >> 20 & 1 ? 8.0f : 0.125f);
        dtype_from_f32(dtype, &value, (char *)to + i * (int64_t)dtype_bytes(dtype), 1);
    }
}

enum { TRIAL_ROWS = 320, TRIAL_NUMBERS = 48 << 20 };

static enum status trial_begin(struct trial *trial) {
    const struct product_launch *p = &trial->product;
    trial->rows = p->N * TRIAL_ROWS <= TRIAL_NUMBERS ? TRIAL_ROWS : TRIAL_ROWS / 2;
    trial->x_row = (size_t)p->lda * dtype_bytes(p->dtype);
    trial->y_row = (size_t)p->ldy * dtype_bytes(p->y_dtype);
    const size_t rows = (size_t)trial->rows, x_bytes = rows * trial->x_row,
                 y_bytes = rows * trial->y_row, most = x_bytes > y_bytes ? x_bytes : y_bytes;
    TRY(memory_allocate(&trial->all, most, 1, "a trial of products"));
    TRY(memory_allocate(&trial->some, most, 1, "a trial of products"));
    TRY(cuda_allocate(trial->backend, &trial->x, x_bytes, "a trial of products"));
    TRY(cuda_allocate(trial->backend, &trial->y, y_bytes, "a trial of products"));
    fill(p->dtype, trial->all, trial->rows * p->lda);
    return cuda_upload(trial->backend, trial->x, trial->all, x_bytes);
}

/* The library's rows [first, first + count), the others left out; *done: it had a way. */
static enum status take(struct trial *trial, int64_t first, int64_t count, void *to, bool *done) {
    struct product_launch p = trial->product;
    TRY(cuda_clear(trial->backend, trial->y, (size_t)trial->rows * trial->y_row));
    p.a = (char *)trial->x + (size_t)first * trial->x_row;
    p.y = trial->y;
    p.residual = p.residual != NULL ? trial->y : NULL;
    p.M = count;
    TRY(blas_product(&cuda_state(trial->backend)->blas, cuda_stream(trial->backend), &p, done));
    return cuda_download(trial->backend, to, trial->y, (size_t)count * trial->y_row);
}

static enum status compare(struct trial *trial, bool *same) {
    static const int64_t counts[] = {1, 2, 8, 16, 33, 64, 100, 129}, firsts[] = {0, 1, 31};
    bool done = false;
    *same = false;
    TRY(take(trial, 0, trial->rows, trial->all, &done));
    for (size_t c = 0; done && c < sizeof counts / sizeof *counts; c++)
        for (size_t f = 0; done && f < sizeof firsts / sizeof *firsts; f++) {
            const char *want = (const char *)trial->all + (size_t)firsts[f] * trial->y_row;
            TRY(take(trial, firsts[f], counts[c], trial->some, &done));
            if (!done || memcmp(trial->some, want, (size_t)counts[c] * trial->y_row) != 0)
                return STATUS_OK;
        }
    *same = done;
    return STATUS_OK;
}

enum status cuda_rows_same(struct backend *backend, const struct product_launch *product,
                           bool *same) {
    struct trial trial = {.backend = backend, .product = *product};
    enum status status = trial_begin(&trial);
    if (status == STATUS_OK)
        status = compare(&trial, same);
    trial_end(&trial);
    return status;
}

static bool alike(const struct cuda_way *way, const struct product_launch *p) {
    return way->N == p->N && way->K == p->K && way->lda == p->lda && way->ldb == p->ldb &&
           way->ldy == p->ldy && way->dtype == p->dtype && way->y_dtype == p->y_dtype &&
           way->bias == (p->bias != NULL) && way->residual == (p->residual != NULL);
}

/* The host's loops in place of the library would hide the backend's own kernel from the tests. */
enum status cuda_way_of(struct backend *backend, const struct product_launch *p, bool *library) {
    struct cuda_ways *ways = &cuda_state(backend)->ways;
    for (int i = 0; i < ways->count; i++)
        if (alike(&ways->ways[i], p)) {
            *library = ways->ways[i].library;
            return STATUS_OK;
        }
    *library = false;
    if (cuda_state(backend)->facts.is_host || ways->count == CUDA_WAYS_MAX)
        return STATUS_OK;
    TRY(cuda_rows_same(backend, p, library));
    ways->ways[ways->count++] = (struct cuda_way){.N = p->N,
                                                  .K = p->K,
                                                  .lda = p->lda,
                                                  .ldb = p->ldb,
                                                  .ldy = p->ldy,
                                                  .dtype = p->dtype,
                                                  .y_dtype = p->y_dtype,
                                                  .bias = p->bias != NULL,
                                                  .residual = p->residual != NULL,
                                                  .library = *library};
    return STATUS_OK;
}
