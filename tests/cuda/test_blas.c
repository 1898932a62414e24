/* SPDX-License-Identifier: Apache-2.0
 *
 * The library's products against the backend's own, in all layouts: what blas.h writes down for
 * cuBLASLt, which thinks in columns, means what product.h says.
 */
#include "fixture.h"

#include "cuda/blas.h"

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
    device_close(&device);
    return CHECK_END();
}
