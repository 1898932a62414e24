/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of base/random.h on the device: the same arguments give the same number.
 */
#ifndef CUDA_KERNEL_PHILOX_CUH
#define CUDA_KERNEL_PHILOX_CUH

#include "base/random.h"
#include "cuda/kernel/kernel.h"

struct philox_counter {
    uint32_t c[4];
};

/* Ten rounds of Philox-4x32 under a key. */
static __device__ __forceinline__ philox_counter philox(philox_counter counter, uint32_t k0,
                                                        uint32_t k1) {
    uint32_t *c = counter.c;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
        const uint32_t n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)p1;
        c[3] = (uint32_t)p0;
        c[0] = n0;
        c[2] = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return counter;
}

/* random_uniform. */
static __device__ __forceinline__ double philox_uniform(uint64_t seed, enum random_stream stream,
                                                        philox_counter counter) {
    uint64_t z = seed + 0x9E3779B97F4A7C15u * ((uint64_t)stream + 1);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const philox_counter out = philox(counter, (uint32_t)z, (uint32_t)(z >> 32));
    return (double)(((uint64_t)out.c[0] << 32 | out.c[1]) >> 11) * 0x1p-53;
}

#endif
