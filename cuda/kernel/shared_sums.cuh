/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums in shared memory that many threads add to.
 */
#ifndef CUDA_KERNEL_SHARED_SUMS_CUH
#define CUDA_KERNEL_SHARED_SUMS_CUH

#include "cuda/kernel/kernel.h"

/* Additions whose order does not matter: of integers, in shared memory. Gives what stood there. The
 * device adds 32 bits in its memory; 64 it would compare and swap, again and again where many threads
 * have the same digit. */
static __device__ __forceinline__ uint32_t add_shared(uint32_t *to, uint32_t x) {
#ifdef __CUDACC__
    return atomicAdd(to, x);
#else
    const uint32_t old = *to;
    *to += x;
    return old;
#endif
}

#endif
