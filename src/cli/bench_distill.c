/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus bench distill: the loss of a distillation and its gradient, from hidden states of student and
 * teacher, beside the products in it alone; and the memory it takes, beside what logits would.
 */
#include "cli/bench.h"

#include <stdio.h>

#include "base/memory.h"
#include "model/distill_head.h"

/* --- the products alone --- */

/* The backend, but with operations of the loss that do nothing. */
struct bare {
    struct backend_ops ops;
    struct backend backend;
};

#define X(op)                                                                                      \
    static enum status no_##op(struct backend *backend, const struct op##_args *args) {            \
        (void)backend, (void)args;                                                                 \
        return STATUS_OK;                                                                          \
    }
X(head_block)
X(head_finish)
X(head_backward)
X(distill_top)
X(distill_block)
X(distill_finish)
X(distill_backward)
#undef X

static void bare_open(struct bare *bare, const struct backend *backend) {
    bare->ops = *backend->ops;
    bare->ops.head_block = no_head_block;
    bare->ops.head_finish = no_head_finish;
    bare->ops.head_backward = no_head_backward;
    bare->ops.distill_top = no_distill_top;
    bare->ops.distill_block = no_distill_block;
    bare->ops.distill_finish = no_distill_finish;
    bare->ops.distill_backward = no_distill_backward;
    bare->backend = *backend;
    bare->backend.ops = &bare->ops;
}

/* --- one loss --- */

struct distill_case {
    struct distill_head head;
    struct distill_memory memory;
    float *weight; /* (R), host */
    float *dx;     /* (R, C) */
    /* with the gradient of the head: (R, width) each, and (width, C) */
    float *logits, *logits_teacher, *dw;
    void *d_logits;
    int64_t width;
};

static enum status rows_gradient(void *context) {
    struct distill_case *c = context;
    return distill_head_forward(&c->head, &c->memory, c->weight, c->dx);
}

static enum status block_gradient(struct distill_case *c, int64_t begin) {
    const struct distill_head *head = &c->head;
    const int64_t V = head->student_head.rows, C = head->student_head.columns;
    const int64_t columns = V - begin < c->width ? V - begin : c->width;
    struct distill_found found;
    TRY(distill_head_block(head, &c->memory,
                           &(struct distill_block_gradient){.begin = begin,
                                                            .columns = columns,
                                                            .ld = c->width,
                                                            .logits = c->logits,
                                                            .logits_teacher = c->logits_teacher,
                                                            .out = c->d_logits},
                           &found));
    return backend_run(head->backend, gemm_dw, .dy = found.d_logits, .x = head->student,
                       .dw = c->dw, .dy_dtype = head->dtype, .x_dtype = head->dtype, .M = head->R,
                       .N = columns, .K = C, .ldy = found.ld, .ldx = C);
}

static enum status all_gradients(void *context) {
    struct distill_case *c = context;
    TRY(distill_head_forward(&c->head, &c->memory, c->weight, c->dx));
    for (int64_t begin = 0; begin < c->head.student_head.rows; begin += c->width)
        TRY(block_gradient(c, begin));
    return STATUS_OK;
}

static enum status time_one(const struct bench *bench, struct distill_case *c, const char *name,
                            enum status (*call)(void *context), int products) {
    const struct weight *weight = &c->head.student_head;
    struct bare bare;
    double whole_s, alone_s;
    c->head.backend = bench->backend;
    TRY(bench_best_time(bench->backend, bench->seconds, call, c, &whole_s));
    bare_open(&bare, bench->backend);
    c->head.backend = &bare.backend;
    TRY(bench_best_time(bench->backend, bench->seconds, call, c, &alone_s));
    c->head.backend = bench->backend;
    const double flops =
        2.0 * products * (double)c->head.R * (double)weight->rows * (double)weight->columns;
    printf("%-38s %6lld tokens %10.3f ms, its %d products alone %10.3f ms, %.2f of their speed; "
           "%10.1f GFLOP/s %6.1f %% of peak\n",
           name, (long long)c->head.R, 1e3 * whole_s, products, 1e3 * alone_s, alone_s / whole_s,
           1e-9 * flops / whole_s, 100.0 * flops / whole_s / bench->ceilings.fma_flops_all);
    fflush(stdout);
    return STATUS_OK;
}

/* --- all --- */

static const struct {
    const char *name;
    struct distill_settings settings;
    int32_t top_k;
} losses[] = {
    {"jsd", {.divergence = DIVERGENCE_JSD, .beta = 0.5f, .temperature = 1.2f}, 0},
    {"jsd, entries clipped",
     {.divergence = DIVERGENCE_JSD, .beta = 0.5f, .clip = 1e-4f, .temperature = 1.2f},
     0},
    {"forward_kl", {.divergence = DIVERGENCE_FORWARD_KL, .temperature = 1.2f}, 0},
    {"reverse_kl", {.divergence = DIVERGENCE_REVERSE_KL, .temperature = 1.2f}, 0},
    {"jsd, top 100", {.divergence = DIVERGENCE_JSD, .beta = 0.5f, .temperature = 1.2f}, 100},
    {"sampled", {.sampled = true, .temperature = 1.2f}, 0},
};

static enum status open_weight(struct backend *b, const struct hparams *shape, enum dtype dtype,
                               struct weight *weight) {
    const int64_t n = shape->V * shape->C;
    float *values = NULL;
    enum status status;
    TRY(weight_create(b, weight, shape->V, shape->C, dtype, "bench weight"));
    TRY(backend_new(b, &values, n, "bench weight"));
    TRY_ELSE(status, done, bench_fill(b, values, DTYPE_F32, n, 0.1f));
    TRY_ELSE(status, done, backend_run(b, pack, .source = values, .weight = *weight));
done:
    backend_release(b, &values);
    return status;
}

/* Rows of one model; the other begins a row later in them. */
static enum status open_rows(struct backend *b, struct distill_head *head, void **rows) {
    const int64_t C = head->student_head.columns, n = (head->R + 1) * C;
    int32_t *targets = NULL;
    TRY(backend_allocate(b, rows, (size_t)n, dtype_bytes(head->dtype), "bench rows"));
    TRY(bench_fill(b, *rows, head->dtype, n, 16.0f));
    head->student = *rows;
    head->teacher = (char *)*rows + C * (int64_t)dtype_bytes(head->dtype);
    TRY(backend_new(b, &targets, head->R, "bench targets"));
    head->targets = targets;
    return STATUS_OK;
}

static enum status open_case(const struct bench *bench, const struct hparams *shape,
                             struct distill_case *c, void **rows) {
    struct backend *b = bench->backend;
    const int64_t most = b->ops->head_columns, R = c->head.R;
    TRY(open_weight(b, shape, bench->dtype, &c->head.student_head));
    c->head.teacher_head = c->head.student_head;
    TRY(open_rows(b, &c->head, rows));
    TRY(memory_new(&c->weight, R, "bench weights"));
    for (int64_t r = 0; r < R; r++)
        c->weight[r] = 1.0f / (float)R;
    TRY(backend_new(b, &c->dx, R * shape->C, "bench gradient"));
    c->width = shape->V < most ? shape->V : most;
    return STATUS_OK;
}

static enum status open_width(struct backend *b, struct distill_case *c) {
    const int64_t n = c->head.R * c->width;
    TRY(backend_new(b, &c->logits, n, "logits"));
    TRY(backend_new(b, &c->logits_teacher, n, "logits of the teacher"));
    TRY(backend_new(b, &c->dw, c->width * c->head.student_head.columns, "bench gradient"));
    if (c->head.dtype == DTYPE_F32)
        c->d_logits = c->logits;
    else
        TRY(backend_allocate(b, &c->d_logits, (size_t)n, dtype_bytes(c->head.dtype),
                             "gradient of the logits"));
    return STATUS_OK;
}

static void close_case(struct backend *b, struct distill_case *c, void **rows) {
    if (c->d_logits != c->logits)
        backend_release(b, &c->d_logits);
    backend_release(b, &c->logits);
    backend_release(b, &c->logits_teacher);
    backend_release(b, &c->dw);
    backend_release(b, &c->dx);
    backend_release(b, &c->head.targets);
    backend_release(b, rows);
    memory_release(&c->weight);
    distill_memory_release(b, &c->memory);
    weight_release(b, &c->head.student_head);
}

static double mib(int64_t bytes) {
    return (double)bytes / (1 << 20);
}

/* What a loss takes while it works, by the books. */
static enum status show_memory(struct backend *b, struct distill_case *c) {
    const double logits = 2.0 * (double)c->head.R * (double)c->head.student_head.rows;
    const int64_t before = memory_totals().bytes;
    TRY(distill_memory_reserve(&c->memory, &c->head));
    const int64_t rows = memory_totals().bytes - before;
    TRY(open_width(b, c));
    printf(
        "memory of the loss: %.1f MiB, with the gradient of the head %.1f MiB; the logits of both "
        "models would be %.1f MiB\n",
        mib(rows), mib(memory_totals().bytes - before), 4.0 * logits / (1 << 20));
    return STATUS_OK;
}

static enum status time_losses(const struct bench *bench, struct distill_case *c) {
    char name[64];
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        c->head.settings = losses[i].settings;
        c->head.top_k = losses[i].top_k;
        snprintf(name, sizeof name, "%s, hidden states", losses[i].name);
        TRY(time_one(bench, c, name, rows_gradient, 3));
        snprintf(name, sizeof name, "%s, head as well", losses[i].name);
        if (i == 0)
            TRY(time_one(bench, c, name, all_gradients,
                         distill_head_rows(&c->head) == c->head.R ? 4 : 6));
    }
    return STATUS_OK;
}

enum status bench_distill(const struct bench *bench, const struct hparams *hparams,
                          int64_t tokens) {
    struct backend *b = bench->backend;
    struct distill_case c = {.head = {.backend = b,
                                      .R = tokens > 0 ? tokens : bench->rows[bench->row_count - 1],
                                      .dtype = b->ops->activations(b, bench->dtype),
                                      .settings = losses[0].settings}};
    void *rows = NULL;
    enum status status = open_case(bench, hparams, &c, &rows);
    if (status == STATUS_OK)
        status = show_memory(b, &c);
    if (status == STATUS_OK)
        status = time_losses(bench, &c);
    close_case(b, &c, &rows);
    return status;
}
