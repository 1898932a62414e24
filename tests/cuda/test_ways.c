/* SPDX-License-Identifier: Apache-2.0
 *
 * The trial that a library has to pass before forward products are left to it: the loops that stand
 * in for one on the host pass it; what cuBLASLt does on this GPU is printed. Nothing stays allocated.
 */
#include "fixture.h"

#include "base/memory.h"
#include "cuda/backend_cuda.h"
#include "cuda/cuda.h"

int main(void) {
    static const int64_t shapes[][2] = {{64, 64}, {1152, 896}, {896, 4864}, {9728, 896}};
    struct device device = fixture_open();
    struct backend b;
    device_close(&device);
    backend_add(&cuda_backend);
    CHECK_OK(backend_open(&b, "cuda", 1));
    const bool host = cuda_state(&b)->facts.is_host;
    for (int i = 0; i < (host ? 1 : 4); i++)
        for (int residual = 0; residual < 2; residual++) {
            const int64_t N = shapes[i][0], K = shapes[i][1];
            uint16_t *weight = NULL, *numbers = malloc((size_t)(N * K) * sizeof *numbers);
            uint64_t seed = 1;
            bool same = false;
            for (int64_t k = 0; k < N * K; k++)
                numbers[k] = dtype_bf16_bits(fixture_number(&seed));
            CHECK_OK(backend_new(&b, &weight, N * K, "a weight"));
            CHECK_OK(b.ops->upload(&b, weight, numbers, (size_t)(N * K) * sizeof *numbers));
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
                                             .y_dtype = residual ? DTYPE_F32 : DTYPE_BF16};
            CHECK_OK(cuda_rows_same(&b, &p, &same));
            CHECK(same || !host);
            if (!host)
                printf("%lld by %lld, residual %d: rows %s\n", (long long)N, (long long)K, residual,
                       same ? "have the same bits alone and among others" : "depend on others");
            CHECK_EQ(memory_totals().bytes, before);
            backend_release(&b, &weight);
        }
    backend_close(&b);
    return CHECK_END();
}
