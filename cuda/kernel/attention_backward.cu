/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient of attention. With p = exp(s − log_sum) computed again,
 *
 *     delta = Σ_d dout · out,   dv = Σ pᵀ dout,   ds = p (dout vᵀ − delta),
 *     dq = Σ ds k / √D,   dk = Σ dsᵀ q / √D.
 *
 * Three passes: delta; dq over the keys of a block of queries; dk and dv over the queries of a block
 * of keys. Scores are computed in both of the latter: 7 products instead of 5, and no sum whose
 * order depends on the machine.
 */
#include "cuda/kernel/attention_backward.h"

#include "cuda/kernel/attention.cuh"
#include "cuda/kernel/attention_backward.cuh"
#include "cuda/kernel/attention_backward_plain.cuh"

enum { STATISTICS_WARPS = 8, PARTS_THREADS = 256 };

/* Tiles of 16 rows of a warp. Two halve the reads of shared memory, which are what these kernels wait
 * for; at D = 128 there are no registers for them. */
template <int D> static constexpr int TILES = D <= 64 ? 2 : 1;

/* A block of queries: queries and dout stay in registers where a warp has one tile of them. */
template <int D> struct query_shape {
    static constexpr int WARPS = ATTENTION_ROWS / 16 / TILES<D>,
                         BYTES = (TILES<D> == 1 ? 4 : 8) * TILE_BYTES<D>;
    typedef attention_queries<D, TILES<D>, TILES<D> == 1> rows;
};

/* A block of keys takes STEP packed rows at a time. */
template <int D> struct key_shape {
    static constexpr int WARPS = ATTENTION_KEYS / 16 / TILES<D>, STEP = 64 / TILES<D>;
};

template <int M, int N> static __device__ __forceinline__ void clear(float (*sums)[N][4]) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
            for (int i = 0; i < 4; i++)
                sums[m][n][i] = 0;
}

/* --- statistics --- */

/* Eight elements of each row for a thread. */
static __device__ __forceinline__ float inner_16(vec16 a, vec16 b) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        sum = fmaf(bf16x2_low(a.w[i]), bf16x2_low(b.w[i]), sum);
        sum = fmaf(bf16x2_high(a.w[i]), bf16x2_high(b.w[i]), sum);
    }
    return sum;
}

/* D / 8 lanes for each row and head. */
template <int D>
static __global__ void statistics_kernel(const struct attention_backward_launch args) {
    constexpr int LANES = D / 8;
    const int64_t thread = (int64_t)blockIdx.x * STATISTICS_WARPS * 32 + threadIdx.x,
                  last = args.T * args.forward.H - 1, row = thread / LANES,
                  at = (row < last ? row : last) * D + thread % LANES * 8;
    float sum = inner_16(load_16((const bf16 *)args.dout + at),
                         load_16((const bf16 *)args.forward.out + at));
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2)
        sum += warp_shuffle_xor(sum, mask);
    if (row <= last && thread % LANES == 0) {
        args.scratch[2 * row] = args.forward.log_sum[row];
        args.scratch[2 * row + 1] = sum;
    }
}

/* --- queries --- */

/* Rows of an array as a left operand: into registers, or into two tiles. */
template <int D>
static __device__ __forceinline__ void load_queries(typename query_shape<D>::rows &queries,
                                                    unsigned char *tiles, const bf16 *array,
                                                    const attention_rows &rows, int width) {
    queries.tile = tiles;
    queries.row = warp_index() * 16 * TILES<D>;
    if constexpr (TILES<D> == 1) {
        const int row = queries.row + lane_index() / 4;
        const bf16 *low = rows.of(array, row, width, D), *high = rows.of(array, row + 8, width, D);
#pragma unroll
        for (int k = 0; k < D / 16; k++)
            fragment_left_global(queries.held[0][k], low, high, k);
    } else {
        const attention_copy<D, query_shape<D>::WARPS * 32> copy(thread_index());
#pragma unroll
        for (int n = 0; n < ATTENTION_ROWS / copy.STEP; n++)
            copy_async_16(tiles + copy.at(n),
                          rows.of(array, copy.row + n * copy.STEP, width, D) + copy.chunk * 8,
                          true);
    }
}

/* Of the rows of this thread. */
template <int D> struct query_facts {
    float log_sum[TILES<D>][2], delta[TILES<D>][2]; /* log_sum in units of log2 */
    int limit[TILES<D>][2];                         /* keys from here on are not seen */
};

template <int D>
static __device__ __forceinline__ query_facts<D>
query_facts_of(const struct attention_backward_launch &args, const attention_rows &rows,
               int before) {
    query_facts<D> facts;
#pragma unroll
    for (int m = 0; m < TILES<D>; m++)
        for (int h = 0; h < 2; h++) {
            const int row = (warp_index() * TILES<D> + m) * 16 + 8 * h + lane_index() / 4;
            const row_statistics statistics = statistics_of(args, rows, row);
            facts.log_sum[m][h] = statistics.log_sum * ATTENTION_LOG2E;
            facts.delta[m][h] = statistics.delta;
            facts.limit[m][h] = before + 1 + rows.position(row);
        }
    return facts;
}

/* ds of one block of keys, from scores and dp = dout vᵀ; written over the scores. */
template <int D>
static __device__ __forceinline__ void query_slopes(float (*scores)[ATTENTION_KEYS / 8][4],
                                                    const float (*dp)[ATTENTION_KEYS / 8][4],
                                                    const query_facts<D> &facts, float factor) {
#pragma unroll
    for (int m = 0; m < TILES<D>; m++)
#pragma unroll
        for (int n = 0; n < ATTENTION_KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float p =
                    attention_exp2(fmaf(scores[m][n][i], factor, -facts.log_sum[m][i / 2]));
                scores[m][n][i] = p * (dp[m][n][i] - facts.delta[m][i / 2]);
            }
}

template <int D>
static __device__ __forceinline__ void
query_keys(float (*dq)[D / 8][4], unsigned char *tiles, const attention_packed_keys<bf16> &keys,
           const typename query_shape<D>::rows &queries, const typename query_shape<D>::rows &douts,
           const query_facts<D> &facts, int begin, int end, float factor) {
    constexpr int TILE = TILE_BYTES<D>, THREADS = query_shape<D>::WARPS * 32;
    attention_load<D, THREADS>(tiles, tiles + TILE, keys, 0, 0, end, thread_index());
    copy_async_commit();
    for (int first = 0; first < end; first += ATTENTION_KEYS) {
        unsigned char *tile = tiles + first / ATTENTION_KEYS % 2 * 2 * TILE,
                      *next = tiles + (1 - first / ATTENTION_KEYS % 2) * 2 * TILE;
        copy_async_wait<0>();
        __syncthreads();
        if (first + ATTENTION_KEYS < end) {
            attention_load<D, THREADS>(next, next + TILE, keys, 0, first + ATTENTION_KEYS, end,
                                       thread_index());
            copy_async_commit();
        }
        float scores[TILES<D>][ATTENTION_KEYS / 8][4], dp[TILES<D>][ATTENTION_KEYS / 8][4];
        clear<TILES<D>>(scores);
        clear<TILES<D>>(dp);
        attention_product<D, TILES<D>, ATTENTION_KEYS>(scores, queries, tile);
        attention_product<D, TILES<D>, ATTENTION_KEYS>(dp, douts, tile + TILE);
        if (first + ATTENTION_KEYS > begin)
            attention_mask<TILES<D>>(scores, facts.limit, first);
        query_slopes<D>(scores, dp, facts, factor);
        attention_add<D, TILES<D>, ATTENTION_KEYS>(dq, scores, tile);
    }
}

template <int D>
static __device__ __forceinline__ void store_pairs(bf16 *row, const float (*sums)[4], int h,
                                                   float factor) {
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        store_pair(row + 8 * n + lane_index() % 4 * 2, sums[n][2 * h] * factor,
                   sums[n][2 * h + 1] * factor);
}

template <int D>
static __global__ void __launch_bounds__(query_shape<D>::WARPS * 32)
    query_kernel(const struct attention_backward_launch args) {
    const attention_heads heads(args.forward.H, args.forward.K, D);
    const struct attention_block block = args.forward.blocks[blockIdx.x / heads.K];
    const attention_rows rows = attention_rows_of(block, heads);
    const bf16 *qkv = (const bf16 *)args.forward.qkv;
    unsigned char *tiles = shared_memory();
    typename query_shape<D>::rows queries, douts;
    load_queries<D>(queries, tiles + 4 * TILE_BYTES<D>, qkv, rows, heads.width);
    load_queries<D>(douts, tiles + 6 * TILE_BYTES<D>, (const bf16 *)args.dout, rows, heads.H * D);
    const query_facts<D> facts = query_facts_of<D>(args, rows, block.before);
    float dq[TILES<D>][D / 8][4];
    clear<TILES<D>>(dq);
    query_keys<D>(dq, tiles, attention_packed_keys_of(qkv, heads, rows.kv_head, D, block), queries,
                  douts, facts, block.before + 1 + rows.position(0),
                  block.before + 1 + rows.position(rows.count - 1), heads.scale * ATTENTION_LOG2E);
#pragma unroll
    for (int m = 0; m < TILES<D>; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int row = (warp_index() * TILES<D> + m) * 16 + 8 * h + lane_index() / 4;
            if (row < rows.count)
                store_pairs<D>(rows.of((bf16 *)args.dqkv, row, heads.width, D), dq[m], h,
                               heads.scale);
        }
}

/* --- keys --- */

/* What a block of keys needs of one query row: shared by all warps. */
struct key_query {
    float log_sum, delta; /* log_sum in units of log2 */
    int limit;            /* the keys up to this row of the segment are seen */
    int unused;
};

/* Of query row `row` of the current ones; rows that are not there weigh nothing. */
static __device__ __forceinline__ key_query
key_query_of(const struct attention_backward_launch &args, const key_block &block, int row) {
    if (row >= block.rows.count)
        return {INFINITY, 0, -1, 0};
    const row_statistics statistics = statistics_of(args, block.rows, row);
    return {statistics.log_sum * ATTENTION_LOG2E, statistics.delta,
            block.own() ? block.rows.position(row) : 0x7fffffff, 0};
}

/* p, and ds written over dp, of the keys of this warp and the query rows of a step. `mask`: some row
 * does not see all keys of the block. */
template <int D>
static __device__ __forceinline__ void
key_slopes(float (*p)[key_shape<D>::STEP / 8][4], float (*dp)[key_shape<D>::STEP / 8][4],
           const key_query *queries, int key, bool mask, float factor) {
#pragma unroll
    for (int n = 0; n < key_shape<D>::STEP / 8; n++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const key_query query = queries[8 * n + lane_index() % 4 * 2 + j];
#pragma unroll
            for (int m = 0; m < TILES<D>; m++)
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    const int i = 2 * h + j;
                    if (mask && key + 16 * m + 8 * h > query.limit)
                        p[m][n][i] = -INFINITY;
                    p[m][n][i] = attention_exp2(fmaf(p[m][n][i], factor, -query.log_sum));
                    dp[m][n][i] = p[m][n][i] * (dp[m][n][i] - query.delta);
                }
        }
}

/* The shared memory of a block of keys: keys, values, two stages of query rows. */
template <int D> struct key_memory {
    static constexpr int TILE = TILE_BYTES<D>, STEP = key_shape<D>::STEP,
                         ROWS = TILE * STEP / ATTENTION_KEYS,
                         BYTES = 2 * TILE + 4 * ROWS + 2 * STEP * (int)sizeof(key_query);
    unsigned char *base;

    __device__ __forceinline__ unsigned char *keys() const {
        return base;
    }
    __device__ __forceinline__ unsigned char *values() const {
        return base + TILE;
    }
    __device__ __forceinline__ unsigned char *queries(int stage) const {
        return base + 2 * TILE + 2 * stage * ROWS;
    }
    __device__ __forceinline__ unsigned char *douts(int stage) const {
        return queries(stage) + ROWS;
    }
    __device__ __forceinline__ key_query *facts(int stage) const {
        return (key_query *)(base + 2 * TILE + 4 * ROWS) + stage * STEP;
    }
};

/* The queries of a step and their dout. */
template <int D>
static __device__ __forceinline__ void
load_step(const key_memory<D> &memory, int stage, const struct attention_backward_launch &args,
          const attention_heads &heads, const attention_rows &rows) {
    const attention_copy<D, key_shape<D>::WARPS * 32> copy(thread_index());
#pragma unroll
    for (int n = 0; n < memory.STEP / copy.STEP; n++) {
        const int row = copy.row + n * copy.STEP, token = rows.token(row),
                  column = rows.head(row) * D + copy.chunk * 8;
        copy_async_16(memory.queries(stage) + copy.at(n),
                      (const bf16 *)args.forward.qkv + (int64_t)token * heads.width + column,
                      row < rows.count);
        copy_async_16(memory.douts(stage) + copy.at(n),
                      (const bf16 *)args.dout + (int64_t)token * (heads.H * D) + column,
                      row < rows.count);
    }
    copy_async_commit();
}

/* dk and dv (keys of this warp, D) += those of one step of query rows. */
template <int D>
static __device__ __forceinline__ void key_step(float (*dk)[D / 8][4], float (*dv)[D / 8][4],
                                                const key_memory<D> &memory, int stage, int key,
                                                bool mask, float factor) {
    constexpr int M = TILES<D>, STEP = key_shape<D>::STEP;
    attention_queries<D, M, false> keys, values;
    keys.tile = memory.keys();
    values.tile = memory.values();
    keys.row = values.row = warp_index() * 16 * M;
    float p[M][STEP / 8][4], dp[M][STEP / 8][4];
    clear<M>(p);
    clear<M>(dp);
    attention_product<D, M, STEP>(p, keys, memory.queries(stage));
    attention_product<D, M, STEP>(dp, values, memory.douts(stage));
    key_slopes<D>(p, dp, memory.facts(stage), key, mask, factor);
    attention_add<D, M, STEP>(dv, p, memory.douts(stage));
    attention_add<D, M, STEP>(dk, dp, memory.queries(stage));
}

/* The sums over the query rows of the block's part. */
template <int D>
static __device__ __forceinline__ void key_queries(float (*dk)[D / 8][4], float (*dv)[D / 8][4],
                                                   const struct attention_backward_launch &args,
                                                   const attention_heads &heads) {
    constexpr int THREADS = key_shape<D>::WARPS * 32;
    const int thread = thread_index();
    const key_memory<D> memory = {shared_memory()};
    key_block block = key_block_of(args, heads, key_shape<D>::STEP);
    const int first = block.block.first,
              key = first + warp_index() * 16 * TILES<D> + lane_index() / 4;
    const attention_packed_keys<bf16> keys = {(const bf16 *)args.forward.qkv +
                                                  (int64_t)(heads.H + block.rows.kv_head) * D,
                                              heads.width,
                                              heads.K * D,
                                              0,
                                              0,
                                              block.block.start};
    attention_load<D, THREADS>(memory.keys(), memory.values(), keys, 0, first, first + block.count,
                               thread);
    load_step(memory, 0, args, heads, block.rows);
    if (thread < memory.STEP)
        memory.facts(0)[thread] = key_query_of(args, block, thread);
    bool more = true;
    for (int stage = 0; more; stage = 1 - stage) {
        copy_async_wait<0>();
        __syncthreads();
        const bool mask = block.masked();
        more = block.next();
        key_query query = {};
        if (more) {
            load_step(memory, 1 - stage, args, heads, block.rows);
            if (thread < memory.STEP)
                query = key_query_of(args, block, thread);
        }
        key_step<D>(dk, dv, memory, stage, key, mask, heads.scale * ATTENTION_LOG2E);
        if (thread < memory.STEP)
            memory.facts(1 - stage)[thread] = query;
    }
}

/* Row h of a tile of dk or dv into its slot. */
template <int D>
static __device__ __forceinline__ void store_part(float *row, const float (*sums)[4], int h) {
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
        row[8 * n + lane_index() % 4 * 2] = sums[n][2 * h];
        row[8 * n + lane_index() % 4 * 2 + 1] = sums[n][2 * h + 1];
    }
}

template <int D>
static __global__ void __launch_bounds__(key_shape<D>::WARPS * 32)
    key_kernel(const struct attention_backward_launch args) {
    constexpr int M = TILES<D>;
    const attention_heads heads(args.forward.H, args.forward.K, D);
    float dk[M][D / 8][4], dv[M][D / 8][4];
    clear<M>(dk);
    clear<M>(dv);
    key_queries<D>(dk, dv, args, heads);
    /* read again: kept, it would cost the loop its registers */
    const key_block keys = key_block_of(args, heads, key_shape<D>::STEP);
    const struct attention_block &block = keys.block;
    const int start = block.start + block.first, column = (heads.H + keys.rows.kv_head) * D;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int at = (warp_index() * M + m) * 16 + 8 * h + lane_index() / 4;
            if (at >= keys.count)
                continue;
            if (block.parts > 1) {
                float *part = part_of(args, block.slot + block.part, keys.rows.kv_head) + at * D;
                store_part<D>(part, dk[m], h);
                store_part<D>(part + ATTENTION_KEYS * D, dv[m], h);
                continue;
            }
            bf16 *row = (bf16 *)args.dqkv + (int64_t)(start + at) * heads.width + column;
            store_pairs<D>(row, dk[m], h, heads.scale);
            store_pairs<D>(row + heads.K * D, dv[m], h, 1.0f);
        }
}

/* --- launching --- */

static unsigned blocks_of(int64_t n, int64_t block) {
    return (unsigned)((n + block - 1) / block);
}

template <int D>
static int launch_tiles(void *stream, const struct attention_backward_launch &args, dim3 queries,
                        dim3 keys) {
    int error = LAUNCH(stream, statistics_kernel<D>,
                       dim3(blocks_of(args.T * args.forward.H * (D / 8), STATISTICS_WARPS * 32)),
                       dim3(STATISTICS_WARPS * 32), 0, args);
    if (error == 0)
        error = LAUNCH(stream, query_kernel<D>, queries, dim3(query_shape<D>::WARPS * 32),
                       query_shape<D>::BYTES, args);
    if (error == 0)
        error = LAUNCH(stream, key_kernel<D>, keys, dim3(key_shape<D>::WARPS * 32),
                       key_memory<D>::BYTES, args);
    return error != 0 ? error
                      : LAUNCH(stream, parts_kernel<bf16>, keys, dim3(PARTS_THREADS), 0, args);
}

template <typename T>
static int launch_plain(void *stream, const struct attention_backward_launch &args, dim3 queries,
                        dim3 keys) {
    const dim3 block(PLAIN_WARPS * 32);
    int error = LAUNCH(stream, plain_statistics_kernel<T>,
                       dim3(blocks_of(args.T * args.forward.H, PLAIN_WARPS)), block, 0, args);
    if (error == 0)
        error = LAUNCH(stream, plain_query_kernel<T>, queries, block, PLAIN_PAIR_BYTES, args);
    if (error == 0)
        error = LAUNCH(stream, plain_key_kernel<T>, keys, block, PLAIN_PAIR_BYTES, args);
    return error != 0 ? error : LAUNCH(stream, parts_kernel<T>, keys, dim3(PARTS_THREADS), 0, args);
}

extern "C" int launch_attention_backward(void *stream,
                                         const struct attention_backward_launch *args) {
    const struct attention_forward_launch *forward = &args->forward;
    const dim3 queries((unsigned)(forward->block_count * forward->K)),
        keys((unsigned)(args->key_block_count * forward->K));
    if (forward->dtype == DTYPE_F32)
        return launch_plain<float>(stream, *args, queries, keys);
    if (forward->D == 64)
        return launch_tiles<64>(stream, *args, queries, keys);
    if (forward->D == 128)
        return launch_tiles<128>(stream, *args, queries, keys);
    return launch_plain<bf16>(stream, *args, queries, keys);
}
