/* SPDX-License-Identifier: Apache-2.0
 *
 * The bits of every result are the same for 1, 2, 3 and 5 threads, forward and backward.
 */
#include "base/strbuf.h"
#include "fixture.h"

enum { T = 197, C = 320, H = 5, K = 1, D = 64, F = 768, V = 5000, WIDTH = (H + 2 * K) * D };

/* All results of one run, one behind the other, and where each begins. */
struct results {
    struct strbuf bytes;
    struct {
        const char *name;
        size_t end;
    } parts[64];
    int count;
};

static void keep(struct fixture *f, struct results *results, const char *name, const void *array,
                 size_t bytes) {
    char *host = calloc(1, bytes);
    ASSERT(host != NULL && results->count < 64);
    CHECK_OK(f->backend.ops->download(&f->backend, host, array, bytes));
    CHECK_OK(strbuf_append(&results->bytes, host, bytes));
    free(host);
    results->parts[results->count].name = name;
    results->parts[results->count++].end = results->bytes.length;
}

static void keep_floats(struct fixture *f, struct results *results, const char *name,
                        const float *array, int64_t n) {
    keep(f, results, name, array, (size_t)n * sizeof *array);
}

static void run_products(struct fixture *f, struct results *results) {
    const float *x = fixture_normal(f, T * C, 0, 1), *source = fixture_normal(f, F * C, 0, 1);
    const float *bias = fixture_normal(f, F, 0, 1), *dy = fixture_normal(f, T * F, 0, 1);
    const struct weight weight = fixture_weight(f, source, F, C);
    float *y = fixture_floats(f, NULL, T * F), *dx = fixture_floats(f, NULL, T * C);
    float *dw = fixture_floats(f, NULL, F * C), *dbias = fixture_floats(f, NULL, F);
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .bias = bias, .y = y, .M = T,
                         .ldx = C, .ldy = F));
    CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight, .dx = dx, .M = T,
                         .ldy = F, .ldx = C));
    CHECK_OK(backend_run(&f->backend, gemm_dw, .dy = dy, .x = x, .dw = dw, .dbias = dbias, .M = T,
                         .N = F, .K = C, .ldy = F, .ldx = C));
    keep_floats(f, results, "gemm", y, T * F);
    keep_floats(f, results, "gemm_dx", dx, T * C);
    keep_floats(f, results, "gemm_dw", dw, F * C);
    keep_floats(f, results, "dbias", dbias, F);
    fixture_reset(f);
}

static void run_rows(struct fixture *f, struct results *results) {
    int32_t ids[T];
    for (int32_t t = 0; t < T; t++)
        ids[t] = t * t % 29;
    const float *x = fixture_normal(f, T * C, 0, 1), *weight = fixture_normal(f, C, 1, 0.1);
    const float *dy = fixture_normal(f, T * C, 0, 1);
    const int32_t *rows = fixture_ints(f, ids, T);
    float *y = fixture_floats(f, NULL, T * C), *inverse = fixture_floats(f, NULL, T);
    float *dx = fixture_floats(f, NULL, T * C), *dweight = fixture_floats(f, NULL, C);
    float *sum = fixture_floats(f, NULL, 29 * C);
    CHECK_OK(backend_run(&f->backend, rmsnorm, .x = x, .weight = weight, .y = y,
                         .inverse_rms = inverse, .T = T, .C = C, .epsilon = 1e-6f));
    CHECK_OK(backend_run(&f->backend, rmsnorm_backward, .x = x, .weight = weight,
                         .inverse_rms = inverse, .dy = dy, .dx = dx, .dweight = dweight, .T = T,
                         .C = C));
    CHECK_OK(
        backend_run(&f->backend, scatter_rows, .x = x, .rows = rows, .out = sum, .R = T, .C = C));
    keep_floats(f, results, "rmsnorm", y, T * C);
    keep_floats(f, results, "rmsnorm_backward, dx", dx, T * C);
    keep_floats(f, results, "rmsnorm_backward, dweight", dweight, C);
    keep_floats(f, results, "scatter_rows", sum, 29 * C);
    const float *gate_up = fixture_normal(f, T * 2 * F, 0, 1);
    float *activated = fixture_floats(f, NULL, T * F),
          *dgate_up = fixture_floats(f, NULL, T * 2 * F);
    CHECK_OK(
        backend_run(&f->backend, swiglu, .gate_up = gate_up, .out = activated, .T = T, .F = F));
    CHECK_OK(backend_run(&f->backend, swiglu_backward, .gate_up = gate_up, .dout = activated,
                         .dgate_up = dgate_up, .T = T, .F = F));
    keep_floats(f, results, "swiglu", activated, T * F);
    keep_floats(f, results, "swiglu_backward", dgate_up, T * 2 * F);
    fixture_reset(f);
}

static void run_attention(struct fixture *f, struct results *results) {
    static const struct segment segments[] = {
        {.start = 0, .length = 60, .parent = -1},
        {.start = 60, .length = 70, .parent = 0, .position = 60},
        {.start = 130, .length = 67, .parent = 0, .position = 60}};
    int32_t at[T];
    for (int32_t t = 0; t < T; t++)
        at[t] = t < 130 ? t : t - 70;
    const float *qkv = fixture_normal(f, T * WIDTH, 0, 1);
    const float *table = fixture_normal(f, (int64_t)T * D, 0, 0.7);
    const float *q = fixture_normal(f, D, 1, 0.1), *k = fixture_normal(f, D, 1, 0.1);
    const float *dout = fixture_normal(f, (int64_t)T * H * D, 0, 1);
    float *rotated = fixture_floats(f, NULL, T * WIDTH), *dqkv = fixture_floats(f, NULL, T * WIDTH);
    float *out = fixture_floats(f, NULL, (int64_t)T * H * D);
    float *log_sum = fixture_floats(f, NULL, (int64_t)T * H);
    float *dq = fixture_floats(f, NULL, D), *dk = fixture_floats(f, NULL, D);
    const struct rope_args rope = {.qkv = qkv,
                                   .positions = fixture_ints(f, at, T),
                                   .table = table,
                                   .q_norm = q,
                                   .k_norm = k,
                                   .out = rotated,
                                   .T = T,
                                   .H = H,
                                   .K = K,
                                   .D = D,
                                   .epsilon = 1e-6f};
    const struct attention_args attention = {.plan = fixture_plan(f, segments, 3, H, K, D),
                                             .qkv = rotated,
                                             .out = out,
                                             .log_sum = log_sum};
    CHECK_OK(f->backend.ops->rope(&f->backend, &rope));
    CHECK_OK(f->backend.ops->attention(&f->backend, &attention));
    CHECK_OK(backend_run(&f->backend, attention_backward, .forward = attention, .dout = dout,
                         .dqkv = dqkv));
    keep_floats(f, results, "rope", rotated, T * WIDTH);
    keep_floats(f, results, "attention", out, (int64_t)T * H * D);
    keep_floats(f, results, "attention_backward", dqkv, T * WIDTH);
    CHECK_OK(backend_run(&f->backend, rope_backward, .forward = rope, .dqkv = dqkv, .dq_norm = dq,
                         .dk_norm = dk));
    keep_floats(f, results, "rope_backward", dqkv, T * WIDTH);
    keep_floats(f, results, "rope_backward, dq_norm", dq, D);
    keep_floats(f, results, "rope_backward, dk_norm", dk, D);
    fixture_reset(f);
}

static void run_head(struct fixture *f, struct results *results) {
    enum { R = 24 };
    int32_t ids[R];
    double uniforms[R];
    for (int32_t r = 0; r < R; r++) {
        ids[r] = r * 208;
        uniforms[r] = random_uniform(1, RANDOM_TEST, (uint32_t)r, 0, 0, 0);
    }
    float *logits = fixture_normal(f, R * V, 0, 2), *out[2];
    const float *dlogprob = fixture_normal(f, R, 0, 1), *dentropy = fixture_normal(f, R, 0, 1);
    const int32_t *targets = fixture_ints(f, ids, R);
    struct head_row *rows = fixture_upload(f, NULL, R * sizeof *rows);
    struct head_shift *shift = fixture_upload(f, NULL, R * sizeof *shift);
    int32_t *tokens = fixture_ints(f, NULL, R);
    for (int i = 0; i < 2; i++)
        out[i] = fixture_floats(f, NULL, R);
    CHECK_OK(backend_run(&f->backend, head_block, .logits = logits, .targets = targets,
                         .rows = rows, .R = R, .columns = V, .ld = V, .temperature = 0.8f));
    CHECK_OK(backend_run(&f->backend, head_finish, .rows = rows, .logprob = out[0],
                         .entropy = out[1], .shift = shift, .R = R, .temperature = 0.8f));
    CHECK_OK(backend_run(&f->backend, sample, .logits = logits,
                         .uniforms = fixture_upload(f, uniforms, sizeof uniforms), .tokens = tokens,
                         .B = R, .V = V, .ld = V,
                         .settings = {.temperature = 1, .top_p = 0.9f, .top_k = 100}));
    CHECK_OK(backend_run(&f->backend, head_backward, .logits = logits, .targets = targets,
                         .shift = shift, .entropy = out[1], .d_logprob = dlogprob,
                         .d_entropy = dentropy, .out = logits, .R = R, .columns = V, .ld = V,
                         .temperature = 0.8f));
    keep_floats(f, results, "logprob", out[0], R);
    keep_floats(f, results, "entropy", out[1], R);
    keep_floats(f, results, "head_backward", logits, R * V);
    keep(f, results, "sample", tokens, R * sizeof *tokens);
    fixture_reset(f);
}

static void run_extrapolate(struct fixture *f, struct results *results, const float *gradient,
                            int64_t n) {
    const int64_t blocks = (n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    const size_t bytes = (size_t)blocks * sizeof(struct extrapolation_sums);
    struct extrapolation_sums *sums = fixture_upload(f, NULL, bytes);
    float *parameters = fixture_normal(f, n, 0, 1);
    CHECK_OK(backend_run(&f->backend, adamw_extrapolate,
                         .step = {.parameters = parameters,
                                  .exp_avg = fixture_normal(f, n, 0, 0.1),
                                  .exp_avg_sq = fixture_normal(f, n, 1, 1e-3),
                                  .gradient = gradient,
                                  .n = n,
                                  .learning_rate = 1e-2,
                                  .beta1 = 0.9,
                                  .beta2 = 0.99,
                                  .epsilon = 1e-8,
                                  .gradient_scale = 1,
                                  .correction1 = 0.1,
                                  .correction2 = 0.01},
                         .start = fixture_normal(f, n, 0, 1),
                         .start_gradient = fixture_normal(f, n, 0, 1), .start_scale = 0.5,
                         .how = {.steps = 5,
                                 .reposition = 0.5,
                                 .ratio_least = -2,
                                 .ratio_most = 3,
                                 .scale_least = 1,
                                 .scale_most = 3.5},
                         .blocks = sums));
    CHECK_OK(strbuf_append(&results->bytes, (const char *)sums, bytes));
    keep_floats(f, results, "adamw_extrapolate", parameters, n);
}

static void run_vectors(struct fixture *f, struct results *results) {
    enum { N = 3 * VECTOR_BLOCK + 77 };
    float *x = fixture_normal(f, N, 0, 1), *y = fixture_normal(f, N, 0, 1);
    float *m = fixture_floats(f, NULL, N), *v = fixture_floats(f, NULL, N);
    int64_t *total = fixture_upload(f, NULL, N * sizeof *total);
    struct refused *refused = fixture_upload(f, NULL, sizeof *refused);
    double *blocks = fixture_upload(f, NULL, 4 * sizeof *blocks);
    x[5] = NAN;
    x[N - 1] = 1e30f;
    CHECK_OK(backend_run(&f->backend, accumulate, .values = x, .total = total, .n = N,
                         .scale_bits = 54, .bound = 0x1p60, .refused = refused));
    CHECK_NEAR(refused->largest, (double)1e30f, 0);
    CHECK_EQ(refused->nonfinite, 1);
    CHECK_OK(backend_run(&f->backend, resolve, .total = total, .out = x, .n = N, .scale_bits = 54));
    CHECK_OK(backend_run(&f->backend, dot, .x = x, .y = y, .blocks = blocks, .n = N));
    CHECK_OK(backend_run(&f->backend, lerp, .x = x, .y = y, .out = y, .n = N, .factor = 0.2f));
    CHECK_OK(backend_run(&f->backend, adamw, .parameters = x, .exp_avg = m, .exp_avg_sq = v,
                         .gradient = y, .n = N, .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99,
                         .epsilon = 1e-8, .gradient_scale = 1, .correction1 = 0.1,
                         .correction2 = 0.01));
    CHECK_OK(strbuf_append(&results->bytes, (const char *)blocks, 4 * sizeof *blocks));
    keep_floats(f, results, "dot, lerp", y, N);
    keep_floats(f, results, "adamw", x, N);
    run_extrapolate(f, results, y, N);
    fixture_reset(f);
}

static void run(int threads, struct results *results) {
    struct fixture f;
    fixture_open(&f, "cpu", threads);
    run_products(&f, results);
    run_rows(&f, results);
    run_attention(&f, results);
    run_head(&f, results);
    run_vectors(&f, results);
    fixture_close(&f);
}

static void compare(const struct results *want, const struct results *have, int threads) {
    size_t begin = 0;
    CHECK_EQ(have->bytes.length, want->bytes.length);
    for (int i = 0; i < want->count && have->bytes.length == want->bytes.length; i++) {
        const size_t bytes = want->parts[i].end - begin;
        if (memcmp(want->bytes.text + begin, have->bytes.text + begin, bytes) != 0)
            CHECK_FAILED("%s: other bits with %d threads than with 1", want->parts[i].name,
                         threads);
        begin = want->parts[i].end;
    }
}

int main(void) {
    static const int threads[] = {5, 3, 2};
    struct results single = {.bytes = STRBUF_EMPTY};
    run(1, &single);
    for (size_t i = 0; i < 3; i++) {
        struct results other = {.bytes = STRBUF_EMPTY};
        run(threads[i], &other);
        compare(&single, &other, threads[i]);
        strbuf_release(&other.bytes);
    }
    strbuf_release(&single.bytes);
    return CHECK_END();
}
