/* SPDX-License-Identifier: Apache-2.0
 *
 * What both ways of the gradient of attention share.
 */
#ifndef CUDA_KERNEL_ATTENTION_BACKWARD_CUH
#define CUDA_KERNEL_ATTENTION_BACKWARD_CUH

#include "cuda/kernel/attention_backward.h"
#include "cuda/kernel/attention_rows.cuh"

/* What a row's gradient needs besides the tiles. */
struct row_statistics {
    float log_sum, delta;
};

static __device__ __forceinline__ row_statistics
statistics_of(const struct attention_backward_launch &args, const attention_rows &rows, int row) {
    const int64_t at = (int64_t)rows.token(row) * args.forward.H + rows.head(row);
    return {args.statistics[2 * at], args.statistics[2 * at + 1]};
}

/* A block of keys, and the query rows that see it: at `rows`, moved on by next(). */
struct key_block {
    const struct segment *segments;
    int segment, first, count, last; /* segment of the keys, their rows, its last child */
    int current;                     /* segment of the query rows */
    int step;                        /* query rows taken at once */
    attention_rows rows;

    __device__ __forceinline__ bool own() const {
        return current == segment;
    }
    /* Some query row does not see all keys. */
    __device__ __forceinline__ bool masked() const {
        return own() && rows.position(0) < first + count - 1;
    }
    __device__ __forceinline__ void enter(int s, int from) {
        current = s;
        rows.segment = segments[s];
        rows.first = from;
        take();
    }
    __device__ __forceinline__ void take() {
        const int left = rows.segment.length * rows.G - rows.first;
        rows.count = left < step ? left : step;
    }
    /* false: there are no more */
    __device__ __forceinline__ bool next() {
        rows.first += step;
        take();
        while (rows.count <= 0) {
            int s = current + 1;
            while (s <= last && segments[s].parent != segment)
                s++;
            if (s > last)
                return false;
            enter(s, 0);
        }
        return true;
    }
};

static __device__ __forceinline__ key_block
key_block_of(const struct attention_backward_launch &args, const attention_heads &heads, int step) {
    const struct attention_block block = args.key_blocks[blockIdx.x / heads.K];
    key_block keys;
    keys.segments = args.forward.segments;
    keys.segment = block.segment;
    keys.first = block.first;
    keys.last = block.last;
    keys.step = step;
    keys.rows.kv_head = (int)(blockIdx.x % heads.K);
    keys.rows.G = heads.G;
    keys.rows.inverse = heads.inverse;
    keys.rows.before = 0;
    keys.enter(block.segment, block.first * heads.G);
    const int left = keys.rows.segment.length - block.first;
    keys.count = left < ATTENTION_KEYS ? left : ATTENTION_KEYS;
    return keys;
}

#endif
