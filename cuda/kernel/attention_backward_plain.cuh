/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of attention without tensor cores: see attention_plain.cuh.
 */
#ifndef CUDA_KERNEL_ATTENTION_BACKWARD_PLAIN_CUH
#define CUDA_KERNEL_ATTENTION_BACKWARD_PLAIN_CUH

#include "cuda/kernel/attention_backward.cuh"
#include "cuda/kernel/attention_plain.cuh"

enum { PLAIN_PAIR_BYTES = 2 * PLAIN_BYTES };

/* A warp for each row and head. */
template <typename T>
static __global__ void plain_statistics_kernel(const struct attention_backward_launch args) {
    const int64_t D = args.forward.D, at = (int64_t)blockIdx.x * PLAIN_WARPS + warp_index();
    if (at >= args.T * args.forward.H)
        return;
    const T *dout = (const T *)args.dout + at * D, *out = (const T *)args.forward.out + at * D;
    float sum = 0;
    for (int64_t d = lane_index(); d < D; d += 32)
        sum = fmaf(to_float(dout[d]), to_float(out[d]), sum);
    sum = warp_sum(sum);
    if (lane_index() == 0) {
        args.scratch[2 * at] = args.forward.log_sum[at];
        args.scratch[2 * at + 1] = sum;
    }
}

/* A warp for each query row. */
template <typename T>
static __global__ void plain_query_kernel(const struct attention_backward_launch args) {
    const int D = (int)args.forward.D;
    const attention_heads heads(args.forward.H, args.forward.K, D);
    const struct attention_block block = args.forward.blocks[blockIdx.x / heads.K];
    const attention_rows rows = attention_rows_of(block, heads);
    const T *qkv = (const T *)args.forward.qkv;
    const attention_packed_keys<T> keys =
        attention_packed_keys_of(qkv, heads, rows.kv_head, D, block);
    float *query = (float *)shared_memory() + 2 * warp_index() * ATTENTION_HEAD_MAX,
          *dout = query + ATTENTION_HEAD_MAX;
    for (int row = warp_index(); row < rows.count; row += PLAIN_WARPS) {
        const row_statistics statistics = statistics_of(args, rows, row);
        const int count = block.before + 1 + rows.position(row);
        float dq[PLAIN_PARTS] = {};
        plain_load(query, rows.of(qkv, row, heads.width, D), D);
        plain_load(dout, rows.of((const T *)args.dout, row, heads.H * D, D), D);
        for (int first = 0; first < count; first += 32) {
            const int position = first + lane_index();
            float slope = 0;
            if (position < count) {
                const T *key = keys.key(position);
                const float score = plain_inner(query, key, D) * heads.scale;
                slope = expf(score - statistics.log_sum) *
                        (plain_inner(dout, key + keys.values, D) - statistics.delta);
            }
            for (int j = 0; j < 32 && first + j < count; j++)
                plain_add(dq, warp_shuffle(slope, j), keys.key(first + j), D);
        }
        plain_store(rows.of((T *)args.dqkv, row, heads.width, D), dq, heads.scale, D);
    }
}

/* What up to 32 query rows, a lane each, add to the gradients of key `key_row` of the segment. */
template <typename T>
static __device__ __forceinline__ void
plain_key_step(float dk[PLAIN_PARTS], float dv[PLAIN_PARTS], const float *key, const float *value,
               const struct attention_backward_launch &args, const attention_heads &heads,
               const key_block &block, int key_row) {
    const int D = (int)args.forward.D, lane = lane_index();
    const T *qkv = (const T *)args.forward.qkv, *douts = (const T *)args.dout;
    const int width = heads.H * D;
    float weight = 0, slope = 0;
    if (lane < block.rows.count && (!block.own() || key_row <= block.rows.position(lane))) {
        const row_statistics statistics = statistics_of(args, block.rows, lane);
        const float score =
            plain_inner(key, block.rows.of(qkv, lane, heads.width, D), D) * heads.scale;
        weight = expf(score - statistics.log_sum);
        slope = weight *
                (plain_inner(value, block.rows.of(douts, lane, width, D), D) - statistics.delta);
    }
    for (int j = 0; j < block.rows.count; j++) {
        plain_add(dk, warp_shuffle(slope, j), block.rows.of(qkv, j, heads.width, D), D);
        plain_add(dv, warp_shuffle(weight, j), block.rows.of(douts, j, width, D), D);
    }
}

/* A warp for each key. */
template <typename T>
static __global__ void plain_key_kernel(const struct attention_backward_launch args) {
    const int D = (int)args.forward.D;
    const attention_heads heads(args.forward.H, args.forward.K, D);
    const key_block begin = key_block_of(args, heads, 32);
    const int64_t column = (int64_t)(heads.H + begin.rows.kv_head) * D,
                  values = (int64_t)heads.K * D;
    float *key = (float *)shared_memory() + 2 * warp_index() * ATTENTION_HEAD_MAX,
          *value = key + ATTENTION_HEAD_MAX;
    for (int i = warp_index(); i < begin.count; i += PLAIN_WARPS) {
        const int64_t at =
            (int64_t)(begin.block.start + begin.block.first + i) * heads.width + column;
        float dk[PLAIN_PARTS] = {}, dv[PLAIN_PARTS] = {};
        plain_load(key, (const T *)args.forward.qkv + at, D);
        plain_load(value, (const T *)args.forward.qkv + at + values, D);
        key_block block = begin;
        do
            plain_key_step<T>(dk, dv, key, value, args, heads, block, begin.block.first + i);
        while (block.next());
        if (begin.block.parts == 1) {
            plain_store((T *)args.dqkv + at, dk, heads.scale, D);
            plain_store((T *)args.dqkv + at + values, dv, 1.0f, D);
        } else {
            float *part =
                part_of(args, begin.block.slot + begin.block.part, begin.rows.kv_head) + i * D;
            plain_store(part, dk, 1.0f, D);
            plain_store(part + ATTENTION_KEYS * D, dv, 1.0f, D);
        }
    }
}

#endif
