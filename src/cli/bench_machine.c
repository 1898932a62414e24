/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_machine.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"

enum status bench_best_time(struct backend *backend, double seconds,
                            enum status (*call)(void *context), void *context, double *best_s) {
    double total_s = 0.0;
    *best_s = 1e30;
    for (int round = 0; round < 3 || total_s < seconds; round++) {
        const double start_s = clock_now_s();
        TRY(call(context));
        TRY(backend->ops->synchronize(backend));
        const double taken_s = clock_now_s() - start_s;
        total_s += taken_s;
        *best_s = taken_s < *best_s ? taken_s : *best_s;
    }
    return STATUS_OK;
}

enum { FILL_BLOCK = 1 << 20 };

/* The block in the form of `dtype`, at the beginning of the values. */
static enum status upload_block(struct backend *backend, void *values, enum dtype dtype, int64_t n,
                                float size) {
    float *block;
    void *narrow = NULL;
    TRY(memory_new(&block, n, "random numbers"));
    for (int64_t i = 0; i < n; i++)
        block[i] = size * (float)(random_uniform(1, RANDOM_TEST, (uint32_t)i, 0, 0, 0) - 0.5);
    enum status status = memory_allocate(&narrow, (size_t)n, dtype_bytes(dtype), "random numbers");
    if (status == STATUS_OK) {
        dtype_from_f32(dtype, block, narrow, n);
        status = backend->ops->upload(backend, values, narrow, (size_t)n * dtype_bytes(dtype));
    }
    memory_release(&narrow);
    memory_release(&block);
    return status;
}

/* Bytes go by the copy of fp32 numbers: what is there is doubled until it is enough. */
enum status bench_fill(struct backend *backend, void *values, enum dtype dtype, int64_t n,
                       float size) {
    const int64_t block = n < FILL_BLOCK ? n : FILL_BLOCK,
                  words = n * (int64_t)dtype_bytes(dtype) / 4;
    TRY(upload_block(backend, values, dtype, block, size));
    int64_t have = block * (int64_t)dtype_bytes(dtype) / 4;
    for (float *at = values; have < words;) {
        const int64_t more = words - have < have ? words - have : have;
        TRY(backend_run(backend, copy, .x = at, .out = at + have, .n = more));
        have += more;
    }
    return backend->ops->synchronize(backend);
}

/* --- ceilings of a device --- */

enum { COPY_FLOATS = 1 << 27, SQUARE = 8192 };

struct ceiling_case {
    struct backend *backend;
    float *from, *to;
    struct weight weight;
    enum dtype dtype; /* of the product's inputs and outputs */
};

static enum status run_copy(void *context) {
    const struct ceiling_case *c = context;
    return backend_run(c->backend, copy, .x = c->from, .out = c->to, .n = COPY_FLOATS);
}

static enum status run_square(void *context) {
    const struct ceiling_case *c = context;
    return backend_run(c->backend, gemm, .x = c->from, .weight = c->weight, .y = c->to,
                       .x_dtype = c->dtype, .y_dtype = c->dtype, .M = SQUARE, .ldx = SQUARE,
                       .ldy = SQUARE);
}

static enum status open_ceilings(struct ceiling_case *c) {
    struct backend *backend = c->backend;
    TRY(backend_new(backend, &c->from, COPY_FLOATS, "what is copied"));
    TRY(backend_new(backend, &c->to, COPY_FLOATS, "a copy"));
    TRY(weight_create(backend, &c->weight, SQUARE, SQUARE, DTYPE_BF16, "a square weight"));
    TRY(bench_fill(backend, c->from, DTYPE_F32, COPY_FLOATS, 0.1f));
    TRY(backend_run(backend, pack, .source = c->from, .weight = c->weight));
    return bench_fill(backend, c->from, c->dtype, COPY_FLOATS, 1.0f);
}

static enum status device_ceilings(struct backend *backend, double seconds,
                                   struct machine_ceilings *out) {
    struct ceiling_case c = {.backend = backend,
                             .dtype = backend->ops->activations(backend, DTYPE_BF16)};
    double copy_s = 1.0, square_s = 1.0;
    enum status status;
    TRY_ELSE(status, done, open_ceilings(&c));
    TRY_ELSE(status, done, bench_best_time(backend, seconds, run_copy, &c, &copy_s));
    TRY_ELSE(status, done, bench_best_time(backend, seconds, run_square, &c, &square_s));
    *out = (struct machine_ceilings){.fma_flops_all =
                                         2.0 * SQUARE * (double)SQUARE * SQUARE / square_s,
                                     .read_bytes_all = 8.0 * COPY_FLOATS / copy_s,
                                     .copy_bytes_all = 8.0 * COPY_FLOATS / copy_s};
done:
    weight_release(backend, &c.weight);
    backend_release(backend, &c.from);
    backend_release(backend, &c.to);
    return status;
}

/* --- of any backend --- */

static bool is_cpu(const struct backend *backend) {
    return strcmp(backend->ops->name, "cpu") == 0;
}

enum status bench_measure_ceilings(struct backend *backend, double seconds,
                                   struct machine_ceilings *out) {
    return is_cpu(backend) ? cpu_measure_ceilings(backend->threads, seconds, out)
                           : device_ceilings(backend, seconds, out);
}

void bench_print_ceilings(const struct backend *backend, const struct machine_ceilings *c) {
    if (!is_cpu(backend)) {
        printf("%s\n", backend->ops->text);
        printf("%-34s %10.1f TFLOP/s, a product of %d x %d x %d\n", "multiply-add peak, bf16",
               1e-12 * c->fma_flops_all, (int)SQUARE, (int)SQUARE, (int)SQUARE);
        printf("%-34s %10.1f GB/s\n", "memory copy (read + write)", 1e-9 * c->copy_bytes_all);
        return;
    }
    printf("threads %d\n", backend->threads);
    printf("%-34s %10.1f GFLOP/s on one core, %.1f on all\n", "multiply-add peak, fp32",
           1e-9 * c->fma_flops_1, 1e-9 * c->fma_flops_all);
    printf("%-34s %10.1f GB/s on one core, %.1f on all\n", "memory read", 1e-9 * c->read_bytes_1,
           1e-9 * c->read_bytes_all);
    printf("%-34s %10.1f GB/s on all\n", "memory copy (read + write)", 1e-9 * c->copy_bytes_all);
}
