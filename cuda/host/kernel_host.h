/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel.h for the host's C++ compiler: every thread of a block is a fiber (fiber.h). Nothing here
 * is fast; what counts is that what would go wrong on a GPU goes wrong here, visibly.
 */
#ifndef CUDA_HOST_KERNEL_HOST_H
#define CUDA_HOST_KERNEL_HOST_H

#include <stdlib.h>
#include <string.h>
#include <tuple>
#include <type_traits>

#include "cuda/host/fiber.h"
#include "tensor/dtype.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__        inline
#define __launch_bounds__(...) /* nothing to bound */

#define threadIdx (fiber_now.thread)
#define blockIdx  (fiber_now.block)
#define blockDim  (fiber_now.threads)
#define gridDim   (fiber_now.blocks)

#define LAUNCH(stream, ...) launch_kernel(stream, #__VA_ARGS__, __VA_ARGS__)

/* A kernel and its arguments, kept until the stream comes to it. */
template <typename... P> struct kernel_call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
    static void run(void *call) {
        const auto *self = (const kernel_call *)call;
        std::apply(self->kernel, self->arguments);
    }
    static void release(void *call) {
        delete (kernel_call *)call;
    }
};

template <typename T> static inline void launch_check_argument(const char *text, const T &x) {
    if constexpr (std::is_pointer_v<T>)
        fiber_check_pointer(text, (const void *)x);
}

template <typename... P, typename... A>
static inline int launch_kernel(void *stream, const char *text, void (*kernel)(P...), dim3 grid,
                                dim3 block, size_t shared_bytes, A... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return 0;
    auto *call = new kernel_call<P...>{kernel, std::tuple<P...>(arguments...)};
    std::apply([text](const auto &...x) { (launch_check_argument(text, x), ...); },
               call->arguments);
    return fiber_launch(stream, {text, grid, block, shared_bytes, kernel_call<P...>::run,
                                 kernel_call<P...>::release, call});
}

static inline unsigned char *shared_memory() {
    return fiber_shared();
}

static inline float bits_to_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void __syncthreads() {
    fiber_barrier();
}

static inline void __syncwarp() {
    (void)fiber_exchange(FIBER_SYNC, NULL, 0);
}

static inline float rsqrtf(float x) {
    return 1 / sqrtf(x);
}

/* --- warps --- */

template <typename T> static inline T fiber_value(const struct fiber_slot *slots, int lane) {
    T x;
    memcpy(&x, slots[lane].bytes, sizeof x);
    return x;
}

static inline int fiber_lane() {
    return (int)(fiber_now.index % 32);
}

template <typename T> static inline T warp_shuffle(T x, int lane) {
    const struct fiber_slot *slots = fiber_exchange(FIBER_SHUFFLE, &x, sizeof x);
    return fiber_value<T>(slots, lane & 31);
}

template <typename T> static inline T warp_shuffle_xor(T x, int mask) {
    const struct fiber_slot *slots = fiber_exchange(FIBER_SHUFFLE, &x, sizeof x);
    const int lane = fiber_lane() ^ mask;
    return lane < 32 ? fiber_value<T>(slots, lane) : x;
}

template <typename T> static inline T warp_shuffle_down(T x, int n) {
    const struct fiber_slot *slots = fiber_exchange(FIBER_SHUFFLE, &x, sizeof x);
    const int lane = fiber_lane() + n;
    return lane < 32 ? fiber_value<T>(slots, lane) : x;
}

static inline uint32_t warp_ballot(bool p) {
    const struct fiber_slot *slots = fiber_exchange(FIBER_BALLOT, &p, sizeof p);
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++)
        bits |= (uint32_t)fiber_value<bool>(slots, i) << i;
    return bits;
}

template <typename T> static inline T larger(T x, T y) {
    return y > x || y != y ? y : x;
}

/* All lanes' values joined as the exchanges with lane ^ 16, 8, 4, 2, 1 join them: every lane gets
 * the same bits, since x + y is y + x. */
template <typename T, typename J> static inline T warp_join(T x, enum fiber_kind kind, J join) {
    const struct fiber_slot *slots = fiber_exchange(kind, &x, sizeof x);
    T values[32];
    for (int i = 0; i < 32; i++)
        values[i] = fiber_value<T>(slots, i);
    for (int mask = 16; mask > 0; mask /= 2)
        for (int i = 0; i < mask; i++)
            values[i] = join(values[i], values[i + mask]);
    return values[0];
}

template <typename T> static inline T warp_sum(T x) {
    return warp_join(x, FIBER_SUM, [](T a, T b) { return (T)(a + b); });
}

template <typename T> static inline T warp_maximum(T x) {
    return warp_join(x, FIBER_MAXIMUM, [](T a, T b) { return larger(a, b); });
}

/* --- bf16 --- */

static inline bf16 float_to_bf16(float x) {
    return bf16{dtype_bf16_bits(x)};
}

static inline uint32_t float2_to_bf16x2(float low, float high) {
    return (uint32_t)dtype_bf16_bits(low) | (uint32_t)dtype_bf16_bits(high) << 16;
}

/* --- tensor cores --- */

struct fiber_fragments {
    float d[4];
    uint32_t a[4], b[2];
};

static inline float fiber_half(uint32_t pair, int half) {
    return bits_to_float(half ? pair & 0xffff0000u : pair << 16);
}

/* The whole warp's product. Products are exact in fp32; the machine's order of their sum is not
 * written anywhere, here it is double, rounded once. */
static inline void fiber_multiply(struct fiber_slot *slots) {
    float a[16][16], b[8][16];
    static_assert(sizeof(fiber_slot) >= sizeof(fiber_fragments), "a lane's fragments fit its slot");
    for (int lane = 0; lane < 32; lane++) {
        const auto *f = (const fiber_fragments *)slots[lane].bytes;
        const int g = lane / 4, t = lane % 4;
        for (int half = 0; half < 2; half++) {
            for (int i = 0; i < 4; i++)
                a[g + i % 2 * 8][2 * t + i / 2 * 8 + half] = fiber_half(f->a[i], half);
            for (int i = 0; i < 2; i++)
                b[g][2 * t + i * 8 + half] = fiber_half(f->b[i], half);
        }
    }
    for (int lane = 0; lane < 32; lane++) {
        auto *f = (fiber_fragments *)slots[lane].bytes;
        for (int i = 0; i < 4; i++) {
            const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            double sum = f->d[i];
            for (int k = 0; k < 16; k++)
                sum += (double)(a[row][k] * b[column][k]);
            f->d[i] = (float)sum;
        }
    }
}

static inline void mma_bf16_16x8x16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    fiber_fragments mine;
    memcpy(mine.d, d, sizeof mine.d);
    memcpy(mine.a, a, sizeof mine.a);
    memcpy(mine.b, b, sizeof mine.b);
    const struct fiber_slot *slots = fiber_exchange(FIBER_MMA, &mine, sizeof mine, fiber_multiply);
    memcpy(d, slots[fiber_lane()].bytes, sizeof mine.d);
}

static inline void fiber_load_matrix(uint32_t r[4], const void *shared_row, bool transposed) {
    fiber_check_shared(shared_row, 16);
    const struct fiber_slot *slots = fiber_exchange(FIBER_MATRIX, &shared_row, sizeof shared_row);
    const int lane = fiber_lane();
    for (int i = 0; i < 4; i++) {
        uint16_t pair[2];
        for (int j = 0; j < 2; j++) {
            const int row = transposed ? lane % 4 * 2 + j : lane / 4;
            const int column = transposed ? lane / 4 : lane % 4 * 2 + j;
            const auto *from = (const uint16_t *)fiber_value<const void *>(slots, 8 * i + row);
            pair[j] = from[column];
        }
        r[i] = (uint32_t)pair[0] | (uint32_t)pair[1] << 16;
    }
}

static inline void load_matrix_x4(uint32_t r[4], const void *shared_row) {
    fiber_load_matrix(r, shared_row, false);
}

static inline void load_matrix_x4_transposed(uint32_t r[4], const void *shared_row) {
    fiber_load_matrix(r, shared_row, true);
}

/* --- memory --- */

static inline void copy_async_16(void *shared, const void *global, bool valid) {
    fiber_check_shared(shared, 16);
    fiber_copy_async(shared, global, valid);
}

static inline void copy_async_commit() {
    fiber_copy_commit();
}

template <int N> static inline void copy_async_wait() {
    fiber_copy_wait(N);
}

static inline vec16 load_16(const void *from) {
    fiber_check_aligned(from);
    vec16 v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store_16(void *to, vec16 v) {
    fiber_check_aligned(to);
    memcpy(to, &v, sizeof v);
}

#endif
