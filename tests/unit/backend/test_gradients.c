/* SPDX-License-Identifier: Apache-2.0
 *
 * Every backward operation against central differences, in double, of the forward's formula; the
 * output head has test_head.c. The loss is Σ out · cotangent; every element of every input is moved
 * by ±1e-5. The differences are good to some 1e-9, so the tolerance, 3e-6 of the largest element, is
 * that of fp32 sums.
 */
#include "fixture.h"

static const double STEP = 1e-5, TOLERANCE = 3e-6;

/* Compares the gradient of `loss` with respect to values[0 … n) with a backend array. */
static void compare(struct fixture *f, const char *what, const float *gradient, double *values,
                    int64_t n, double (*loss)(const void *), const void *context) {
    double *want = fixture_host(f, n);
    for (int64_t i = 0; i < n; i++) {
        const double value = values[i];
        values[i] = value + STEP;
        const double above = loss(context);
        values[i] = value - STEP;
        want[i] = (above - loss(context)) / (2 * STEP);
        values[i] = value;
    }
    fixture_compare(f, what, gradient, want, n, TOLERANCE);
}

static double inner(const double *x, const double *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* --- gemm --- */

struct gemm_problem {
    double *x, *w, *bias, *y, *dy;
    int64_t M, N, K;
};

static double gemm_loss(const void *context) {
    const struct gemm_problem *p = context;
    reference_gemm(p->x, p->w, p->bias, NULL, p->y, p->M, p->N, p->K);
    return inner(p->y, p->dy, p->M * p->N);
}

static void test_gemm(struct fixture *f, int64_t M, int64_t N, int64_t K) {
    const float *x = fixture_normal(f, M * K, 0, 1), *w = fixture_normal(f, N * K, 0, 1);
    const float *bias = fixture_normal(f, N, 0, 1), *dy = fixture_normal(f, M * N, 0, 1);
    float *dx = fixture_floats(f, NULL, M * K), *dw = fixture_floats(f, NULL, N * K);
    float *dbias = fixture_floats(f, NULL, N);
    const struct weight weight = fixture_weight(f, w, N, K);
    const struct gemm_problem p = {.x = fixture_doubles(f, x, M * K),
                                   .w = fixture_doubles(f, w, N * K),
                                   .bias = fixture_doubles(f, bias, N),
                                   .y = fixture_host(f, M * N),
                                   .dy = fixture_doubles(f, dy, M * N),
                                   .M = M,
                                   .N = N,
                                   .K = K};
    CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight, .dx = dx, .M = M,
                         .ldy = N, .ldx = K));
    CHECK_OK(backend_run(&f->backend, gemm_dw, .dy = dy, .x = x, .dw = dw, .dbias = dbias, .M = M,
                         .N = N, .K = K, .ldy = N, .ldx = K));
    compare(f, "gemm_dx", dx, p.x, M * K, gemm_loss, &p);
    compare(f, "gemm_dw", dw, p.w, N * K, gemm_loss, &p);
    compare(f, "dbias", dbias, p.bias, N, gemm_loss, &p);
    double *twice = fixture_doubles(f, dx, M * K);
    for (int64_t i = 0; i < M * K; i++)
        twice[i] *= 2;
    CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight, .dx = dx, .M = M,
                         .ldy = N, .ldx = K, .add = true));
    fixture_compare(f, "gemm_dx, added", dx, twice, M * K, TOLERANCE);
    fixture_reset(f);
}

/* --- embedding --- */

struct embed_problem {
    double *table, *out, *dout;
    const int32_t *tokens;
    int64_t T, C;
};

static double embed_loss(const void *context) {
    const struct embed_problem *p = context;
    reference_embed(p->table, p->tokens, p->out, p->T, p->C);
    return inner(p->out, p->dout, p->T * p->C);
}

static void test_embed(struct fixture *f) {
    enum { V = 6, C = 20, T = 9 };
    static const int32_t ids[T] = {5, 0, 3, 3, 1, 5, 5, 0, 3};
    const float *table = fixture_normal(f, V * C, 0, 1), *dout = fixture_normal(f, T * C, 0, 1);
    float *dtable = fixture_floats(f, NULL, V * C);
    const struct embed_problem p = {.table = fixture_doubles(f, table, V * C),
                                    .out = fixture_host(f, T * C),
                                    .dout = fixture_doubles(f, dout, T * C),
                                    .tokens = ids,
                                    .T = T,
                                    .C = C};
    CHECK_OK(backend_run(&f->backend, scatter_rows, .x = dout, .rows = fixture_ints(f, ids, T),
                         .out = dtable, .R = T, .C = C));
    compare(f, "scatter_rows", dtable, p.table, V * C, embed_loss, &p);
    fixture_reset(f);
}

/* --- norm --- */

struct norm_problem {
    double *x, *weight, *y, *dy;
    int64_t T, C;
};

static double norm_loss(const void *context) {
    const struct norm_problem *p = context;
    reference_rmsnorm(p->x, p->weight, p->y, p->T, p->C, 1e-5);
    return inner(p->y, p->dy, p->T * p->C);
}

static void test_rmsnorm(struct fixture *f, int64_t T, int64_t C) {
    const float *x = fixture_normal(f, T * C, 0.2, 1), *weight = fixture_normal(f, C, 1, 0.3);
    const float *dy = fixture_normal(f, T * C, 0, 1);
    float *y = fixture_floats(f, NULL, T * C), *dx = fixture_normal(f, T * C, 0, 1);
    float *inverse = fixture_floats(f, NULL, T), *dweight = fixture_floats(f, NULL, C);
    const double *before = fixture_doubles(f, dx, T * C);
    const struct norm_problem p = {.x = fixture_doubles(f, x, T * C),
                                   .weight = fixture_doubles(f, weight, C),
                                   .y = fixture_host(f, T * C),
                                   .dy = fixture_doubles(f, dy, T * C),
                                   .T = T,
                                   .C = C};
    CHECK_OK(backend_run(&f->backend, rmsnorm, .x = x, .weight = weight, .y = y,
                         .inverse_rms = inverse, .T = T, .C = C, .epsilon = 1e-5f));
    CHECK_OK(backend_run(&f->backend, rmsnorm_backward, .x = x, .weight = weight,
                         .inverse_rms = inverse, .dy = dy, .dx = dx, .dweight = dweight, .T = T,
                         .C = C));
    float *difference = fixture_copy(f, dx, T * C);
    for (int64_t i = 0; i < T * C; i++) /* dx accumulates */
        difference[i] = (float)((double)difference[i] - before[i]);
    compare(f, "rmsnorm_backward, dx", fixture_floats(f, difference, T * C), p.x, T * C, norm_loss,
            &p);
    compare(f, "rmsnorm_backward, dweight", dweight, p.weight, C, norm_loss, &p);
    fixture_reset(f);
}

/* --- rope --- */

struct rope_problem {
    struct reference_rope args;
    double *dout;
};

static double rope_loss(const void *context) {
    const struct rope_problem *p = context;
    const struct reference_rope *a = &p->args;
    reference_rope(a);
    return inner(a->out, p->dout, a->T * (a->H + 2 * a->K) * a->D);
}

static void test_rope(struct fixture *f, int64_t D, bool norms) {
    enum { T = 35, H = 2, K = 1, POSITIONS = 5 };
    const int64_t width = (H + 2 * K) * D;
    int32_t at[T];
    for (int32_t t = 0; t < T; t++)
        at[t] = t * 3 % POSITIONS;
    const int32_t *positions = fixture_ints(f, at, T);
    const float *qkv = fixture_normal(f, T * width, 0, 1);
    float *angles = fixture_copy(f, fixture_normal(f, POSITIONS * D, 0, 1), POSITIONS * D);
    for (int64_t i = 0; i < POSITIONS * D / 2; i++) { /* cosines and sines of the drawn angles */
        const int64_t cosine = i / (D / 2) * D + i % (D / 2);
        const float angle = angles[cosine];
        angles[cosine] = cosf(angle);
        angles[cosine + D / 2] = sinf(angle);
    }
    const float *table = fixture_floats(f, angles, POSITIONS * D);
    const float *q = norms ? fixture_normal(f, D, 1, 0.3) : NULL;
    const float *k = norms ? fixture_normal(f, D, 1, 0.3) : NULL;
    float *dqkv = fixture_normal(f, T * width, 0, 1);
    float *dq = norms ? fixture_floats(f, NULL, D) : NULL;
    float *dk = norms ? fixture_floats(f, NULL, D) : NULL;
    double *x = fixture_doubles(f, qkv, T * width);
    double *q_norm = norms ? fixture_doubles(f, q, D) : NULL;
    double *k_norm = norms ? fixture_doubles(f, k, D) : NULL;
    const struct rope_problem p = {.args = {.qkv = x,
                                            .positions = at,
                                            .table = fixture_doubles(f, table, POSITIONS * D),
                                            .q_norm = q_norm,
                                            .k_norm = k_norm,
                                            .out = fixture_host(f, T * width),
                                            .T = T,
                                            .H = H,
                                            .K = K,
                                            .D = D,
                                            .epsilon = 1e-5},
                                   .dout = fixture_doubles(f, dqkv, T * width)};
    const struct rope_args forward = {.qkv = qkv,
                                      .positions = positions,
                                      .table = table,
                                      .q_norm = q,
                                      .k_norm = k,
                                      .T = T,
                                      .H = H,
                                      .K = K,
                                      .D = D,
                                      .epsilon = 1e-5f};
    CHECK_OK(backend_run(&f->backend, rope_backward, .forward = forward, .dqkv = dqkv,
                         .dq_norm = dq, .dk_norm = dk));
    compare(f, "rope_backward", dqkv, x, T * width, rope_loss, &p);
    if (norms) {
        compare(f, "rope_backward, dq_norm", dq, q_norm, D, rope_loss, &p);
        compare(f, "rope_backward, dk_norm", dk, k_norm, D, rope_loss, &p);
    }
    fixture_reset(f);
}

/* --- attention --- */

struct attention_problem {
    struct reference_attention args;
    double *dout;
};

static double attention_loss(const void *context) {
    const struct attention_problem *p = context;
    reference_attention(&p->args);
    return inner(p->args.out, p->dout, p->args.T * p->args.H * p->args.D);
}

static void test_attention(struct fixture *f) {
    enum { T = 15, H = 4, K = 2, D = 8, SEGMENTS = 4 };
    static const struct segment segments[SEGMENTS] = {
        {.start = 0, .length = 5, .parent = -1},
        {.start = 5, .length = 1, .parent = 0, .position = 5},
        {.start = 6, .length = 6, .parent = 0, .position = 5},
        {.start = 12, .length = 3, .parent = -1}};
    const int64_t width = (H + 2 * K) * D;
    const float *qkv = fixture_normal(f, T * width, 0, 1);
    const float *dout = fixture_normal(f, T * H * D, 0, 1);
    float *dqkv = fixture_floats(f, NULL, T * width), *log_sum = fixture_floats(f, NULL, T * H);
    float *out = fixture_floats(f, NULL, T * H * D);
    double *x = fixture_doubles(f, qkv, T * width);
    const struct attention_problem p = {.args = {.qkv = x,
                                                 .segments = segments,
                                                 .out = fixture_host(f, T * H * D),
                                                 .T = T,
                                                 .H = H,
                                                 .K = K,
                                                 .D = D,
                                                 .segment_count = SEGMENTS},
                                        .dout = fixture_doubles(f, dout, T * H * D)};
    const struct attention_args forward = {.plan = fixture_plan(f, segments, SEGMENTS, H, K, D),
                                           .qkv = qkv,
                                           .out = out,
                                           .log_sum = log_sum};
    CHECK_OK(f->backend.ops->attention(&f->backend, &forward));
    CHECK_OK(backend_run(&f->backend, attention_backward, .forward = forward, .dout = dout,
                         .dqkv = dqkv));
    compare(f, "attention_backward", dqkv, x, T * width, attention_loss, &p);
    fixture_reset(f);
}

/* --- swiglu --- */

struct swiglu_problem {
    double *gate_up, *out, *dout;
    int64_t T, F;
};

static double swiglu_loss(const void *context) {
    const struct swiglu_problem *p = context;
    reference_swiglu(p->gate_up, p->out, p->T, p->F);
    return inner(p->out, p->dout, p->T * p->F);
}

static void test_swiglu(struct fixture *f) {
    enum { T = 3, F = 45 };
    const float *gate_up = fixture_normal(f, T * 2 * F, 0, 3);
    const float *dout = fixture_normal(f, T * F, 0, 1);
    float *dgate_up = fixture_floats(f, NULL, T * 2 * F);
    const struct swiglu_problem p = {.gate_up = fixture_doubles(f, gate_up, T * 2 * F),
                                     .out = fixture_host(f, T * F),
                                     .dout = fixture_doubles(f, dout, T * F),
                                     .T = T,
                                     .F = F};
    CHECK_OK(backend_run(&f->backend, swiglu_backward, .gate_up = gate_up, .dout = dout,
                         .dgate_up = dgate_up, .T = T, .F = F));
    compare(f, "swiglu_backward", dgate_up, p.gate_up, T * 2 * F, swiglu_loss, &p);
    fixture_reset(f);
}

/* --- head --- */

static void test_all(struct fixture *f) {
    test_gemm(f, 1, 5, 7);
    test_gemm(f, 13, 37, 19);
    test_embed(f);
    test_rmsnorm(f, 3, 21);
    test_rmsnorm(f, 40, 16); /* more rows than a block of the sum over rows */
    test_rope(f, 8, false);
    test_rope(f, 8, true);
    test_attention(f);
    test_swiglu(f);
}

int main(void) {
    fixture_every(test_all);
    return CHECK_END();
}
