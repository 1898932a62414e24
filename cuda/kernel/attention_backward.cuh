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
    return {args.scratch[2 * at], args.scratch[2 * at + 1]};
}

/* A block of keys, and the query rows of its part that see it: at `rows`, moved on by next(). */
struct key_block {
    const struct segment *segments;
    struct attention_block block;
    int count;   /* keys */
    int current; /* segment of the query rows */
    int end;     /* its packed rows */
    int left;    /* query rows of the part, from the current ones on */
    int step;    /* query rows taken at once */
    attention_rows rows;

    __device__ __forceinline__ bool own() const {
        return current == block.segment;
    }
    /* Some query row does not see all keys. */
    __device__ __forceinline__ bool masked() const {
        return own() && rows.position(0) < block.first + count - 1;
    }
    __device__ __forceinline__ void enter(int s, int from) {
        current = s;
        end = segments[s].length * rows.G;
        rows.start = segments[s].start;
        rows.first = from;
        take();
    }
    __device__ __forceinline__ void take() {
        const int here = end - rows.first;
        rows.count = here < step ? here : step;
        rows.count = left < rows.count ? left : rows.count;
    }
    /* false: there are no more */
    __device__ __forceinline__ bool next() {
        left -= rows.count;
        if (left <= 0)
            return false;
        rows.first += rows.count;
        if (rows.first < end) {
            take();
        } else {
            int s = current + 1;
            while (segments[s].parent != block.segment)
                s++;
            enter(s, 0);
        }
        return true;
    }
};

static __device__ __forceinline__ key_block
key_block_of(const struct attention_backward_launch &args, const attention_heads &heads, int step) {
    key_block keys;
    keys.segments = args.forward.segments;
    keys.block = args.key_blocks[blockIdx.x / heads.K];
    keys.step = step;
    keys.left = keys.block.rows;
    keys.rows.kv_head = (int)(blockIdx.x % heads.K);
    keys.rows.G = heads.G;
    keys.rows.inverse = heads.inverse;
    keys.enter(keys.block.query_segment, keys.block.query_first);
    const int here = keys.block.length - keys.block.first;
    keys.count = here < ATTENTION_KEYS ? here : ATTENTION_KEYS;
    return keys;
}

/* Sums of one of several parts: dk (ATTENTION_KEYS, D), then dv. */
static __device__ __forceinline__ float *part_of(const struct attention_backward_launch &args,
                                                 int slot, int kv_head) {
    const int64_t D = args.forward.D, K = args.forward.K;
    return args.scratch + 2 * args.T * args.forward.H +
           (slot * K + kv_head) * 2 * ATTENTION_KEYS * D;
}

/* Adds the parts of a block of keys in their order. */
template <typename T>
static __global__ void parts_kernel(const struct attention_backward_launch args) {
    const int64_t D = args.forward.D;
    const attention_heads heads(args.forward.H, args.forward.K, (int)D);
    const key_block keys = key_block_of(args, heads, 1);
    if (keys.block.parts == 1 || keys.block.part > 0)
        return;
    const int start = keys.block.start + keys.block.first;
    for (int64_t i = threadIdx.x; i < 2 * keys.count * D; i += blockDim.x) {
        const int64_t kind = i / (keys.count * D), at = i % (keys.count * D);
        float sum = 0;
        for (int part = 0; part < keys.block.parts; part++)
            sum += part_of(args, keys.block.slot + part,
                           keys.rows.kv_head)[kind * ATTENTION_KEYS * D + at];
        T *row = (T *)args.dqkv + (start + at / D) * heads.width +
                 (heads.H + kind * heads.K + keys.rows.kv_head) * D;
        row[at % D] = from_float<T>(kind == 0 ? sum * heads.scale : sum);
    }
}

#endif
