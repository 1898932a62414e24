/* SPDX-License-Identifier: Apache-2.0
 *
 * The bits of a product's row are those of the row computed alone with one thread, whatever the
 * number of rows and threads, and whatever stands in the other rows; each element is one chain of
 * multiply-adds. The same with bf16 weights. Weights survive packing, and views of them are the
 * same product.
 */
#include "fixture.h"

enum { MOST = 301 };

struct shape {
    int64_t K, N;
};

/* Row by row, by a backend with one thread, with the fixture's instruction set. */
static void rows_alone(const float *x, struct weight weight, const float *bias,
                       const float *residual, float *y, int64_t M) {
    struct backend one;
    CHECK_OK(backend_open(&one, "cpu", 1));
    const int64_t K = weight.columns, N = weight.rows;
    for (int64_t m = 0; m < M; m++)
        CHECK_OK(backend_run(&one, gemm, .x = x + m * K, .weight = weight, .bias = bias,
                             .residual = residual + m * N, .y = y + m * N, .M = 1, .ldx = K,
                             .ldy = N));
    backend_close(&one);
}

static void compare_rows(struct fixture *f, struct shape shape, enum dtype dtype) {
    const int64_t K = shape.K, N = shape.N;
    float *x = fixture_normal(f, MOST * K, 0, 1), *y = fixture_floats(f, NULL, MOST * N);
    const float *bias = fixture_normal(f, N, 0, 1), *residual = fixture_normal(f, MOST * N, 0, 1);
    const struct weight weight = fixture_weight_as(f, fixture_normal(f, N * K, 0, 1), N, K, dtype);
    float *want = fixture_floats(f, NULL, MOST * N);
    rows_alone(x, weight, bias, residual, want, MOST);
    for (int64_t M = 1; M <= MOST; M += M < 40 ? 1 : 87) {
        memcpy(y, residual, (size_t)(M * N) * sizeof *y);
        CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .bias = bias,
                             .residual = y, .y = y, .M = M, .ldx = K, .ldy = N));
        fixture_same(f, "gemm, rows together and alone", y, want, M * N);
    }
    for (int64_t k = 0; k < K; k++)
        x[5 * K + k] = NAN;
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .bias = bias,
                         .residual = residual, .y = y, .M = 17, .ldx = K, .ldy = N));
    fixture_same(f, "gemm, rows before one of NaN", y, want, 5 * N);
    fixture_same(f, "gemm, rows behind one of NaN", y + 6 * N, want + 6 * N, 11 * N);
    CHECK(isnan(y[5 * N]) && isnan(y[6 * N - 1]));
    fixture_reset(f);
}

static void test_rows(struct fixture *f) {
    const struct shape shapes[] = {{1, 1}, {37, 50}, {64, 96}, {96, 257}, {300, 200}, {2100, 40}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        compare_rows(f, shapes[s], DTYPE_F32);
        if (shapes[s].K % 2 == 0)
            compare_rows(f, shapes[s], DTYPE_BF16);
    }
}

/* The chain itself, with fused or (plain) two roundings, in ascending k. */
static void test_chain(struct fixture *f) {
    enum { K = 2500, N = 33, M = 40 };
    const bool fused = strstr(f->name, "plain") == NULL;
    const float *x = fixture_normal(f, M * K, 0, 1), *w = fixture_normal(f, N * K, 0, 1);
    const struct weight weight = fixture_weight(f, w, N, K);
    float *y = fixture_floats(f, NULL, M * N), *want = fixture_floats(f, NULL, M * N);
    for (int64_t i = 0; i < M * N; i++)
        for (int64_t k = 0; k < K; k++) {
            const float a = x[i / N * K + k], b = w[i % N * K + k];
            want[i] = fused ? fmaf(a, b, want[i]) : want[i] + a * b;
        }
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = y, .M = M, .ldx = K,
                         .ldy = N));
    fixture_same(f, "gemm, one chain in ascending k", y, want, M * N);
    fixture_reset(f);
}

/* n normal numbers, rounded to bf16. */
static float *rounded_normal(struct fixture *f, int64_t n, double deviation) {
    float *values = fixture_normal(f, n, 0, deviation);
    uint16_t *bits = calloc((size_t)n, sizeof *bits);
    ASSERT(bits != NULL);
    dtype_from_f32(DTYPE_BF16, values, bits, n);
    dtype_to_f32(DTYPE_BF16, bits, values, n);
    free(bits);
    return values;
}

/* A bf16 weight holds the rounded numbers; embedding, dX and, without pairs, the forward have the
 * bits that the widened weight gives. */
static void test_bf16(struct fixture *f) {
    enum { M = 40, K = 90, N = 67 };
    const bool pairs = strstr(f->name, "bf16") != NULL;
    const float *x = fixture_normal(f, M * K, 0, 1), *dy = fixture_normal(f, M * N, 0, 1);
    const float *w = rounded_normal(f, N * K, 1);
    const struct weight half = fixture_weight_as(f, w, N, K, DTYPE_BF16),
                        wide = fixture_weight(f, w, N, K);
    const int32_t ids[] = {0, 66, 31, 32, 7};
    const int32_t *tokens = fixture_ints(f, ids, 5);
    float *back = fixture_floats(f, NULL, N * K), *rows = fixture_floats(f, NULL, 5 * K),
          *y = fixture_floats(f, NULL, M * N), *want = fixture_floats(f, NULL, M * N),
          *dx = fixture_floats(f, NULL, M * K), *want_dx = fixture_floats(f, NULL, M * K);
    CHECK_OK(backend_run(&f->backend, unpack, .weight = half, .out = back));
    fixture_same(f, "a bf16 weight, packed and unpacked", back, w, N * K);
    CHECK_OK(backend_run(&f->backend, embed, .table = half, .tokens = tokens, .out = rows, .T = 5));
    for (int i = 0; i < 5; i++)
        fixture_same(f, "rows of a bf16 table", rows + i * K, w + ids[i] * K, K);
    for (int i = 0; i < 2; i++) {
        const struct weight weight = i == 0 ? half : wide;
        CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = i == 0 ? y : want,
                             .M = M, .ldx = K, .ldy = N));
        CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight,
                             .dx = i == 0 ? dx : want_dx, .M = M, .ldy = N, .ldx = K));
    }
    fixture_same(f, "gemm_dx with a bf16 weight", dx, want_dx, M * K);
    if (!pairs)
        fixture_same(f, "gemm with a bf16 weight", y, want, M * N);
    fixture_reset(f);
}

/* Where pairs are multiplied the inputs are rounded too; beyond that only the order of the sum
 * differs from double. */
static void test_bf16_sums(struct fixture *f) {
    enum { M = 13, K = 3000, N = 65 };
    const float *x = rounded_normal(f, M * K, 1), *w = rounded_normal(f, N * K, 0.02);
    const struct weight weight = fixture_weight_as(f, w, N, K, DTYPE_BF16);
    float *y = fixture_floats(f, NULL, M * N);
    double *want = fixture_host(f, M * N);
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = y, .M = M, .ldx = K,
                         .ldy = N));
    for (int64_t i = 0; i < M * N; i++)
        for (int64_t k = 0; k < K; k++)
            want[i] += (double)x[i / N * K + k] * (double)w[i % N * K + k];
    fixture_compare(f, "gemm of bf16 numbers", y, want, M * N, 2e-6);
    fixture_reset(f);
}

/* dX and dW are products too: with rows and columns exchanged they are chains of the same kind. */
static void test_gradients(struct fixture *f) {
    enum { M = 70, K = 45, N = 67 };
    const bool fused = strstr(f->name, "plain") == NULL;
    const float *x = fixture_normal(f, M * K, 0, 1), *dy = fixture_normal(f, M * N, 0, 1),
                *w = fixture_normal(f, N * K, 0, 1), *old = fixture_normal(f, M * K + N * K, 0, 1);
    const struct weight weight = fixture_weight(f, w, N, K);
    float *dx = fixture_floats(f, old, M * K), *dw = fixture_floats(f, old + M * K, N * K);
    float *want_dx = fixture_floats(f, NULL, M * K), *want_dw = fixture_floats(f, NULL, N * K);
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++)
            for (int64_t k = 0; k < K; k++) {
                const float d = dy[m * N + n];
                float *a = &want_dx[m * K + k], *b = &want_dw[n * K + k];
                *a = fused ? fmaf(d, w[n * K + k], *a) : *a + d * w[n * K + k];
                *b = fused ? fmaf(d, x[m * K + k], *b) : *b + d * x[m * K + k];
            }
    for (int64_t i = 0; i < M * K; i++)
        want_dx[i] += old[i];
    for (int64_t i = 0; i < N * K; i++)
        want_dw[i] += old[M * K + i];
    CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight, .dx = dx, .M = M,
                         .ldy = N, .ldx = K, .add = true));
    CHECK_OK(backend_run(&f->backend, gemm_dw, .dy = dy, .x = x, .dw = dw, .M = M, .N = N, .K = K,
                         .ldy = N, .ldx = K, .add = true));
    fixture_same(f, "gemm_dx, chain then addend", dx, want_dx, M * K);
    fixture_same(f, "gemm_dw, chain then addend", dw, want_dw, N * K);
    fixture_reset(f);
}

/* A scale multiplies the finished sum, before bias and residual are added, also where the sum is
 * taken in pieces; of a gradient, what is added to stays as it was. */
static void test_scale(struct fixture *f, int64_t K) {
    enum { M = 37, N = 67 };
    const float scale = 0.3f;
    const float *x = fixture_normal(f, M * K, 0, 1), *bias = fixture_normal(f, N, 0, 1),
                *add = fixture_normal(f, M * N, 0, 1);
    const struct weight weight = fixture_weight(f, fixture_normal(f, N * K, 0, 1), N, K);
    float *y = fixture_floats(f, NULL, M * N), *want = fixture_floats(f, NULL, M * N);
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = want, .M = M, .ldx = K,
                         .ldy = N));
    for (int64_t i = 0; i < M * N; i++)
        want[i] = want[i] * scale + bias[i % N] + add[i];
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .bias = bias, .residual = add,
                         .y = y, .M = M, .ldx = K, .ldy = N, .scale = scale));
    fixture_same(f, "gemm with a scale", y, want, M * N);
    fixture_reset(f);
}

static void test_scale_of_gradients(struct fixture *f) {
    enum { M = 37, N = 67, K = 45 };
    const float scale = 0.3f;
    const float *x = fixture_normal(f, M * K, 0, 1), *dy = fixture_normal(f, M * N, 0, 1),
                *add = fixture_normal(f, M * K + N * K, 0, 1);
    const struct weight weight = fixture_weight(f, fixture_normal(f, N * K, 0, 1), N, K);
    float *dx = fixture_floats(f, add, M * K), *dw = fixture_floats(f, add + M * K, N * K);
    float *want_dx = fixture_floats(f, NULL, M * K), *want_dw = fixture_floats(f, NULL, N * K);
    CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight, .dx = want_dx, .M = M,
                         .ldy = N, .ldx = K));
    CHECK_OK(backend_run(&f->backend, gemm_dw, .dy = dy, .x = x, .dw = want_dw, .M = M, .N = N,
                         .K = K, .ldy = N, .ldx = K));
    for (int64_t i = 0; i < M * K; i++)
        want_dx[i] = want_dx[i] * scale + add[i];
    for (int64_t i = 0; i < N * K; i++)
        want_dw[i] = want_dw[i] * scale + add[M * K + i];
    CHECK_OK(backend_run(&f->backend, gemm_dx, .dy = dy, .weight = weight, .dx = dx, .M = M,
                         .ldy = N, .ldx = K, .scale = scale, .add = true));
    CHECK_OK(backend_run(&f->backend, gemm_dw, .dy = dy, .x = x, .dw = dw, .M = M, .N = N, .K = K,
                         .ldy = N, .ldx = K, .scale = scale, .add = true));
    fixture_same(f, "gemm_dx with a scale", dx, want_dx, M * K);
    fixture_same(f, "gemm_dw with a scale", dw, want_dw, N * K);
    fixture_reset(f);
}

static void test_scales(struct fixture *f) {
    test_scale(f, 45);
    test_scale(f, 2500);
    test_scale_of_gradients(f);
}

/* No rows: nothing is written, and a gradient over them is 0. */
static void test_empty(struct fixture *f) {
    enum { K = 5, N = 7 };
    float *x = fixture_normal(f, K, 0, 1), *y = fixture_normal(f, N, 0, 1),
          *dw = fixture_normal(f, N * K, 0, 1), *dbias = fixture_normal(f, N, 0, 1);
    const struct weight weight = fixture_weight(f, fixture_normal(f, N * K, 0, 1), N, K);
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = y, .ldx = K, .ldy = N));
    CHECK_OK(backend_run(&f->backend, gemm_dw, .dy = y, .x = x, .dw = dw, .dbias = dbias, .N = N,
                         .K = K, .ldy = N, .ldx = K));
    for (int i = 0; i < N * K; i++)
        CHECK(dw[i] == 0.0f && dbias[i % N] == 0.0f);
    fixture_reset(f);
}

static void test_layout(struct fixture *f) {
    enum { N = 103, K = 41, M = 3, BEGIN = 64 };
    const float *w = fixture_normal(f, N * K, 0, 1), *x = fixture_normal(f, M * K, 0, 1);
    const struct weight weight = fixture_weight(f, w, N, K),
                        view = weight_view(&weight, BEGIN, N - BEGIN);
    float *back = fixture_floats(f, NULL, N * K), *y = fixture_floats(f, NULL, M * N),
          *part = fixture_floats(f, NULL, M * (N - BEGIN));
    CHECK_OK(backend_run(&f->backend, unpack, .weight = weight, .out = back));
    fixture_same(f, "a weight, packed and unpacked", back, w, N * K);
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = y, .M = M, .ldx = K,
                         .ldy = N));
    CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = view, .y = part, .M = M, .ldx = K,
                         .ldy = N - BEGIN));
    for (int64_t m = 0; m < M; m++)
        fixture_same(f, "the product with a view", part + m * (N - BEGIN), y + m * N + BEGIN,
                     N - BEGIN);
    fixture_reset(f);
}

static void test_refusals(void) {
    struct backend backend;
    struct weight weight;
    CHECK_STATUS(backend_open(&backend, "gpu", 1), STATUS_INPUT, "\"cpu\", \"check\"");
    CHECK_STATUS(backend_open(&backend, "cpu", -1), STATUS_INPUT, "-1 threads");
    setenv("GRADUS_ISA", "mmx", 1);
    CHECK_STATUS(backend_open(&backend, "cpu", 1), STATUS_INPUT, "\"mmx\"");
    unsetenv("GRADUS_ISA");
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_STATUS(weight_create(&backend, &weight, 4, 4, DTYPE_F16, "a weight"), STATUS_INPUT,
                 "F16");
    CHECK_STATUS(weight_create(&backend, &weight, 4, 5, DTYPE_BF16, "a weight"), STATUS_INPUT,
                 "BF16");
    CHECK_STATUS(weight_create(&backend, &weight, 0, 4, DTYPE_F32, "a weight"), STATUS_INPUT,
                 "0 rows");
    backend_close(&backend);
}

int main(void) {
    fixture_each_product(test_rows);
    fixture_each(test_chain);
    fixture_each_product(test_bf16);
    fixture_each_product(test_bf16_sums);
    fixture_each(test_gradients);
    fixture_each(test_scales);
    fixture_each(test_empty);
    fixture_each_product(test_layout);
    test_refusals();
    return CHECK_END();
}
