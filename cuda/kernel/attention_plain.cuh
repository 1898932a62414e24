/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention without tensor cores: for fp32, and for head sizes that the tiles do not fit. A warp
 * takes one query row; lane l scores key l of 32, then holds the elements l, l + 32, … of the sum.
 * Blocks of 32 keys begin at positions that are multiples of 32: forward and decoding run this same
 * function, so that their bits agree.
 */
#ifndef CUDA_KERNEL_ATTENTION_PLAIN_CUH
#define CUDA_KERNEL_ATTENTION_PLAIN_CUH

#include "cuda/kernel/attention_rows.cuh"

enum {
    PLAIN_WARPS = 8,
    PLAIN_BYTES = PLAIN_WARPS * ATTENTION_HEAD_MAX * (int)sizeof(float),
    PLAIN_PARTS = ATTENTION_HEAD_MAX / 32
};

/* A row in shared memory, as floats. */
template <typename T>
static __device__ __forceinline__ void plain_load(float *to, const T *from, int D) {
    __syncwarp();
    for (int d = lane_index(); d < D; d += 32)
        to[d] = to_float(from[d]);
    __syncwarp();
}

template <typename T>
static __device__ __forceinline__ float plain_inner(const float *a, const T *b, int D) {
    float sum = 0;
    for (int d = 0; d < D; d++)
        sum = fmaf(a[d], to_float(b[d]), sum);
    return sum;
}

/* sums[i] += weight · row[lane + 32 i] */
template <typename T>
static __device__ __forceinline__ void plain_add(float sums[PLAIN_PARTS], float weight,
                                                 const T *row, int D) {
#pragma unroll
    for (int i = 0; i < PLAIN_PARTS; i++)
        if (lane_index() + 32 * i < D)
            sums[i] = fmaf(weight, to_float(row[lane_index() + 32 * i]), sums[i]);
}

template <typename T>
static __device__ __forceinline__ void plain_store(T *to, const float sums[PLAIN_PARTS],
                                                   float factor, int D) {
#pragma unroll
    for (int i = 0; i < PLAIN_PARTS; i++)
        if (lane_index() + 32 * i < D)
            to[lane_index() + 32 * i] = from_float<T>(sums[i] * factor);
}

/* The output of a row that sees `count` keys; gives its log_sum. `scratch`: D floats. */
template <typename T, typename Keys>
static __device__ __forceinline__ float plain_row(float *scratch, const T *query, const Keys &keys,
                                                  int count, int D, float scale, T *out) {
    float sums[PLAIN_PARTS] = {}, maximum = -INFINITY, sum = 0;
    plain_load(scratch, query, D);
    for (int first = 0; first < count; first += 32) {
        const int position = first + lane_index();
        const float score = position < count ? plain_inner(scratch, keys.key(position), D) * scale
                                             : -INFINITY,
                    rise = fmaxf(maximum, warp_maximum(score)), correction = expf(maximum - rise),
                    weight = expf(score - rise);
        maximum = rise;
        sum = fmaf(sum, correction, warp_sum(weight));
#pragma unroll
        for (int i = 0; i < PLAIN_PARTS; i++)
            sums[i] *= correction;
        for (int j = 0; j < 32 && first + j < count; j++)
            plain_add(sums, warp_shuffle(weight, j), keys.key(first + j) + keys.values, D);
    }
    plain_store(out, sums, 1.0f / sum, D);
    return maximum + logf(sum);
}

#endif
