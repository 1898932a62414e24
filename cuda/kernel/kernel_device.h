/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel.h for nvcc: see there.
 */
#ifndef CUDA_KERNEL_KERNEL_DEVICE_H
#define CUDA_KERNEL_KERNEL_DEVICE_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#define LAUNCH(stream, ...) launch_kernel(stream, __VA_ARGS__)

enum { LAUNCH_PLAIN_SHARED = 48 * 1024 }; /* above, the kernel must be told */

template <typename... P, typename... A>
static inline int launch_kernel(void *stream, void (*kernel)(P...), dim3 grid, dim3 block,
                                size_t shared_bytes, A... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return 0;
    if (shared_bytes > LAUNCH_PLAIN_SHARED) {
        const cudaError_t error = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
        if (error != cudaSuccess)
            return (int)error;
    }
    kernel<<<grid, block, shared_bytes, (cudaStream_t)stream>>>(arguments...);
    return (int)cudaGetLastError();
}

extern __shared__ __align__(128) unsigned char kernel_shared_bytes[];

static __device__ __forceinline__ unsigned char *shared_memory() {
    return kernel_shared_bytes;
}

static __device__ __forceinline__ float bits_to_float(uint32_t bits) {
    return __uint_as_float(bits);
}

/* --- warps --- */

template <typename T> static __device__ __forceinline__ T warp_shuffle(T x, int lane) {
    return __shfl_sync(0xffffffffu, x, lane);
}

template <typename T> static __device__ __forceinline__ T warp_shuffle_xor(T x, int mask) {
    return __shfl_xor_sync(0xffffffffu, x, mask);
}

template <typename T> static __device__ __forceinline__ T warp_shuffle_down(T x, int n) {
    return __shfl_down_sync(0xffffffffu, x, n);
}

static __device__ __forceinline__ uint32_t warp_ballot(bool p) {
    return __ballot_sync(0xffffffffu, p);
}

template <typename T> static __device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2)
        x += warp_shuffle_xor(x, mask);
    return x;
}

/* A NaN among them is the result. */
template <typename T> static __device__ __forceinline__ T larger(T x, T y) {
    return y > x || y != y ? y : x;
}

template <typename T> static __device__ __forceinline__ T warp_maximum(T x) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) {
        x = larger(x, warp_shuffle_xor(x, mask));
    }
    return x;
}

/* --- bf16 --- */

static __device__ __forceinline__ bf16 float_to_bf16(float x) {
    return bf16{__bfloat16_as_ushort(__float2bfloat16_rn(x))};
}

static __device__ __forceinline__ uint32_t float2_to_bf16x2(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* --- tensor cores --- */

static __device__ __forceinline__ void mma_bf16_16x8x16(float d[4], const uint32_t a[4],
                                                        const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ uint32_t shared_address(const void *shared) {
    return (uint32_t)__cvta_generic_to_shared(shared);
}

static __device__ __forceinline__ void load_matrix_x4(uint32_t r[4], const void *shared_row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(shared_row))
                 : "memory");
}

static __device__ __forceinline__ void load_matrix_x4_transposed(uint32_t r[4],
                                                                 const void *shared_row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(shared_row))
                 : "memory");
}

/* --- memory --- */

static __device__ __forceinline__ void copy_async_16(void *shared, const void *global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared_address(shared)), "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
}

static __device__ __forceinline__ void copy_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int N> static __device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

static __device__ __forceinline__ vec16 load_16(const void *from) {
    const uint4 v = *(const uint4 *)from;
    return vec16{{v.x, v.y, v.z, v.w}};
}

static __device__ __forceinline__ void store_16(void *to, vec16 v) {
    *(uint4 *)to = make_uint4(v.w[0], v.w[1], v.w[2], v.w[3]);
}

#endif
