/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values of earlier positions, in pages of CACHE_PAGE positions out of one pool. A page
 * holds, for each layer and key head, the keys as [CACHE_PAGE][D] and then the values as
 * [CACHE_PAGE][D], in the element type of the activations: layers × K × 2 × CACHE_PAGE × D elements.
 * What stands in a page behind a row's last position does not matter.
 */
#ifndef CUDA_KERNEL_CACHE_STORE_H
#define CUDA_KERNEL_CACHE_STORE_H

#include <stdint.h>

#include "backend/backend.h"

/* Where a layer's keys are in the pool. */
struct cache_layer {
    void *pool;            /* page p begins page_elements · p elements behind it; aligned to 16 */
    int64_t page_elements; /* layers × K × 2 × CACHE_PAGE × D */
    int64_t layer;
};

struct cache_store_launch {
    enum dtype dtype;
    const void *qkv;      /* (B, (H + 2 K) D), rotated; aligned to 16 bytes */
    const int32_t *pages; /* (B): number of the page that takes row b */
    const int32_t *slots; /* (B): position inside that page; negative: the row is not stored */
    struct cache_layer cache;
    int64_t B, H, K, D;
};

#ifdef __cplusplus
extern "C"
#endif
    int
    launch_cache_store(void *stream, const struct cache_store_launch *args);

#endif
