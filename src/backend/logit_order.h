/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of logits in which filters and top entries are chosen: by falling logit, lower ids first
 * where equal. Included by kernels of every backend.
 */
#ifndef BACKEND_LOGIT_ORDER_H
#define BACKEND_LOGIT_ORDER_H

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define LOGIT_ORDER_FUNCTION static __host__ __device__ __forceinline__
#else
#define LOGIT_ORDER_FUNCTION static inline
#endif

/* Bits that stand in the same order as the numbers; both zeros are one. */
LOGIT_ORDER_FUNCTION uint32_t logit_order(float z) {
    uint32_t bits;
    z += 0.0f;
    memcpy(&bits, &z, sizeof bits);
    return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}

/* A number that is larger for an entry earlier in the order; no two entries of a row have the same. */
LOGIT_ORDER_FUNCTION uint64_t logit_key(float z, int32_t id) {
    return (uint64_t)logit_order(z) << 32 | ~(uint32_t)id;
}

LOGIT_ORDER_FUNCTION int32_t logit_key_id(uint64_t key) {
    return (int32_t) ~(uint32_t)key;
}

#endif
