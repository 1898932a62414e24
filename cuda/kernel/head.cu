/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-probability and entropy of rows of logits that pass by in blocks, and the gradient of both; the
 * equations stand in src/backend/cpu/cpu_head.c. A warp has one HEAD_BLOCK of a row in its registers;
 * another pass of warps, one for each row, brings the sums of the blocks together.
 */
#include "cuda/kernel/head.h"

#include "cuda/kernel/head_merge.cuh"

enum { HEAD_THREADS = 256, HEAD_WARPS = HEAD_THREADS / 32, HEAD_QUADS = HEAD_BLOCK / 128 };

/* --- sums --- */

struct head_sums_args {
    const float *logits;
    head_sums *sums;
    int64_t R, columns, ld;
    uint32_t blocks; /* of a row */
    float scale;     /* log2(e) / T: powers are of 2, which the device is faster at */
};

/* The warp's quads of a block of n logits: number i of lane l begins at 4 (l + 32 i). */
template <bool ALIGNED>
static __device__ __forceinline__ void load_block(const float *z, int64_t n,
                                                  quad values[HEAD_QUADS]) {
#pragma unroll
    for (int i = 0; i < HEAD_QUADS; i++) {
        const int at = 4 * (lane_index() + 32 * i);
        values[i] = read_quad<ALIGNED>(z + at, n - at);
    }
}

/* Sums of a block: in each lane by the elements of a quad, side by side, then over the lanes. */
static __device__ __forceinline__ head_sums sum_block(const quad values[HEAD_QUADS], int64_t n,
                                                      float scale) {
    float max = -INFINITY, sums[4] = {}, weighted[4] = {};
#pragma unroll
    for (int i = 0; i < HEAD_QUADS; i++)
#pragma unroll
        for (int k = 0; k < 4; k++)
            max = 4 * (lane_index() + 32 * i) + k < n ? greater_of(values[i].v[k], max) : max;
    max = warp_maximum(max);
#pragma unroll
    for (int i = 0; i < HEAD_QUADS; i++)
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const bool here = 4 * (lane_index() + 32 * i) + k < n;
            const float below = here ? values[i].v[k] - max : 0.0f;
            const float power = here ? exp2f(below * scale) : 0.0f;
            sums[k] += power;
            weighted[k] = fmaf(below, power, weighted[k]);
        }
    return head_sums{max, warp_sum((sums[0] + sums[1]) + (sums[2] + sums[3])),
                     warp_sum((weighted[0] + weighted[1]) + (weighted[2] + weighted[3])), 0.0f};
}

template <bool ALIGNED>
static __global__ void __launch_bounds__(HEAD_THREADS) sums_kernel(head_sums_args a) {
    const uint32_t i = blockIdx.x * HEAD_WARPS + (uint32_t)warp_index(), r = i / a.blocks;
    if (r >= a.R)
        return;
    const int64_t at = (int64_t)(i % a.blocks) * HEAD_BLOCK, left = a.columns - at;
    const int64_t n = left < HEAD_BLOCK ? left : (int64_t)HEAD_BLOCK;
    quad values[HEAD_QUADS];
    load_block<ALIGNED>(a.logits + r * a.ld + at, n, values);
    const head_sums sums =
        n == HEAD_BLOCK ? sum_block(values, HEAD_BLOCK, a.scale) : sum_block(values, n, a.scale);
    if (lane_index() == 0)
        a.sums[i] = sums;
}

int launch_head_sums(void *stream, const struct head_sums_launch *args) {
    const head_sums_args a = {
        args->logits,
        args->sums,
        args->R,
        args->columns,
        args->ld,
        (uint32_t)head_sums_of(args->columns),
        fminf(inverse_temperature(args->temperature) * 0x1.715476p+0f, FLT_MAX)};
    const dim3 grid = blocks_for(a.R * a.blocks, HEAD_WARPS), block(HEAD_THREADS);
    return a.columns % 4 == 0 && rows_aligned(a.ld, a.logits)
               ? LAUNCH(stream, sums_kernel<true>, grid, block, 0, a)
               : LAUNCH(stream, sums_kernel<false>, grid, block, 0, a);
}

static __global__ void __launch_bounds__(HEAD_THREADS)
    merge_kernel(head_block_launch a, double scale) {
    const int64_t r = (int64_t)blockIdx.x * HEAD_WARPS + warp_index();
    if (r >= a.R)
        return;
    const int64_t count = (a.columns + HEAD_BLOCK - 1) / HEAD_BLOCK;
    const head_row old = a.begin > 0 ? a.rows[r] : head_row{};
    const head_state state = head_merge(head_state{old.sum, old.weighted, old.max}, a.begin == 0,
                                        a.sums + r * count, count, scale);
    const int64_t target = a.targets[r] - a.begin;
    const bool here = target >= 0 && target < a.columns;
    if (lane_index() == 0)
        a.rows[r] = head_row{state.sum, state.weighted, state.max,
                             here ? a.logits[r * a.ld + target] : old.target};
}

int launch_head_block(void *stream, const struct head_block_launch *args) {
    const head_sums_launch sums = {args->logits,  args->sums, args->R,
                                   args->columns, args->ld,   args->temperature};
    const int error = launch_head_sums(stream, &sums);
    if (error != 0)
        return error;
    return LAUNCH(stream, merge_kernel, blocks_for(args->R, HEAD_WARPS), dim3(HEAD_THREADS), 0,
                  *args, (double)inverse_temperature(args->temperature));
}

static __global__ void __launch_bounds__(HEAD_THREADS)
    finish_kernel(head_finish_launch a, double scale) {
    const int64_t r = (int64_t)blockIdx.x * HEAD_THREADS + threadIdx.x;
    if (r >= a.R)
        return;
    const head_row row = a.rows[r];
    const head_result result =
        head_result_of(head_state{row.sum, row.weighted, row.max}, row.target, scale);
    a.logprob[r] = result.logprob;
    a.entropy[r] = result.entropy;
    if (a.shift != nullptr)
        a.shift[r] = head_shift{row.max, result.log_sum};
}

int launch_head_finish(void *stream, const struct head_finish_launch *args) {
    return LAUNCH(stream, finish_kernel, blocks_for(args->R, HEAD_THREADS), dim3(HEAD_THREADS), 0,
                  *args, (double)inverse_temperature(args->temperature));
}

/* --- the gradient --- */

enum { GRADIENT_QUADS = 4, GRADIENT_COLUMNS = 4 * HEAD_THREADS * GRADIENT_QUADS };

/* What the gradient of a row needs. */
struct gradient_row {
    float scale, max, log_sum, entropy, d_logprob, d_entropy;
};

/* exp(−104) is 0; a NaN stays one. */
static __device__ __forceinline__ float gradient_of(const gradient_row &row, float z) {
    const float exact = fmaf(z - row.max, row.scale, -row.log_sum);
    const float log_p = exact < -104.0f ? -104.0f : exact;
    const float weight = fmaf(row.d_entropy, log_p + row.entropy, row.d_logprob);
    return expf(log_p) * -row.scale * weight;
}

/* At the target itself: 1 − p comes from expm1, which keeps its digits where p is close to 1. */
static __device__ __forceinline__ float target_gradient(const gradient_row &row, float z) {
    const double scale = (double)row.scale, below = (double)z - (double)row.max;
    const double log_p = below * scale - (double)row.log_sum;
    const double entropy_term = exp(log_p) * (log_p + (double)row.entropy);
    return (float)(scale *
                   (-expm1(log_p) * (double)row.d_logprob - entropy_term * (double)row.d_entropy));
}

/* Blocks of GRADIENT_COLUMNS of a row. */
template <typename T, bool ALIGNED>
static __global__ void __launch_bounds__(HEAD_THREADS)
    gradient_kernel(head_backward_launch a, uint32_t tiles, float scale) {
    const uint32_t r = blockIdx.x / tiles;
    const int64_t first = (int64_t)(blockIdx.x % tiles) * GRADIENT_COLUMNS + 4 * threadIdx.x;
    const gradient_row row = {scale,        a.shift[r].max, a.shift[r].log_sum,
                              a.entropy[r], a.d_logprob[r], a.d_entropy[r]};
    const int64_t target = a.targets[r] - a.begin;
    const float *z = a.logits + r * a.ld;
    T *out = (T *)a.out + r * a.ld;
    quad values[GRADIENT_QUADS];
#pragma unroll
    for (int i = 0; i < GRADIENT_QUADS; i++) {
        const int64_t c = first + i * 4 * HEAD_THREADS;
        values[i] = read_quad<ALIGNED>(z + c, a.columns - c);
    }
#pragma unroll
    for (int i = 0; i < GRADIENT_QUADS; i++) {
        const int64_t c = first + i * 4 * HEAD_THREADS;
        const float at_target = target >= c && target < c + 4 && target < a.columns
                                    ? target_gradient(row, z[target])
                                    : 0.0f;
#pragma unroll
        for (int k = 0; k < 4; k++)
            values[i].v[k] = c + k == target ? at_target : gradient_of(row, values[i].v[k]);
        write_quad<ALIGNED>(out + c, values[i], a.columns - c);
    }
}

template <typename T> static int launch_gradient(void *stream, const head_backward_launch &a) {
    const uint32_t tiles = (uint32_t)((a.columns + GRADIENT_COLUMNS - 1) / GRADIENT_COLUMNS);
    const float scale = inverse_temperature(a.temperature);
    const dim3 grid((unsigned)(a.R * tiles)), block(HEAD_THREADS);
    return a.columns % 4 == 0 && rows_aligned(a.ld, (const void *)a.logits, (const void *)a.out)
               ? LAUNCH(stream, gradient_kernel<T, true>, grid, block, 0, a, tiles, scale)
               : LAUNCH(stream, gradient_kernel<T, false>, grid, block, 0, a, tiles, scale);
}

int launch_head_backward(void *stream, const struct head_backward_launch *args) {
    return args->dtype == DTYPE_BF16 ? launch_gradient<bf16>(stream, *args)
                                     : launch_gradient<float>(stream, *args);
}
