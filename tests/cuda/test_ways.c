/* SPDX-License-Identifier: Apache-2.0
 *
 * The trial that a library has to pass before forward products are left to it: the loops that stand
 * in for one on the host pass it; what cuBLASLt does on this GPU is printed. Nothing stays allocated.
 */
#include "fixture.h"

#include "base/memory.h"
#include "cuda/backend_cuda.h"
#include "cuda/blas_host.h"
#include "cuda/cuda.h"

/* The trial with the library's algorithm of that product changed into another. */
static bool passes(struct backend *b, const struct product_launch *p, int algorithm) {
    int64_t words[BACKEND_ALGORITHM_WORDS];
    bool same = false;
    b->ops->algorithms_get(b, words);
    CHECK_EQ(words[1], 1); /* one choice; its algorithm stands behind the four words of its key */
    words[2 + 4] = algorithm;
    b->ops->algorithms_set(b, words);
    CHECK_OK(cuda_rows_same(b, p, &same));
    return same;
}

/* A library whose bits depend on the number of rows, or on the columns, is found out; the latter
 * matters to products that are taken in parts alone. */
static void test_bad_libraries(struct backend *b, const void *weight) {
    struct product_launch p = {.b = weight,
                               .N = HEAD_BLOCK,
                               .K = 8,
                               .lda = 8,
                               .ldb = 8,
                               .ldy = HEAD_BLOCK,
                               .scale = 1,
                               .dtype = DTYPE_BF16,
                               .y_dtype = DTYPE_F32};
    for (int parts = 0; parts < 2; parts++) {
        bool same = false;
        p.whole = parts ? HEAD_BLOCK + 13 : 0; /* no multiple of 4 */
        b->ops->algorithms_set(b, (const int64_t[BACKEND_ALGORITHM_WORDS]){0});
        CHECK_OK(cuda_rows_same(b, &p, &same));
        CHECK(same);
        CHECK(passes(b, &p, BLAS_HOST_DOWN));
        CHECK(!passes(b, &p, BLAS_HOST_BY_ROWS));
        CHECK(passes(b, &p, BLAS_HOST_BY_COLUMNS) == !parts);
    }
    b->ops->algorithms_set(b, (const int64_t[BACKEND_ALGORITHM_WORDS]){0});
}

int main(void) {
    /* N, K, and the rows of the whole weight where N are a part of it */
    static const int64_t shapes[][3] = {
        {136, 64, 0}, {1152, 896, 0}, {896, 4864, 0}, {9728, 896, 0}, {16384, 896, 151936}};
    struct device device = fixture_open();
    struct backend b;
    device_close(&device);
    backend_add(&cuda_backend);
    CHECK_OK(backend_open(&b, "cuda", 1));
    const bool host = cuda_state(&b)->facts.is_host;
    for (int i = 0; i < (host ? 1 : 5); i++)
        for (int residual = 0; residual < (i < 4 ? 2 : 1); residual++) {
            const int64_t N = shapes[i][0], K = shapes[i][1], whole = shapes[i][2];
            const int64_t n = (whole > 0 ? whole : N) * K;
            uint16_t *weight = NULL, *numbers = malloc((size_t)n * sizeof *numbers);
            uint64_t seed = 1;
            bool same = false;
            for (int64_t k = 0; k < n; k++)
                numbers[k] = dtype_bf16_bits(fixture_number(&seed));
            CHECK_OK(backend_new(&b, &weight, n, "a weight"));
            CHECK_OK(b.ops->upload(&b, weight, numbers, (size_t)n * sizeof *numbers));
            const int64_t before = memory_totals().bytes;
            free(numbers);
            const struct product_launch p = {.b = weight,
                                             .residual = residual ? weight : NULL,
                                             .N = N,
                                             .K = K,
                                             .lda = K,
                                             .ldb = K,
                                             .ldy = N,
                                             .scale = 1,
                                             .dtype = DTYPE_BF16,
                                             .y_dtype =
                                                 residual || whole > 0 ? DTYPE_F32 : DTYPE_BF16,
                                             .whole = whole};
            CHECK_OK(cuda_rows_same(&b, &p, &same));
            CHECK(same || !host);
            if (host && !residual)
                test_bad_libraries(&b, weight);
            if (!host)
                printf("%lld by %lld, residual %d: rows %s\n", (long long)N, (long long)K, residual,
                       same ? "have the same bits alone and among others" : "depend on others");
            CHECK_EQ(memory_totals().bytes, before);
            backend_release(&b, &weight);
        }
    backend_close(&b);
    return CHECK_END();
}
