/* SPDX-License-Identifier: Apache-2.0
 *
 * How the sums of a row's blocks come together, for the head and for the draw, so that both give a
 * token the same bits.
 */
#ifndef CUDA_KERNEL_HEAD_MERGE_CUH
#define CUDA_KERNEL_HEAD_MERGE_CUH

#include <float.h>

#include "cuda/kernel/head.h"
#include "cuda/kernel/rows.cuh"

/* 1 / T, as the CPU backend has it. */
static inline float inverse_temperature(float temperature) {
    return fminf(1.0f / temperature, FLT_MAX);
}

struct head_state {
    double sum, weighted;
    float max;
};

static __device__ __forceinline__ float greater_of(float a, float b) {
    return a > b ? a : b;
}

/* Adds `count` blocks to the state in ascending order, by a warp; `fresh`: the state is empty. Block
 * by block both sides are brought to the larger maximum,
 *     Σ (z − max') exp((z − max')/T) = exp((max − max')/T) (weighted + (max − max') sum),
 * the exponentials of 32 blocks at once. */
static __device__ __forceinline__ head_state head_merge(head_state state, bool fresh,
                                                        const head_sums *sums, int64_t count,
                                                        double scale) {
    const int lane = lane_index();
    for (int64_t first = 0; first < count; first += 32) {
        const bool here = first + lane < count;
        const head_sums block = here ? sums[first + lane] : head_sums{};
        float after = here ? block.max : -INFINITY;
        if (!fresh && lane == 0)
            after = greater_of(state.max, after);
        for (int step = 1; step < 32; step *= 2) {
            const float other = warp_shuffle(after, lane >= step ? lane - step : lane);
            after = lane >= step ? greater_of(other, after) : after;
        }
        const float left = warp_shuffle(after, lane > 0 ? lane - 1 : 0);
        const float before = lane > 0 ? left : state.max;
        const double old = (double)before - (double)after, add = (double)block.max - (double)after;
        const double keep = exp(old * scale), weight = exp(add * scale);
        const double sum = weight * (double)block.sum;
        const double weighted = weight * ((double)block.weighted + add * (double)block.sum);
        const int blocks = count - first < 32 ? (int)(count - first) : 32;
        for (int i = 0; i < blocks; i++) {
            const double keep_i = warp_shuffle(keep, i), old_i = warp_shuffle(old, i);
            const double sum_i = warp_shuffle(sum, i), weighted_i = warp_shuffle(weighted, i);
            if (fresh && first + i == 0) {
                state = head_state{sum_i, weighted_i, 0.0f};
                continue;
            }
            state.weighted = keep_i * (state.weighted + old_i * state.sum) + weighted_i;
            state.sum = keep_i * state.sum + sum_i;
        }
        state.max = warp_shuffle(after, blocks - 1);
        fresh = fresh && first > 0;
    }
    return state;
}

struct head_result {
    float logprob, entropy, log_sum;
};

static __device__ __forceinline__ head_result head_result_of(head_state state, float target,
                                                             double scale) {
    const double log_sum = log(state.sum), below = (double)target - (double)state.max;
    return head_result{(float)(below * scale - log_sum),
                       (float)(log_sum - state.weighted / state.sum * scale), (float)log_sum};
}

#endif
