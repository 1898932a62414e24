/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients that are summed over rows: a sum over T rows is taken by at most ROW_SLOTS blocks, each
 * over rows that follow one another, whose results stand in slots; then over the slots. Which rows
 * belong to a slot depends on T alone, so the bits are the same every time.
 */
#ifndef CUDA_KERNEL_SLOTS_CUH
#define CUDA_KERNEL_SLOTS_CUH

#include "cuda/kernel/rows.cuh"

enum { ROW_SLOTS = 264, SLOT_COLUMNS = 32, SLOT_GROUPS = 8 };

static inline int64_t slot_rows(int64_t T) {
    return (T + ROW_SLOTS - 1) / ROW_SLOTS;
}

static inline int64_t slot_count(int64_t T) {
    return T > 0 ? (T + slot_rows(T) - 1) / slot_rows(T) : 0;
}

struct slot_sums {
    const float *partial; /* (slots, C) */
    float *out, *rest;    /* columns 0 .. split − 1, and those behind */
    int64_t slots, C, split;
};

/* Σ over the slots: by groups of them, in ascending order in each, then over the groups. Block:
 * SLOT_COLUMNS × SLOT_GROUPS. */
static __global__ void sum_slots(slot_sums a) {
    float *groups = (float *)shared_memory();
    const int64_t c = (int64_t)blockIdx.x * SLOT_COLUMNS + threadIdx.x;
    const int64_t each = (a.slots + SLOT_GROUPS - 1) / SLOT_GROUPS, first = threadIdx.y * each;
    const int64_t last = first + each < a.slots ? first + each : a.slots;
    float sum = 0.0f;
    if (c < a.C) {
#pragma unroll 8
        for (int64_t s = first; s < last; s++)
            sum += a.partial[s * a.C + c];
    }
    groups[threadIdx.y * SLOT_COLUMNS + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || c >= a.C)
        return;
    for (int g = 1; g < SLOT_GROUPS; g++)
        sum += groups[g * SLOT_COLUMNS + threadIdx.x];
    if (c < a.split)
        a.out[c] = sum;
    else
        a.rest[c - a.split] = sum;
}

static inline int launch_sum_slots(void *stream, const slot_sums &sums) {
    return LAUNCH(stream, sum_slots, blocks_for(sums.C, SLOT_COLUMNS),
                  dim3(SLOT_COLUMNS, SLOT_GROUPS), SLOT_COLUMNS * SLOT_GROUPS * sizeof(float),
                  sums);
}

#endif
