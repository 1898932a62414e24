/* SPDX-License-Identifier: Apache-2.0
 *
 * The products of Qwen2.5 0.5B and 7B: training (M = 16384 rows), decoding (M = 1, 64, 256). Numbers
 * are random: zeros would be multiplied faster.
 */
#include "bench.h"

#include "cuda/blas.h"

#include <stdint.h>
#include <string.h>

struct work {
    struct device *device;
    struct blas *blas;
    struct product_launch product;
    bool done; /* the library had a way */
};

static enum status put(void *context) {
    const struct work *work = context;
    return DEVICE_LAUNCH(launch_product(work->device->stream, &work->product));
}

static enum status put_blas(void *context) {
    struct work *work = context;
    return blas_product(work->blas, work->device->stream, &work->product, &work->done);
}

/* Whether the library gives rows the same bits alone, in twos, … and among all M. */
static const char *rows_same(struct work work) {
    static const int64_t counts[] = {1, 2, 16, 64, 129, 256};
    const int64_t M = 512, N = work.product.N, most = M * N;
    uint16_t *all = malloc((size_t)most * 2), *some = malloc((size_t)most * 2);
    const char *answer = "same";
    if (all == NULL || some == NULL)
        exit(1);
    for (int i = -1; i < 6; i++) {
        uint16_t *to = i < 0 ? all : some;
        work.product.M = i < 0 ? M : counts[i];
        BENCH_MUST(put_blas(&work));
        BENCH_MUST(device_download(work.device, work.device->stream, to, work.product.y,
                                   (size_t)(work.product.M * N) * 2));
        BENCH_MUST(device_synchronize(work.device, work.device->stream));
        if (!work.done)
            answer = "none";
        else if (i >= 0 && memcmp(all, some, (size_t)(counts[i] * N) * 2) != 0)
            answer = "differ";
    }
    free(all);
    free(some);
    return answer;
}

/* n random bf16 of size around 1. */
static void *random_bf16(struct device *device, int64_t n) {
    uint16_t *host = malloc((size_t)n * 2);
    void *memory = NULL;
    uint64_t state = 1;
    if (host == NULL)
        exit(1);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        host[i] = (uint16_t)((state >> 48 & 0x80ff) | 0x3f00);
    }
    BENCH_MUST(device_allocate(device, &memory, (size_t)n * 2, "numbers"));
    BENCH_MUST(device_upload(device, device->stream, memory, host, (size_t)n * 2));
    BENCH_MUST(device_synchronize(device, device->stream));
    free(host);
    return memory;
}

int main(void) {
    static const struct {
        const char *name;
        int64_t M, N, K;
        int way; /* 0: forward, 1: dx, 2: dw */
    } rows[] = {{"0.5B qkv", 16384, 1152, 896, 0},        {"0.5B gate up", 16384, 9728, 896, 0},
                {"0.5B down", 16384, 896, 4864, 0},       {"0.5B gate up dx", 16384, 896, 9728, 1},
                {"0.5B gate up dw", 9728, 896, 16384, 2}, {"0.5B head", 4096, 151936, 896, 0},
                {"7B gate up", 16384, 37888, 3584, 0},    {"7B down", 16384, 3584, 18944, 0},
                {"0.5B gate up", 1, 9728, 896, 0},        {"0.5B down", 1, 896, 4864, 0},
                {"0.5B head", 1, 151936, 896, 0},         {"7B gate up", 1, 37888, 3584, 0},
                {"0.5B gate up", 64, 9728, 896, 0},       {"7B gate up", 64, 37888, 3584, 0},
                {"0.5B gate up", 256, 9728, 896, 0},      {"7B gate up", 256, 37888, 3584, 0}};
    struct device device = bench_open();
    struct blas blas;
    BENCH_MUST(blas_open(&blas));
    const double copy = bench_copy_bandwidth(&device);
    const int64_t most = (int64_t)16384 * 37888;
    void *a = random_bf16(&device, most), *b = random_bf16(&device, most), *y = NULL;
    BENCH_MUST(device_allocate(&device, &y, (size_t)most * 4, "results"));
    printf("copy: %.0f GB/s\n", copy);
    printf("%-18s %6s %7s %6s | own %9s %9s %9s %7s | cuBLASLt %9s %9s %7s %s\n", "product", "M",
           "N", "K", "ms", "TFLOP/s", "GB/s", "of copy", "ms", "TFLOP/s", "of copy", "rows");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int64_t M = rows[i].M, N = rows[i].N, K = rows[i].K;
        struct work work = {
            &device, &blas, {.a = a, .b = b, .y = y, .M = M, .N = N, .K = K}, false};
        work.product.lda = rows[i].way == 2 ? M : K;
        work.product.ldb = rows[i].way > 0 ? N : K;
        work.product.ldy = N;
        work.product.scale = 1;
        work.product.dtype = DTYPE_BF16;
        work.product.y_dtype = rows[i].way == 2 ? DTYPE_F32 : DTYPE_BF16;
        work.product.a_transposed = rows[i].way == 2;
        work.product.b_transposed = rows[i].way > 0;
        const double ms = bench_ms(&device, put, &work);
        const double bytes = 2.0 * (double)(M * K + N * K + M * N);
        const double flops = 2e-9 * (double)M * (double)N * (double)K;
        const double theirs = bench_ms(&device, put_blas, &work);
        printf(
            "%-18s %6lld %7lld %6lld | own %9.4f %9.1f %9.0f %6.0f%% | cuBLASLt %9.4f %9.1f %6.0f%% "
            "%s\n",
            rows[i].name, (long long)M, (long long)N, (long long)K, ms, flops / ms,
            bytes / ms * 1e-6, 100 * bytes / ms * 1e-6 / copy, theirs,
            work.done ? flops / theirs : 0, 100 * bytes / theirs * 1e-6 / copy,
            rows[i].way == 0 && N < 100000 ? rows_same(work) : "");
    }
    device_release(&device, &a);
    device_release(&device, &b);
    device_release(&device, &y);
    blas_close(&blas);
    device_close(&device);
    return 0;
}
