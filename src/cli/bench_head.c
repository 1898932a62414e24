/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus bench head: log-probabilities and entropies of rows of hidden states, and their gradient,
 * beside the products in them alone; by how many columns of the vocabulary at once.
 */
#include "cli/bench.h"

#include <stdio.h>

#include "base/memory.h"

struct head_case {
    struct backend *backend;
    int64_t R, V, C, width; /* columns at once */
    struct weight weight;   /* (V, C) */
    enum dtype dtype;       /* of activations */
    bool products_alone;
    void *normed, *d_logits; /* (R, C), (R, width) */
    float *logits, *dx, *dw; /* (R, width), (R, C), (width, C) */
    struct head_row *rows;
    struct head_shift *shift;
    int32_t *targets;
    float *scores; /* (4, R): log-probability, entropy, and the gradients of both */
};

static enum status logits_of(struct head_case *c, int64_t begin, int64_t columns) {
    return backend_run(c->backend, gemm, .x = c->normed,
                       .weight = weight_view(&c->weight, begin, columns), .y = c->logits,
                       .x_dtype = c->dtype, .y_dtype = DTYPE_F32, .M = c->R, .ldx = c->C,
                       .ldy = c->width);
}

static enum status forward_block(struct head_case *c, int64_t begin, int64_t columns) {
    TRY(logits_of(c, begin, columns));
    if (c->products_alone)
        return STATUS_OK;
    return backend_run(c->backend, head_block, .logits = c->logits, .targets = c->targets,
                       .rows = c->rows, .R = c->R, .columns = columns, .ld = c->width,
                       .begin = begin, .temperature = 1);
}

static enum status backward_block(struct head_case *c, int64_t begin, int64_t columns) {
    TRY(logits_of(c, begin, columns));
    if (!c->products_alone)
        TRY(backend_run(c->backend, head_backward, .logits = c->logits, .targets = c->targets,
                        .shift = c->shift, .entropy = c->scores + c->R,
                        .d_logprob = c->scores + 2 * c->R, .d_entropy = c->scores + 3 * c->R,
                        .out = c->d_logits, .R = c->R, .columns = columns, .ld = c->width,
                        .begin = begin, .temperature = 1, .dtype = c->dtype));
    TRY(backend_run(c->backend, gemm_dx, .dy = c->d_logits,
                    .weight = weight_view(&c->weight, begin, columns), .dx = c->dx,
                    .dy_dtype = c->dtype, .dx_dtype = DTYPE_F32, .M = c->R, .ldy = c->width,
                    .ldx = c->C, .add = begin > 0));
    return backend_run(c->backend, gemm_dw, .dy = c->d_logits, .x = c->normed, .dw = c->dw,
                       .dy_dtype = c->dtype, .x_dtype = c->dtype, .M = c->R, .N = columns,
                       .K = c->C, .ldy = c->width, .ldx = c->C);
}

static enum status each_block(struct head_case *c,
                              enum status (*block)(struct head_case *c, int64_t, int64_t)) {
    for (int64_t begin = 0; begin < c->V; begin += c->width)
        TRY(block(c, begin, c->V - begin < c->width ? c->V - begin : c->width));
    return STATUS_OK;
}

static enum status forward(void *context) {
    struct head_case *c = context;
    TRY(each_block(c, forward_block));
    return c->products_alone ? STATUS_OK
                             : backend_run(c->backend, head_finish, .rows = c->rows,
                                           .logprob = c->scores, .entropy = c->scores + c->R,
                                           .shift = c->shift, .R = c->R, .temperature = 1);
}

static enum status backward(void *context) {
    return each_block(context, backward_block);
}

/* --- one width --- */

static enum status open_width(struct head_case *c) {
    struct backend *b = c->backend;
    const int64_t n = c->R * c->width;
    TRY(backend_new(b, &c->logits, n, "bench logits"));
    c->d_logits = c->logits; /* over them, in fp32 */
    if (c->dtype != DTYPE_F32)
        TRY(backend_allocate(b, &c->d_logits, (size_t)n, dtype_bytes(c->dtype), "bench logits"));
    TRY(bench_fill(b, c->d_logits, c->dtype, n, 1.0f));
    return backend_new(b, &c->dw, c->width * c->C, "bench gradient");
}

static void close_width(struct head_case *c) {
    if (c->d_logits != c->logits)
        backend_release(c->backend, &c->d_logits);
    backend_release(c->backend, &c->logits);
    backend_release(c->backend, &c->dw);
}

/* Columns that a run takes at once. */
static int64_t as_runs(const struct head_case *c) {
    const int64_t columns = c->backend->ops->head_columns;
    return columns < c->V ? columns : c->V;
}

static enum status time_one(const struct bench *bench, struct head_case *c, const char *name,
                            enum status (*call)(void *context), int products) {
    double whole_s, alone_s;
    c->products_alone = false;
    TRY(bench_best_time(c->backend, bench->seconds, call, c, &whole_s));
    c->products_alone = true;
    TRY(bench_best_time(c->backend, bench->seconds, call, c, &alone_s));
    const double flops = 2.0 * products * (double)c->R * (double)c->V * (double)c->C;
    printf(
        "%-15s %6lld rows, %6lld columns at once %10.3f ms, its products alone %10.3f ms, %.2f of "
        "their speed; %10.1f GFLOP/s %6.1f %% of peak%s\n",
        name, (long long)c->R, (long long)c->width, 1e3 * whole_s, 1e3 * alone_s, alone_s / whole_s,
        1e-9 * flops / whole_s, 100.0 * flops / whole_s / bench->ceilings.fma_flops_all,
        c->width == as_runs(c) ? ", as runs take it" : "");
    fflush(stdout);
    return STATUS_OK;
}

static enum status time_width(const struct bench *bench, struct head_case *c) {
    enum status status;
    TRY_ELSE(status, done, open_width(c));
    TRY_ELSE(status, done, time_one(bench, c, "head", forward, 1));
    TRY_ELSE(status, done, time_one(bench, c, "head, gradient", backward, 3));
done:
    close_width(c);
    return status;
}

/* --- all --- */

static enum status open_case(struct head_case *c, enum dtype weights) {
    struct backend *b = c->backend;
    float *values = NULL;
    enum status status;
    TRY(weight_create(b, &c->weight, c->V, c->C, weights, "bench weight"));
    TRY(backend_new(b, &values, c->V * c->C, "bench weight"));
    TRY_ELSE(status, done, bench_fill(b, values, DTYPE_F32, c->V * c->C, 0.1f));
    TRY_ELSE(status, done, backend_run(b, pack, .source = values, .weight = c->weight));
done:
    backend_release(b, &values);
    TRY(status);
    TRY(backend_allocate(b, &c->normed, (size_t)(c->R * c->C), dtype_bytes(c->dtype),
                         "bench rows"));
    TRY(bench_fill(b, c->normed, c->dtype, c->R * c->C, 1.0f));
    TRY(backend_new(b, &c->dx, c->R * c->C, "bench gradient"));
    TRY(backend_new(b, &c->rows, c->R, "bench sums"));
    TRY(backend_new(b, &c->shift, c->R, "bench sums"));
    TRY(backend_new(b, &c->targets, c->R, "bench targets"));
    TRY(backend_new(b, &c->scores, 4 * c->R, "bench scores"));
    return bench_fill(b, c->scores, DTYPE_F32, 4 * c->R, 1.0f);
}

static void close_case(struct head_case *c) {
    weight_release(c->backend, &c->weight);
    backend_release(c->backend, &c->normed);
    backend_release(c->backend, &c->dx);
    backend_release(c->backend, &c->rows);
    backend_release(c->backend, &c->shift);
    backend_release(c->backend, &c->targets);
    backend_release(c->backend, &c->scores);
}

/* The CPU takes one width; a GPU may be timed by others than its own. */
enum status bench_head(const struct bench *bench, const struct hparams *hparams) {
    const struct backend_ops *ops = bench->backend->ops;
    const int64_t widths[] = {HEAD_BLOCK, 4 * HEAD_BLOCK, 16 * HEAD_BLOCK, 32 * HEAD_BLOCK};
    struct head_case c = {.backend = bench->backend,
                          .R = bench->rows[bench->row_count - 1],
                          .V = hparams->V,
                          .C = hparams->C,
                          .dtype = ops->activations(bench->backend, bench->dtype)};
    enum status status = open_case(&c, bench->dtype);
    for (size_t i = 0; status == STATUS_OK && i < sizeof widths / sizeof *widths; i++) {
        const int64_t before = c.width;
        c.width = widths[i] < c.V ? widths[i] : c.V;
        if (c.width > before && (!ops->host_memory || widths[i] == ops->head_columns))
            status = time_width(bench, &c);
    }
    close_case(&c);
    return status;
}
