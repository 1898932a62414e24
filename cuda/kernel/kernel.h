/* SPDX-License-Identifier: Apache-2.0
 *
 * What kernels are written against. The same `.cu` file is compiled by nvcc, and by the host's C++
 * compiler over cuda/host (fibers), where every thread of a block is a fiber: so kernels run, and
 * are tested, on machines without a GPU and without CUDA.
 *
 * As in CUDA: __global__, __device__, __forceinline__, __launch_bounds__, __restrict__, threadIdx,
 * blockIdx, blockDim, gridDim, dim3, __syncthreads(), __syncwarp(), and the C names of mathematics.
 * There is no __shared__: shared memory is what shared_memory() gives. No atomics on floating
 * numbers, so that results do not depend on the order in which threads run; those on integers, in the
 * filters of a draw, give the same sums in any order.
 *
 * A product and a sum stay two operations (nvcc's -fmad=false, as -ffp-contract=off on the host):
 * fmaf where one is meant.
 */
#ifndef CUDA_KERNEL_KERNEL_H
#define CUDA_KERNEL_KERNEL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* 16 bytes that are read and written at once; the address must be a multiple of 16. */
struct alignas(16) vec16 {
    uint32_t w[4];
};

/* A number of 16 bits with the exponent of a float. */
struct bf16 {
    uint16_t bits;
};

#ifdef __CUDACC__
#include "cuda/kernel/kernel_device.h"
#else
#include "cuda/host/kernel_host.h"
#endif

/* What the two headers give, besides the words of CUDA:
 *
 *   int LAUNCH(void *stream, kernel, dim3 grid, dim3 block, size_t shared_bytes, arguments...)
 *       0 or the CUDA error code. A grid without blocks is not launched. The kernel may be written
 *       with commas: LAUNCH(stream, norm<float, 64>, ...).
 *   unsigned char *shared_memory()      the block's dynamic shared memory, aligned to 128 bytes
 *
 * Collectives of a warp: all 32 lanes take part.
 *   T warp_shuffle(T x, int lane), warp_shuffle_xor(T x, int mask), warp_shuffle_down(T x, int n)
 *       T is a 4- or 8-byte number; down keeps x where lane + n is above 31
 *   uint32_t warp_ballot(bool p)        bit i: p of lane i
 *   T warp_sum(T x), warp_maximum(T x)  in all lanes, by exchange with lane ^ 16, 8, 4, 2, 1
 *   T larger(T x, T y)                  as the maxima: a NaN among them is the result
 *
 * bf16:
 *   float bf16_to_float(bf16)
 *   bf16 float_to_bf16(float)           to the nearest, ties to even
 *   uint32_t float2_to_bf16x2(float low, float high)
 *
 * Tensor cores: d += a b for a tile of 16 × 8 × 16, fragments as PTX's mma.m16n8k16.row.col has
 * them. Lane l, with g = l / 4 and t = l % 4, holds
 *   a[0] = A(g, 2t..2t+1)   a[1] = A(g + 8, 2t..)   a[2] = A(g, 2t + 8..)  a[3] = A(g + 8, 2t + 8..)
 *   b[0] = B(2t..2t+1, g)   b[1] = B(2t + 8.., g)   d[0..1] = D(g, 2t..)   d[2..3] = D(g + 8, 2t..)
 *   void mma_bf16_16x8x16(float d[4], const uint32_t a[4], const uint32_t b[2])
 *
 * Four 8 × 8 matrices of bf16 from shared memory: lane 8 i + j gives the address of row j of matrix
 * i (16 bytes, aligned). r[i] of lane l becomes its elements (l / 4, 2 (l % 4)..), or of the
 * transposed matrix.
 *   void load_matrix_x4(uint32_t r[4], const void *shared_row), load_matrix_x4_transposed(...)
 *
 * Copies from global to shared memory beside the computation; both addresses multiples of 16. They
 * have happened, for the thread that issued them, after copy_async_wait<N>: all but the N youngest
 * committed groups. Other threads see them after a barrier behind that.
 *   void copy_async_16(void *shared, const void *global, bool valid)     !valid: 16 zeros
 *   void copy_async_commit(), copy_async_wait<N>()
 *
 *   vec16 load_16(const void *), void store_16(void *, vec16)
 */

/* The lower and the upper half of a pair. */
static __device__ __forceinline__ float bf16x2_low(uint32_t pair) {
    return bits_to_float(pair << 16);
}

static __device__ __forceinline__ float bf16x2_high(uint32_t pair) {
    return bits_to_float(pair & 0xffff0000u);
}

static __device__ __forceinline__ float bf16_to_float(bf16 b) {
    return bits_to_float((uint32_t)b.bits << 16);
}

/* Widening of the element types that activations have. */
static __device__ __forceinline__ float to_float(float x) {
    return x;
}

static __device__ __forceinline__ float to_float(bf16 x) {
    return bf16_to_float(x);
}

template <typename T> static __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) {
    return x;
}
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) {
    return float_to_bf16(x);
}

/* Place of this thread in its block, warp and lane, whatever the block's shape. */
static __device__ __forceinline__ int thread_index() {
    return (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

static __device__ __forceinline__ int warp_index() {
    return thread_index() / 32;
}

static __device__ __forceinline__ int lane_index() {
    return thread_index() % 32;
}

static __device__ __forceinline__ int warp_count() {
    return (int)(blockDim.x * blockDim.y * blockDim.z) / 32;
}

/* Sum and maximum over the block, in all threads: warps by warp_sum, then warp by warp in ascending
 * order. scratch: 32 elements of shared memory, which may be used again at once. */
template <typename T> static __device__ __forceinline__ T block_sum(T x, T *scratch) {
    x = warp_sum(x);
    __syncthreads();
    if (lane_index() == 0)
        scratch[warp_index()] = x;
    __syncthreads();
    T sum = scratch[0];
    for (int i = 1; i < warp_count(); i++)
        sum += scratch[i];
    return sum;
}

template <typename T> static __device__ __forceinline__ T block_maximum(T x, T *scratch) {
    x = warp_maximum(x);
    __syncthreads();
    if (lane_index() == 0)
        scratch[warp_index()] = x;
    __syncthreads();
    T maximum = scratch[0];
    for (int i = 1; i < warp_count(); i++)
        maximum = larger(maximum, scratch[i]);
    return maximum;
}

#endif
