/* SPDX-License-Identifier: Apache-2.0
 *
 * What kernels over rows and vectors share: elements four at a time (16 bytes of fp32, 8 of bf16) or
 * eight at a time, and sums of several rows by one pair of barriers.
 */
#ifndef CUDA_KERNEL_ROWS_CUH
#define CUDA_KERNEL_ROWS_CUH

#include <string.h>

#include "cuda/kernel/kernel.h"
#include "tensor/dtype.h"

/* --- four elements --- */

struct quad {
    float v[4];
};

struct alignas(8) vec8 {
    uint32_t w[2];
};

static __device__ __forceinline__ uint32_t float_to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static __device__ __forceinline__ vec8 load_8(const void *from) {
#ifdef __CUDACC__
    return *(const vec8 *)from;
#else
    vec8 a;
    memcpy(&a, from, sizeof a);
    return a;
#endif
}

static __device__ __forceinline__ void store_8(void *to, vec8 a) {
#ifdef __CUDACC__
    *(vec8 *)to = a;
#else
    memcpy(to, &a, sizeof a);
#endif
}

static __device__ __forceinline__ quad load_quad(const float *from) {
    const vec16 a = load_16(from);
    return quad{{bits_to_float(a.w[0]), bits_to_float(a.w[1]), bits_to_float(a.w[2]),
                 bits_to_float(a.w[3])}};
}

static __device__ __forceinline__ quad load_quad(const bf16 *from) {
    const vec8 a = load_8(from);
    return quad{{bf16x2_low(a.w[0]), bf16x2_high(a.w[0]), bf16x2_low(a.w[1]), bf16x2_high(a.w[1])}};
}

static __device__ __forceinline__ void store_quad(float *to, quad a) {
    store_16(to, vec16{{float_to_bits(a.v[0]), float_to_bits(a.v[1]), float_to_bits(a.v[2]),
                        float_to_bits(a.v[3])}});
}

static __device__ __forceinline__ void store_quad(bf16 *to, quad a) {
    store_8(to, vec8{{float2_to_bf16x2(a.v[0], a.v[1]), float2_to_bf16x2(a.v[2], a.v[3])}});
}

static __device__ __forceinline__ quad quad_of(float x) {
    return quad{{x, x, x, x}};
}

/* The quad at `from` when `left` elements remain there; those beyond them read as 0. ALIGNED: the
 * address is one of a whole quad, and `left` a multiple of 4. */
template <bool ALIGNED, typename T>
static __device__ __forceinline__ quad read_quad(const T *from, int64_t left) {
    quad a = quad_of(0.0f);
    if (ALIGNED) {
        if (left > 0)
            a = load_quad(from);
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (i < left)
                a.v[i] = to_float(from[i]);
    }
    return a;
}

template <bool ALIGNED, typename T>
static __device__ __forceinline__ void write_quad(T *to, quad a, int64_t left) {
    if (ALIGNED) {
        if (left > 0)
            store_quad(to, a);
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (i < left)
                to[i] = from_float<T>(a.v[i]);
    }
}

/* Eight elements as two quads; for bf16 they are one access of 16 bytes. */
struct octet {
    quad low, high;
};

static __device__ __forceinline__ octet load_octet(const float *from) {
    return octet{load_quad(from), load_quad(from + 4)};
}

static __device__ __forceinline__ octet load_octet(const bf16 *from) {
    const vec16 a = load_16(from);
    return octet{
        {{bf16x2_low(a.w[0]), bf16x2_high(a.w[0]), bf16x2_low(a.w[1]), bf16x2_high(a.w[1])}},
        {{bf16x2_low(a.w[2]), bf16x2_high(a.w[2]), bf16x2_low(a.w[3]), bf16x2_high(a.w[3])}}};
}

static __device__ __forceinline__ void store_octet(float *to, const octet &a) {
    store_quad(to, a.low);
    store_quad(to + 4, a.high);
}

static __device__ __forceinline__ void store_octet(bf16 *to, const octet &a) {
    store_16(to, vec16{{float2_to_bf16x2(a.low.v[0], a.low.v[1]),
                        float2_to_bf16x2(a.low.v[2], a.low.v[3]),
                        float2_to_bf16x2(a.high.v[0], a.high.v[1]),
                        float2_to_bf16x2(a.high.v[2], a.high.v[3])}});
}

/* As read_quad and write_quad; ALIGNED: `left` is a multiple of 8. */
template <bool ALIGNED, typename T>
static __device__ __forceinline__ octet read_octet(const T *from, int64_t left) {
    if (ALIGNED && left > 0)
        return load_octet(from);
    return octet{read_quad<false>(from, ALIGNED ? 0 : left),
                 read_quad<false>(from + 4, ALIGNED ? 0 : left - 4)};
}

template <bool ALIGNED, typename T>
static __device__ __forceinline__ void write_octet(T *to, const octet &a, int64_t left) {
    if (ALIGNED) {
        if (left > 0)
            store_octet(to, a);
    } else {
        write_quad<false>(to, a.low, left);
        write_quad<false>(to + 4, a.high, left - 4);
    }
}

/* Whether the addresses (NULL too) are those of 16 bytes. */
template <typename... P> static inline bool aligned_16(const P *...addresses) {
    uintptr_t bits = 0;
    const uintptr_t all[] = {(uintptr_t)addresses...};
    for (const uintptr_t one : all)
        bits |= one;
    return bits % 16 == 0;
}

/* Whether rows of C elements from each of the addresses can be read by quads. */
template <typename... P> static inline bool rows_aligned(int64_t C, const P *...addresses) {
    return C % 4 == 0 && aligned_16(addresses...);
}

/* Blocks of `threads` that have a thread for each of n. */
static inline dim3 blocks_for(int64_t n, int64_t threads) {
    return dim3((unsigned)((n + threads - 1) / threads));
}

/* --- rows --- */

/* Sums x[i] over the block, each for itself, in all threads: within warps by exchange, then warp by
 * warp in ascending order. scratch: 32 N floats of shared memory, which may be used again at
 * once. */
template <int N> static __device__ __forceinline__ void block_sums(float x[N], float *scratch) {
#pragma unroll
    for (int i = 0; i < N; i++)
        x[i] = warp_sum(x[i]);
    if (warp_count() == 1)
        return;
    __syncthreads();
    if (lane_index() == 0)
#pragma unroll
        for (int i = 0; i < N; i++)
            scratch[i * 32 + warp_index()] = x[i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = scratch[i * 32];
        for (int warp = 1; warp < warp_count(); warp++)
            x[i] += scratch[i * 32 + warp];
    }
}

/* A row of C elements by a block: thread i has the quads i, i + threads, … `vecs` of them. */
struct row_shape {
    int vecs, threads;
};

enum { ROW_THREADS_MAX = 512, ROW_WIDTH_MAX = 4 * 4 * ROW_THREADS_MAX };

static inline struct row_shape row_shape_of(int64_t C) {
    const int64_t quads = (C + 3) / 4;
    const int vecs = quads <= ROW_THREADS_MAX ? 1 : quads <= 2 * ROW_THREADS_MAX ? 2 : 4;
    const int64_t threads = (quads + vecs - 1) / vecs;
    return row_shape{vecs, (int)((threads + 31) / 32 * 32)};
}

/* A launcher's answer to arguments that it cannot take: cudaErrorInvalidValue. */
enum { LAUNCH_INVALID = 1 };

#endif
