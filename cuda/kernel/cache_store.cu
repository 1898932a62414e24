/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the keys and values of rows into their pages.
 */
#include "cuda/kernel/cache_store.h"

#include "cuda/kernel/kernel.h"

enum { THREADS = 256 };

/* A thread copies one V: an element, or 16 bytes of them. */
template <typename V>
static __global__ void store_kernel(const struct cache_store_launch args, int64_t size) {
    const int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, D = args.D / size;
    if (at >= args.B * args.K * 2 * D)
        return;
    const int64_t d = at % D, head = at / D % args.K, part = at / D / args.K % 2,
                  row = at / D / args.K / 2;
    const int32_t slot = args.slots[row];
    if (slot < 0)
        return;
    const V *from =
        (const V *)args.qkv + row * (args.H + 2 * args.K) * D + (args.H + part * args.K + head) * D;
    V *to = (V *)args.cache.pool + args.pages[row] * (args.cache.page_elements / size) +
            ((args.cache.layer * args.K + head) * 2 + part) * CACHE_PAGE * D + slot * D;
    to[d] = from[d];
}

template <typename V>
static int launch(void *stream, const struct cache_store_launch *args, int64_t size) {
    const int64_t count = args->B * args->K * 2 * args->D / size;
    return LAUNCH(stream, store_kernel<V>, dim3((unsigned)((count + THREADS - 1) / THREADS)),
                  dim3(THREADS), 0, *args, size);
}

extern "C" int launch_cache_store(void *stream, const struct cache_store_launch *args) {
    const int64_t size = args->dtype == DTYPE_F32 ? 4 : 8; /* elements of 16 bytes */
    if (args->D % size == 0)
        return launch<vec16>(stream, args, size);
    return args->dtype == DTYPE_F32 ? launch<float>(stream, args, 1)
                                    : launch<bf16>(stream, args, 1);
}
