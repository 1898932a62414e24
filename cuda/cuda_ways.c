/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/cuda_ways.h"

#include <string.h>

#include "base/memory.h"
#include "cuda/cuda.h"

/* The trial's rows, on the device; results, on the host. The product is that of the whole weight. */
static const char label[] = "a trial of products";

struct trial {
    struct backend *backend;
    struct product_launch product;
    int64_t rows;
    void *x, *y, *all, *some; /* all: (rows, N) of the whole product */
    size_t x_row, y_bytes;    /* bytes of a row of x, and of one number of y */
};

static void trial_end(struct trial *trial) {
    cuda_release(trial->backend, trial->x);
    cuda_release(trial->backend, trial->y);
    memory_release(&trial->all);
    memory_release(&trial->some);
    cuda_trim(trial->backend, label);
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

/* Of a part, the product of all. */
static struct product_launch whole_of(const struct product_launch *part) {
    struct product_launch p = *part;
    if (p.whole == 0)
        return p;
    p.b = (const char *)p.b - p.begin * p.ldb * (int64_t)dtype_bytes(p.dtype);
    p.bias = p.bias != NULL ? p.bias - p.begin : NULL;
    p.N = p.whole;
    p.ldy = logits_stride(p.whole);
    p.begin = 0;
    return p;
}

enum { TRIAL_ROWS = 320, TRIAL_NUMBERS = 48 << 20 };

static enum status trial_begin(struct trial *trial) {
    const struct product_launch *p = &trial->product;
    trial->rows = p->N * TRIAL_ROWS <= TRIAL_NUMBERS ? TRIAL_ROWS : TRIAL_ROWS / 2;
    trial->x_row = (size_t)p->lda * dtype_bytes(p->dtype);
    trial->y_bytes = dtype_bytes(p->y_dtype);
    const size_t rows = (size_t)trial->rows, x_bytes = rows * trial->x_row,
                 y_bytes = rows * (size_t)p->ldy * trial->y_bytes,
                 most = x_bytes > y_bytes ? x_bytes : y_bytes;
    TRY(memory_allocate(&trial->all, most, 1, label));
    TRY(memory_allocate(&trial->some, most, 1, label));
    TRY(cuda_allocate(trial->backend, &trial->x, x_bytes, label));
    TRY(cuda_allocate(trial->backend, &trial->y, y_bytes, label));
    fill(p->dtype, trial->all, trial->rows * p->lda);
    return cuda_upload(trial->backend, trial->x, trial->all, x_bytes);
}

/* Rows [first, first + rows) and columns [begin, begin + N) of the product, others left out. */
struct part {
    int64_t first, rows, begin, N, ldy;
};

/* By the library; *done: it had a way. */
static enum status take(struct trial *trial, struct part part, void *to, bool *done) {
    struct product_launch p = trial->product;
    const size_t bytes = (size_t)(part.rows * part.ldy) * trial->y_bytes;
    TRY(cuda_clear(trial->backend, trial->y, bytes));
    p.a = (char *)trial->x + (size_t)part.first * trial->x_row;
    p.b = (const char *)p.b + part.begin * p.ldb * (int64_t)dtype_bytes(p.dtype);
    p.bias = p.bias != NULL ? p.bias + part.begin : NULL;
    p.y = trial->y;
    p.residual = p.residual != NULL ? trial->y : NULL;
    p.M = part.rows;
    p.N = part.N;
    p.ldy = part.ldy;
    p.begin = part.begin;
    TRY(blas_product(&cuda_state(trial->backend)->blas, cuda_stream(trial->backend), &p, done));
    return cuda_download(trial->backend, to, trial->y, bytes);
}

/* Whether the part has the bits that it has in the whole. */
static enum status compare_part(struct trial *trial, struct part part, bool *same) {
    const int64_t ldy = trial->product.ldy;
    bool done;
    TRY(take(trial, part, trial->some, &done));
    *same = done;
    for (int64_t r = 0; *same && r < part.rows; r++) {
        const int64_t at = (part.first + r) * ldy + part.begin;
        *same = memcmp((char *)trial->some + (size_t)(r * part.ldy) * trial->y_bytes,
                       (char *)trial->all + (size_t)at * trial->y_bytes,
                       (size_t)part.N * trial->y_bytes) == 0;
    }
    return STATUS_OK;
}

static enum status compare_rows(struct trial *trial, bool *same) {
    static const int64_t counts[] = {1, 2, 8, 16, 33, 64, 100, 129}, firsts[] = {0, 1, 31};
    const struct product_launch *p = &trial->product;
    for (size_t c = 0; *same && c < sizeof counts / sizeof *counts; c++)
        for (size_t f = 0; *same && f < sizeof firsts / sizeof *firsts; f++)
            TRY(compare_part(trial, (struct part){firsts[f], counts[c], 0, p->N, p->ldy}, same));
    return STATUS_OK;
}

/* The first, the second and the last block of columns of three widths, of few rows and of many. */
static enum status compare_columns(struct trial *trial, bool *same) {
    static const int64_t widths[] = {HEAD_BLOCK, 4 * HEAD_BLOCK, 16 * HEAD_BLOCK};
    const int64_t N = trial->product.N, counts[] = {1, 33, trial->rows};
    for (int w = 0; w < 3; w++)
        for (int block = 0; *same && block < 3 && widths[w] < N; block++)
            for (int c = 0; *same && c < 3; c++) {
                const int64_t last = (N - 1) / widths[w],
                              begin = widths[w] * (block == 2 ? last : block), left = N - begin;
                const int64_t width = left < widths[w] ? left : widths[w];
                TRY(compare_part(
                    trial, (struct part){1, counts[c] - (c == 2), begin, width, widths[w]}, same));
            }
    return STATUS_OK;
}

static enum status compare(struct trial *trial, bool *same) {
    const struct product_launch *p = &trial->product;
    TRY(take(trial, (struct part){0, trial->rows, 0, p->N, p->ldy}, trial->all, same));
    TRY(compare_rows(trial, same));
    return p->whole > 0 ? compare_columns(trial, same) : STATUS_OK;
}

enum status cuda_rows_same(struct backend *backend, const struct product_launch *product,
                           bool *same) {
    struct trial trial = {.backend = backend, .product = whole_of(product)};
    const bool rehearses = cuda_state(backend)->rehearses;
    cuda_state(backend)->rehearses = false; /* a trial is made, whatever it is for */
    enum status status = trial_begin(&trial);
    if (status == STATUS_OK)
        status = compare(&trial, same);
    trial_end(&trial);
    cuda_state(backend)->rehearses = rehearses;
    return status;
}

/* --- the ways so far --- */

static struct cuda_way way_of(const struct product_launch *p) {
    return (struct cuda_way){.N = p->whole > 0 ? p->whole : p->N,
                             .K = p->K,
                             .lda = p->lda,
                             .ldb = p->ldb,
                             .ldy = p->whole > 0 ? 0 : p->ldy,
                             .dtype = p->dtype,
                             .y_dtype = p->y_dtype,
                             .bias = p->bias != NULL,
                             .residual = p->residual != NULL};
}

static bool alike(const struct cuda_way *x, const struct cuda_way *y) {
    return x->N == y->N && x->K == y->K && x->lda == y->lda && x->ldb == y->ldb &&
           x->ldy == y->ldy && x->dtype == y->dtype && x->y_dtype == y->y_dtype &&
           x->bias == y->bias && x->residual == y->residual;
}

/* The host's loops in place of the library would hide the backend's own kernel from the tests. */
enum status cuda_way_of(struct backend *backend, const struct product_launch *p, bool *library) {
    struct cuda_ways *ways = &cuda_state(backend)->ways;
    struct cuda_way way = way_of(p);
    for (int i = 0; i < ways->count; i++)
        if (alike(&ways->ways[i], &way)) {
            *library = ways->ways[i].library;
            return STATUS_OK;
        }
    *library = false;
    if (cuda_state(backend)->facts.is_host || ways->count == CUDA_WAYS_MAX)
        return STATUS_OK;
    TRY(cuda_rows_same(backend, p, &way.library));
    *library = way.library;
    ways->ways[ways->count++] = way;
    return STATUS_OK;
}
