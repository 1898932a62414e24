/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward attention. A block of threads takes ATTENTION_ROWS packed rows of a segment and a key
 * head: four warps of 32 rows. Two stages of keys and values: the next block of keys is copied
 * while this one is computed.
 */
#include "cuda/kernel/attention_forward.h"

#include "cuda/kernel/attention.cuh"
#include "cuda/kernel/attention_plain.cuh"

enum { WARPS = 4, TILES = ATTENTION_ROWS / WARPS / 16 };

/* Queries stay in registers where there is room for them. */
template <int D> static constexpr bool HELD = D <= 64;

/* Two stages of keys and values, then the queries. */
template <int D>
static constexpr int
    FORWARD_BYTES = (4 + (HELD<D> ? 0 : ATTENTION_ROWS / ATTENTION_KEYS)) * TILE_BYTES<D>;

template <int D>
static __device__ __forceinline__ void
load_queries(attention_queries<D, TILES, HELD<D>> &queries, unsigned char *tile,
             const struct attention_forward_launch &args, const attention_heads &heads,
             const attention_rows &rows) {
    queries.tile = tile;
    queries.row = warp_index() * TILES * 16;
    if constexpr (HELD<D>) {
#pragma unroll
        for (int m = 0; m < TILES; m++) {
            const int row = queries.row + 16 * m + lane_index() / 4;
            const bf16 *low = rows.of((const bf16 *)args.qkv, row, heads.width, D),
                       *high = rows.of((const bf16 *)args.qkv, row + 8, heads.width, D);
#pragma unroll
            for (int k = 0; k < D / 16; k++)
                fragment_left_global(queries.held[m][k], low, high, k);
        }
    } else {
        for (int i = thread_index(); i < ATTENTION_ROWS * (D / 8); i += WARPS * 32) {
            const int row = i / (D / 8), chunk = i % (D / 8);
            copy_async_16(tile + tile_at<D>(row, chunk),
                          rows.of((const bf16 *)args.qkv, row, heads.width, D) + chunk * 8, true);
        }
    }
}

template <int D>
static __device__ __forceinline__ void
store_rows(const struct attention_forward_launch &args, const attention_heads &heads,
           const attention_rows &rows, const attention_state<D, TILES> &state) {
#pragma unroll
    for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int row = warp_index() * TILES * 16 + 16 * m + 8 * h + lane_index() / 4;
            const float sum = attention_row_sum(state.sum[m][h]);
            const int64_t at = (int64_t)rows.token(row) * heads.H + rows.head(row);
            if (row >= rows.count)
                continue;
            attention_store(state, m, h, sum, (bf16 *)args.out + at * D);
            if (args.log_sum != NULL && lane_index() % 4 == 0)
                args.log_sum[at] = fmaf(state.maximum[m][h], heads.scale, logf(sum));
        }
}

/* The chain of this warp's rows over the keys; `end` keys are seen by the block's last row. */
template <int D>
static __device__ __forceinline__ void
run_keys(attention_state<D, TILES> &state, unsigned char *tiles,
         const attention_queries<D, TILES, HELD<D>> &queries,
         const attention_packed_keys<bf16> &keys, const int (*limit)[2], int begin, int end,
         float factor) {
    constexpr int TILE = TILE_BYTES<D>;
    attention_load<D, WARPS * 32>(tiles, tiles + TILE, keys, 0, 0, end, thread_index());
    copy_async_commit();
    for (int first = 0; first < end; first += ATTENTION_KEYS) {
        unsigned char *tile = tiles + first / ATTENTION_KEYS % 2 * 2 * TILE,
                      *next = tiles + (1 - first / ATTENTION_KEYS % 2) * 2 * TILE;
        copy_async_wait<0>();
        __syncthreads();
        if (first + ATTENTION_KEYS < end) {
            attention_load<D, WARPS * 32>(next, next + TILE, keys, 0, first + ATTENTION_KEYS, end,
                                          thread_index());
            copy_async_commit();
        }
        float scores[TILES][ATTENTION_KEYS / 8][4];
        attention_scores<D, TILES>(scores, queries, tile);
        attention_softmax(state, scores, limit, first, first + ATTENTION_KEYS > begin, factor);
        attention_add<D, TILES, ATTENTION_KEYS>(state.out, scores, tile + TILE);
    }
}

template <int D>
static __global__ void __launch_bounds__(WARPS * 32)
    forward_kernel(const struct attention_forward_launch args) {
    const attention_heads heads(args.H, args.K, D);
    const struct attention_block block = args.blocks[blockIdx.x / heads.K];
    const attention_rows rows = attention_rows_of(block, heads);
    const attention_packed_keys<bf16> keys =
        attention_packed_keys_of((const bf16 *)args.qkv, heads, rows.kv_head, D, block);
    unsigned char *tiles = shared_memory();
    attention_queries<D, TILES, HELD<D>> queries;
    load_queries<D>(queries, tiles + 4 * TILE_BYTES<D>, args, heads, rows);
    int limit[TILES][2];
#pragma unroll
    for (int m = 0; m < TILES; m++)
        for (int h = 0; h < 2; h++)
            limit[m][h] =
                block.before + 1 + rows.position(queries.row + 16 * m + 8 * h + lane_index() / 4);
    attention_state<D, TILES> state;
    attention_begin(state);
    run_keys<D>(state, tiles, queries, keys, limit, block.before + 1 + rows.position(0),
                block.before + 1 + rows.position(rows.count - 1), heads.scale * ATTENTION_LOG2E);
    store_rows<D>(args, heads, rows, state);
}

/* A warp for each packed row. */
template <typename T>
static __global__ void plain_kernel(const struct attention_forward_launch args) {
    const int D = (int)args.D;
    const attention_heads heads(args.H, args.K, D);
    const struct attention_block block = args.blocks[blockIdx.x / heads.K];
    const attention_rows rows = attention_rows_of(block, heads);
    const attention_packed_keys<T> keys =
        attention_packed_keys_of((const T *)args.qkv, heads, rows.kv_head, D, block);
    float *query = (float *)shared_memory() + warp_index() * ATTENTION_HEAD_MAX;
    for (int row = warp_index(); row < rows.count; row += PLAIN_WARPS) {
        const int64_t at = (int64_t)rows.token(row) * heads.H + rows.head(row);
        const float log_sum = plain_row(query, rows.of((const T *)args.qkv, row, heads.width, D),
                                        keys, block.before + 1 + rows.position(row), D, heads.scale,
                                        (T *)args.out + at * D);
        if (args.log_sum != NULL && lane_index() == 0)
            args.log_sum[at] = log_sum;
    }
}

extern "C" int launch_attention_forward(void *stream, const struct attention_forward_launch *args) {
    const dim3 grid((unsigned)(args->block_count * args->K)), block(WARPS * 32),
        plain(PLAIN_WARPS * 32);
    if (args->dtype == DTYPE_F32)
        return LAUNCH(stream, plain_kernel<float>, grid, plain, PLAIN_BYTES, *args);
    if (args->D == 64)
        return LAUNCH(stream, forward_kernel<64>, grid, block, FORWARD_BYTES<64>, *args);
    if (args->D == 128)
        return LAUNCH(stream, forward_kernel<128>, grid, block, FORWARD_BYTES<128>, *args);
    return LAUNCH(stream, plain_kernel<bf16>, grid, plain, PLAIN_BYTES, *args);
}
