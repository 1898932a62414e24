/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime.h"

#include "cuda/kernel/kernel.h"

__global__ static void reverse_kernel(const float *x, float *out, int n, int with_barrier) {
    auto *shared = (float *)shared_memory();
    const int i = (int)threadIdx.x;
    shared[i] = x[i];
    if (with_barrier)
        __syncthreads();
    out[i] = shared[n - 1 - i];
}

int launch_reverse(void *stream, const float *x, float *out, int n, int with_barrier) {
    return LAUNCH(stream, reverse_kernel, 1, (unsigned)n, (size_t)n * sizeof(float), x, out, n,
                  with_barrier);
}

__global__ static void collectives_kernel(const float *x, float *out) {
    const int i = lane_index();
    out[i] = warp_shuffle(x[i], 5);
    out[32 + i] = warp_shuffle_xor(x[i], 3);
    out[64 + i] = warp_shuffle_down(x[i], 7);
    out[96 + i] = bits_to_float(warp_ballot(x[i] > 0));
    out[128 + i] = warp_sum(x[i]);
    out[160 + i] = warp_maximum(x[i]);
}

int launch_collectives(void *stream, const float *x, float *out) {
    return LAUNCH(stream, collectives_kernel, 1, 32, 0, x, out);
}

__global__ static void block_kernel(const float *x, float *out) {
    auto *scratch = (float *)shared_memory();
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const float sum = block_sum(x[i], scratch);
    out[i] = sum;
    out[gridDim.x * blockDim.x + i] = block_maximum(x[i], scratch);
}

int launch_block(void *stream, const float *x, float *out, int blocks, int threads) {
    return LAUNCH(stream, block_kernel, (unsigned)blocks, (unsigned)threads, 32 * sizeof(float), x,
                  out);
}

/* Rows of 16 bf16 are two pieces of 16 bytes; those of the transposed b are one. */
__global__ static void tile_kernel(const uint16_t *a, const uint16_t *b, const float *c, float *d,
                                   int transposed, int wait) {
    unsigned char *shared = shared_memory();
    const int lane = lane_index(), g = lane / 4, t = lane % 4;
    copy_async_16(shared + 16 * lane, a + 8 * lane, true);
    copy_async_commit();
    copy_async_16(shared + 512 + 16 * (lane % 16), b + 8 * (lane % 16), true);
    copy_async_commit();
    if (wait)
        copy_async_wait<0>();
    __syncthreads();

    /* Matrices 0..3 of A: rows 0..7 and 8..15 of the left half, then of the right one. */
    uint32_t fa[4], fb[4];
    load_matrix_x4(fa, shared + (lane % 16) * 32 + lane / 16 * 16);
    if (transposed)
        load_matrix_x4_transposed(fb, shared + 512 + lane % 16 * 16);
    else
        load_matrix_x4(fb, shared + 512 + lane % 8 * 32 + lane / 8 % 2 * 16);
    float sums[4];
    for (int i = 0; i < 4; i++)
        sums[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
    mma_bf16_16x8x16(sums, fa, fb);
    for (int i = 0; i < 4; i++)
        d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

int launch_tile(void *stream, const uint16_t *a, const uint16_t *b, const float *c, float *d,
                int transposed, int wait) {
    return LAUNCH(stream, tile_kernel, 1, 32, 768, a, b, c, d, transposed, wait);
}

__global__ static void conversions_kernel(const float *x, float *out, int n) {
    const int i = thread_index();
    out[i] = to_float(from_float<bf16>(x[i]));
    const uint32_t pair = float2_to_bf16x2(x[i], -x[i]);
    out[n + i] = bf16x2_low(pair);
    out[2 * n + i] = bf16x2_high(pair);
    if (i % 4 == 0)
        store_16(out + 3 * n + i, load_16(x + i));
}

int launch_conversions(void *stream, const float *x, float *out, int n) {
    return LAUNCH(stream, conversions_kernel, 1, (unsigned)n, 0, x, out, n);
}

__global__ static void wrong_kernel(float *out, int kind) {
    auto *shared = (float *)shared_memory();
    uint32_t r[4];
    const int i = thread_index();
    if (kind == 0 && i == 17)
        return;
    if (kind == 1 && i == 40)
        return;
    if (kind == 2 && i == 3)
        (void)warp_ballot(true);
    if (kind == 3 && i == 0)
        shared[65] = 0;
    if (kind == 4)
        store_16((unsigned char *)out + 8, vec16{{0, 0, 0, 0}});
    if (kind == 5)
        load_matrix_x4(r, (unsigned char *)shared + 256);
    __syncthreads();
    out[i] = kind == 1 ? warp_sum(1.0f) : warp_shuffle(1.0f, 0);
}

int launch_wrong(void *stream, float *out, int kind) {
    return LAUNCH(stream, wrong_kernel, 1, 64, 260, out, kind);
}

__global__ static void increment_kernel(float *x) {
    x[blockIdx.x * blockDim.x + threadIdx.x] += 1;
}

int launch_increment(void *stream, float *x, int n) {
    return LAUNCH(stream, increment_kernel, (unsigned)n / 32, 32, 0, x);
}
