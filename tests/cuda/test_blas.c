/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's products against the backend's own, in all layouts: what blas.h writes down for
 * cuBLASLt, which thinks in columns, means what product.h says. And the algorithms of a checkpoint are
 * those that are taken.
 */
#include "fixture.h"

#include "cuda/blas.h"
#include "cuda/blas_host.h"

enum { M = 48, N = 64, K = 80 };

static void *numbers(struct device *device, enum dtype dtype, int64_t n, uint64_t seed) {
    float *values = calloc((size_t)n, sizeof *values);
    void *data = calloc((size_t)n, sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] = fixture_number(&seed);
    dtype_from_f32(dtype, values, data, n);
    void *memory = fixture_upload(device, data, (size_t)n * dtype_bytes(dtype));
    free(values);
    free(data);
    return memory;
}

static void check(struct device *device, struct blas *blas, struct product_launch p, bool adds) {
    float have[M * N], want[M * N];
    uint32_t raw[M * N];
    bool done = false;
    for (int library = 0; library < 2; library++) {
        void *y = numbers(device, p.y_dtype, M * N, 4);
        p.y = y;
        p.residual = adds ? y : NULL;
        if (library)
            MUST(blas_product(blas, device->stream, &p, &done));
        else
            MUST(DEVICE_LAUNCH(launch_product(device->stream, &p)));
        fixture_download(device, raw, y, (size_t)(M * N) * dtype_bytes(p.y_dtype));
        dtype_to_f32(p.y_dtype, raw, library ? have : want, M * N);
        device_release(device, &y);
    }
    if (!done) {
        printf("the library has no way for %s to %s, transposed %d %d, bias %d\n",
               dtype_name(p.dtype), dtype_name(p.y_dtype), p.a_transposed, p.b_transposed,
               p.bias != NULL);
        return;
    }
    for (int i = 0; i < M * N; i++)
        if (!(fabsf(have[i] - want[i]) <= (p.y_dtype == DTYPE_BF16 ? 0.04f : 2e-5f))) {
            CHECK_FAILED("%s to %s, transposed %d %d, bias %d, residual %d: element %d is %.9g, "
                         "expected %.9g",
                         dtype_name(p.dtype), dtype_name(p.y_dtype), p.a_transposed, p.b_transposed,
                         p.bias != NULL, adds, i, have[i], want[i]);
            return;
        }
}

/* --- algorithms that are kept --- */

enum { ALGORITHM = 2 + 4 }; /* where the words of the first algorithm begin (blas_choice.c) */

static void multiply(struct device *device, struct blas *blas, const void *a, const void *b,
                     float y[M * N]) {
    float *out = fixture_upload(device, NULL, M * N * sizeof *out);
    const struct product_launch p = {
        .a = a, .b = b, .y = out, .M = M, .N = N, .K = K, .lda = K, .ldb = K, .ldy = N, .scale = 1};
    bool done = false;
    MUST(blas_product(blas, device->stream, &p, &done));
    CHECK(done);
    fixture_download(device, y, out, M * N * sizeof *out);
    device_release(device, &out);
}

/* What was chosen is taken again by another library of the same version. */
static void test_kept(struct device *device) {
    static int64_t words[BLAS_WORDS], again[BLAS_WORDS];
    static float first[M * N], second[M * N];
    void *a = numbers(device, DTYPE_F32, M * K, 1), *b = numbers(device, DTYPE_F32, N * K, 2);
    struct blas blas;
    MUST(blas_open(&blas));
    blas_choices(&blas, words);
    CHECK(words[0] == 0 && words[1] == 0);
    multiply(device, &blas, a, b, first);
    blas_choices(&blas, words);
    CHECK_EQ(words[1], 1);
    blas_close(&blas);
    MUST(blas_open(&blas));
    blas_choose(&blas, words);
    blas_choices(&blas, again);
    CHECK(memcmp(words, again, sizeof words) == 0);
    multiply(device, &blas, a, b, second);
    CHECK(memcmp(first, second, sizeof first) == 0);
    blas_choices(&blas, again);
    CHECK(memcmp(words, again, sizeof words) == 0);
    blas_close(&blas);
    device_release(device, &a);
    device_release(device, &b);
}

/* On the host, whose library sums the other way round by its second algorithm: it is what is taken;
 * one that it does not have, and those of another version, are not. */
static void test_another(struct device *device) {
    static int64_t words[BLAS_WORDS], now[BLAS_WORDS];
    static float up[M * N], down[M * N], y[M * N];
    static const struct {
        int64_t version, algorithm;
        bool taken;
    } cases[] = {{BLAS_HOST_VERSION, BLAS_HOST_UP, false},
                 {BLAS_HOST_VERSION, BLAS_HOST_DOWN, true},
                 {BLAS_HOST_VERSION, BLAS_HOST_ALGORITHMS, false},
                 {BLAS_HOST_VERSION + 1, BLAS_HOST_DOWN, false}};
    void *a = numbers(device, DTYPE_F32, M * K, 1), *b = numbers(device, DTYPE_F32, N * K, 2);
    struct blas blas;
    MUST(blas_open(&blas));
    multiply(device, &blas, a, b, up);
    blas_choices(&blas, words);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        words[0] = cases[i].version;
        words[ALGORITHM] = cases[i].algorithm;
        blas_choose(&blas, words);
        multiply(device, &blas, a, b, y);
        if (i == 1)
            memcpy(down, y, sizeof y);
        CHECK((memcmp(y, up, sizeof y) != 0) == cases[i].taken);
        blas_choices(&blas, now);
        CHECK_EQ(now[0], BLAS_HOST_VERSION);
        CHECK_EQ(now[ALGORITHM], cases[i].taken ? BLAS_HOST_DOWN : BLAS_HOST_UP);
    }
    for (int i = 0; i < M * N; i++)
        CHECK_NEAR(down[i], up[i], 2e-5);
    blas_close(&blas);
    device_release(device, &a);
    device_release(device, &b);
}

int main(void) {
    struct device device = fixture_open();
    struct blas blas;
    MUST(blas_open(&blas));
    void *bias = numbers(&device, DTYPE_F32, N, 3);
    for (int type = 0; type < 3; type++)
        for (int way = 0; way < 3; way++)
            for (int more = 0; more < 4; more++) {
                const enum dtype dtype = type > 0 ? DTYPE_BF16 : DTYPE_F32;
                void *a = numbers(&device, dtype, M * K, 1), *b = numbers(&device, dtype, N * K, 2);
                const struct product_launch p = {.a = a,
                                                 .b = b,
                                                 .bias = more % 2 ? bias : NULL,
                                                 .M = M,
                                                 .N = N,
                                                 .K = K,
                                                 .lda = way == 2 ? M : K,
                                                 .ldb = way > 0 ? N : K,
                                                 .ldy = N,
                                                 .scale = 0.5f,
                                                 .dtype = dtype,
                                                 .y_dtype = type > 1 ? DTYPE_BF16 : DTYPE_F32,
                                                 .a_transposed = way == 2,
                                                 .b_transposed = way > 0};
                check(&device, &blas, p, more > 1);
                device_release(&device, &a);
                device_release(&device, &b);
            }
    device_release(&device, &bias);
    blas_close(&blas);
    test_kept(&device);
    struct device_facts facts;
    MUST(device_facts(&device, &facts));
    if (facts.is_host)
        test_another(&device);
    device_close(&device);
    return CHECK_END();
}
