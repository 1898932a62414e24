/* SPDX-License-Identifier: Apache-2.0
 *
 * Products against plain loops in double: all layouts and element types, sizes at the borders of
 * tiles; the bits of a row alone and among others.
 */
#include "fixture.h"

#include "cuda/kernel/product.h"

static size_t size_of(enum dtype dtype) {
    return dtype == DTYPE_BF16 ? 2 : 4;
}

/* n numbers in [−1, 1) of that type, and their values. */
static void *make(enum dtype dtype, int64_t n, uint64_t seed, float **values) {
    void *data = calloc((size_t)n + 1, size_of(dtype));
    *values = calloc((size_t)n + 1, sizeof **values);
    for (int64_t i = 0; i < n; i++)
        (*values)[i] = fixture_number(&seed);
    dtype_from_f32(dtype, *values, data, n);
    dtype_to_f32(dtype, data, *values, n);
    return data;
}

struct shape {
    int64_t M, N, K, pad; /* pad: of every row stride */
    enum dtype dtype, y_dtype;
    bool a_transposed, b_transposed, bias, residual;
};

/* Runs the product and gives y back, widened; a, b, bias and residual are those of the seed. */
static float *run(struct device *device, const struct shape *s, double *worst) {
    const int64_t lda = (s->a_transposed ? s->M : s->K) + s->pad,
                  ldb = (s->b_transposed ? s->N : s->K) + s->pad, ldy = s->N + s->pad,
                  na = (s->a_transposed ? s->K : s->M) * lda,
                  nb = (s->b_transposed ? s->K : s->N) * ldb, ny = s->M * ldy;
    float *a, *b, *bias, *residual, *y = calloc((size_t)ny + 1, sizeof *y);
    void *ha = make(s->dtype, na, 1, &a), *hb = make(s->dtype, nb, 2, &b),
         *hbias = make(DTYPE_F32, s->N, 3, &bias), *hy = make(s->y_dtype, ny, 4, &residual);
    void *da = fixture_upload(device, ha, (size_t)na * size_of(s->dtype)),
         *db = fixture_upload(device, hb, (size_t)nb * size_of(s->dtype)),
         *dbias = fixture_upload(device, hbias, (size_t)s->N * 4),
         *dy = fixture_upload(device, hy, (size_t)ny * size_of(s->y_dtype));
    MUST(DEVICE_LAUNCH(
        launch_product(device->stream, &(struct product_launch){.a = da,
                                                                .b = db,
                                                                .bias = s->bias ? dbias : NULL,
                                                                .residual = s->residual ? dy : NULL,
                                                                .y = dy,
                                                                .M = s->M,
                                                                .N = s->N,
                                                                .K = s->K,
                                                                .lda = lda,
                                                                .ldb = ldb,
                                                                .ldy = ldy,
                                                                .scale = 0.5f,
                                                                .dtype = s->dtype,
                                                                .y_dtype = s->y_dtype,
                                                                .a_transposed = s->a_transposed,
                                                                .b_transposed = s->b_transposed})));
    fixture_download(device, hy, dy, (size_t)ny * size_of(s->y_dtype));
    dtype_to_f32(s->y_dtype, hy, y, ny);
    *worst = 0;
    for (int64_t i = 0; i < s->M; i++)
        for (int64_t j = 0; j < s->N; j++) {
            double sum = 0;
            for (int64_t k = 0; k < s->K; k++)
                sum += (double)a[s->a_transposed ? k * lda + i : i * lda + k] *
                       b[s->b_transposed ? k * ldb + j : j * ldb + k];
            sum = 0.5 * sum + (s->bias ? bias[j] : 0) + (s->residual ? residual[i * ldy + j] : 0);
            const double error = fabs(y[i * ldy + j] - sum) / (1 + fabs(sum));
            *worst = error > *worst || isnan(error) ? error : *worst;
        }
    for (int64_t i = 0; i < s->M; i++) /* what stands between the rows is left alone */
        for (int64_t j = s->N; j < ldy; j++)
            if (y[i * ldy + j] != residual[i * ldy + j])
                *worst = NAN;
    device_release(device, &da);
    device_release(device, &db);
    device_release(device, &dbias);
    device_release(device, &dy);
    free(ha), free(hb), free(hbias), free(hy), free(a), free(b), free(bias), free(residual);
    return y;
}

static void check_shape(struct device *device, const struct shape *s) {
    double worst;
    free(run(device, s, &worst));
    const double tolerance = s->y_dtype == DTYPE_BF16 ? 0x1p-8 : 1e-6 * sqrt((double)s->K) + 1e-6;
    if (!(worst <= tolerance))
        CHECK_FAILED("%lld × %lld × %lld, pad %lld, %s to %s, transposed %d %d, bias %d, residual "
                     "%d: off by %.3g, expected %.3g",
                     (long long)s->M, (long long)s->N, (long long)s->K, (long long)s->pad,
                     dtype_name(s->dtype), dtype_name(s->y_dtype), s->a_transposed, s->b_transposed,
                     s->bias, s->residual, worst, tolerance);
}

static void test_shapes(struct device *device) {
    static const int64_t sizes[][4] = {{1, 8, 8, 0},    {1, 40, 72, 8},  {16, 16, 64, 0},
                                       {17, 24, 40, 0}, {65, 72, 96, 0}, {70, 33, 31, 0},
                                       {3, 5, 7, 1},    {128, 64, 32, 8}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int way = 0; way < 3; way++)
            for (int type = 0; type < 3; type++)
                check_shape(device, &(struct shape){.M = sizes[i][0],
                                                    .N = sizes[i][1],
                                                    .K = sizes[i][2],
                                                    .pad = sizes[i][3],
                                                    .dtype = type > 0 ? DTYPE_BF16 : DTYPE_F32,
                                                    .y_dtype = type > 1 ? DTYPE_BF16 : DTYPE_F32,
                                                    .a_transposed = way == 2,
                                                    .b_transposed = way > 0,
                                                    .bias = i % 2 == 0,
                                                    .residual = i % 3 == 0});
}

/* Large enough for the large tile: 12 × 11 of them. Slow on the host. */
static void test_large(struct device *device, bool host) {
    for (int way = 0; way < 3; way++)
        check_shape(device, &(struct shape){.M = host ? 130 : 1500,
                                            .N = host ? 132 * 128 : 1400,
                                            .K = host ? 16 : 264,
                                            .dtype = DTYPE_BF16,
                                            .y_dtype = DTYPE_F32,
                                            .a_transposed = way == 2 && !host,
                                            .b_transposed = way > 0,
                                            .residual = true});
}

/* Row i of M rows has the bits that it has among fewer. */
static void test_rows(struct device *device, enum dtype dtype, bool b_transposed) {
    static const int64_t counts[] = {1, 3, 16, 64, 65, 130};
    enum { COUNTS = sizeof counts / sizeof *counts, N = 48, K = 80 };
    double worst;
    struct shape s = {.N = N, .K = K, .dtype = dtype, .y_dtype = DTYPE_F32, .bias = true};
    s.b_transposed = b_transposed;
    s.M = counts[COUNTS - 1];
    float *most = run(device, &s, &worst);
    for (int c = 0; c + 1 < COUNTS; c++) {
        s.M = counts[c];
        float *few = run(device, &s, &worst);
        CHECK(memcmp(few, most, (size_t)(s.M * N) * sizeof *few) == 0);
        free(few);
    }
    free(most);
}

static void test_columns(struct device *device) {
    enum { ROWS = 70, COLUMNS = 37, LD = 40 };
    for (int type = 0; type < 2; type++) {
        const enum dtype dtype = type == 0 ? DTYPE_F32 : DTYPE_BF16;
        float *x, out[COLUMNS], *back = calloc(ROWS * COLUMNS, sizeof *back);
        void *hx = make(dtype, ROWS * LD, 5, &x);
        for (int j = 0; j < COLUMNS; j++)
            out[j] = (float)j;
        void *dx = fixture_upload(device, hx, ROWS * LD * size_of(dtype)),
             *dout = fixture_upload(device, out, sizeof out),
             *dback = fixture_upload(device, NULL, ROWS * COLUMNS * sizeof *back);
        MUST(DEVICE_LAUNCH(
            launch_column_sums(device->stream, &(struct column_sums_launch){dx, dout, ROWS, COLUMNS,
                                                                            LD, dtype, true})));
        MUST(DEVICE_LAUNCH(launch_product_rows(
            device->stream,
            &(struct product_rows_launch){dx, dback, ROWS, COLUMNS, LD, dtype, DTYPE_F32})));
        fixture_download(device, out, dout, sizeof out);
        fixture_download(device, back, dback, ROWS * COLUMNS * sizeof *back);
        for (int j = 0; j < COLUMNS; j++) {
            double sum = j;
            for (int i = 0; i < ROWS; i++) {
                sum += x[i * LD + j];
                CHECK_NEAR(back[i * COLUMNS + j], x[i * LD + j], 0);
            }
            CHECK_NEAR(out[j], sum, 1e-5);
        }
        device_release(device, &dx);
        device_release(device, &dout);
        device_release(device, &dback);
        free(hx), free(x), free(back);
    }
}

int main(void) {
    struct device device = fixture_open();
    struct device_facts facts;
    MUST(device_facts(&device, &facts));
    test_shapes(&device);
    test_large(&device, facts.is_host);
    test_rows(&device, DTYPE_F32, false);
    test_rows(&device, DTYPE_BF16, false);
    test_rows(&device, DTYPE_BF16, true);
    test_columns(&device);
    device_close(&device);
    return CHECK_END();
}
