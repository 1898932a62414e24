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
#include "cuda/kernel/attention_plain.cuh"

enum {
    QUERY_WARPS = ATTENTION_ROWS / 16,
    KEY_WARPS = ATTENTION_KEYS / 16,
    QUERY_STEP = 64,     /* packed rows that a block of keys takes at once */
    STATISTICS_WARPS = 8 /* rows of a block of threads */
};

/* What a row's gradient needs besides the tiles. */
struct row_statistics {
    float log_sum, delta;
};

/* --- statistics: a warp for each row and head --- */

template <typename T>
static __global__ void statistics_kernel(const struct attention_backward_launch args) {
    const int64_t D = args.forward.D, at = (int64_t)blockIdx.x * STATISTICS_WARPS + warp_index();
    if (at >= args.T * args.forward.H)
        return;
    const T *dout = (const T *)args.dout + at * D, *out = (const T *)args.forward.out + at * D;
    float sum = 0;
    for (int64_t d = lane_index(); d < D; d += 32)
        sum = fmaf(to_float(dout[d]), to_float(out[d]), sum);
    sum = warp_sum(sum);
    if (lane_index() == 0) {
        args.statistics[2 * at] = args.forward.log_sum[at];
        args.statistics[2 * at + 1] = sum;
    }
}

static __device__ __forceinline__ row_statistics
statistics_of(const struct attention_backward_launch &args, const attention_rows &rows, int row) {
    const int64_t at = (int64_t)rows.token(row) * args.forward.H + rows.head(row);
    return {args.statistics[2 * at], args.statistics[2 * at + 1]};
}

/* --- queries --- */

template <int D>
static __device__ __forceinline__ void load_held(attention_queries<D, 1, true> &queries,
                                                 const bf16 *array, const attention_rows &rows,
                                                 int width) {
    const int row = warp_index() * 16 + lane_index() / 4;
    const bf16 *low = rows.of(array, row, width, D), *high = rows.of(array, row + 8, width, D);
#pragma unroll
    for (int k = 0; k < D / 16; k++)
        fragment_left_global(queries.held[0][k], low, high, k);
}

/* ds of one block of keys, from scores and dp = dout vᵀ; written over the scores. */
static __device__ __forceinline__ void query_slopes(float (*scores)[ATTENTION_KEYS / 8][4],
                                                    const float (*dp)[ATTENTION_KEYS / 8][4],
                                                    const row_statistics statistics[2],
                                                    const int limit[2], int first, float factor) {
    const int column = first + lane_index() % 4 * 2;
#pragma unroll
    for (int n = 0; n < ATTENTION_KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float p = attention_exp2(
                fmaf(scores[0][n][i], factor, -statistics[i / 2].log_sum * ATTENTION_LOG2E));
            scores[0][n][i] = column + 8 * n + i % 2 < limit[i / 2]
                                  ? p * (dp[0][n][i] - statistics[i / 2].delta)
                                  : 0;
        }
}

template <int N> static __device__ __forceinline__ void clear(float (*sums)[4]) {
#pragma unroll
    for (int n = 0; n < N; n++)
        for (int i = 0; i < 4; i++)
            sums[n][i] = 0;
}

template <int D>
static __device__ __forceinline__ void
query_keys(float (*dq)[D / 8][4], unsigned char *tiles, const attention_packed_keys<bf16> &keys,
           const attention_queries<D, 1, true> &queries, const attention_queries<D, 1, true> &douts,
           const row_statistics statistics[2], const int limit[2], int end, float factor) {
    constexpr int TILE = TILE_BYTES<D>, THREADS = QUERY_WARPS * 32;
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
        float scores[1][ATTENTION_KEYS / 8][4], dp[1][ATTENTION_KEYS / 8][4];
        clear<ATTENTION_KEYS / 8>(scores[0]);
        clear<ATTENTION_KEYS / 8>(dp[0]);
        attention_product<D, 1, ATTENTION_KEYS>(scores, queries, tile);
        attention_product<D, 1, ATTENTION_KEYS>(dp, douts, tile + TILE);
        query_slopes(scores, dp, statistics, limit, first, factor);
        attention_add<D, 1, ATTENTION_KEYS>(dq, scores, tile);
    }
}

template <int D>
static __global__ void __launch_bounds__(QUERY_WARPS * 32)
    query_kernel(const struct attention_backward_launch args) {
    const attention_heads heads(args.forward.H, args.forward.K, D);
    const struct segment *segments = args.forward.segments;
    const attention_rows rows = attention_rows_of(segments, args.forward.blocks, heads);
    const bf16 *qkv = (const bf16 *)args.forward.qkv;
    const attention_packed_keys<bf16> keys =
        attention_packed_keys_of(qkv, heads, rows.kv_head, D, segments, rows.segment);
    attention_queries<D, 1, true> queries, douts;
    load_held<D>(queries, qkv, rows, heads.width);
    load_held<D>(douts, (const bf16 *)args.dout, rows, heads.H * D);
    row_statistics statistics[2];
    int limit[2];
    for (int h = 0; h < 2; h++) {
        const int row = warp_index() * 16 + 8 * h + lane_index() / 4;
        statistics[h] = statistics_of(args, rows, row);
        limit[h] = rows.before + 1 + rows.position(row);
    }
    float dq[1][D / 8][4];
    clear<D / 8>(dq[0]);
    query_keys<D>(dq, shared_memory(), keys, queries, douts, statistics, limit,
                  rows.before + 1 + rows.position(rows.count - 1), heads.scale * ATTENTION_LOG2E);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const int row = warp_index() * 16 + 8 * h + lane_index() / 4;
        if (row >= rows.count)
            continue;
        bf16 *out = rows.of((bf16 *)args.dqkv, row, heads.width, D) + lane_index() % 4 * 2;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            store_pair(out + 8 * n, dq[0][n][2 * h] * heads.scale,
                       dq[0][n][2 * h + 1] * heads.scale);
    }
}

/* --- keys --- */

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

/* p, and ds written over dp, of 16 keys and the query rows of a step. */
static __device__ __forceinline__ void key_slopes(float (*p)[QUERY_STEP / 8][4],
                                                  float (*dp)[QUERY_STEP / 8][4],
                                                  const key_query *queries, int key, float factor) {
#pragma unroll
    for (int n = 0; n < QUERY_STEP / 8; n++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const key_query query = queries[8 * n + lane_index() % 4 * 2 + j];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const int i = 2 * h + j;
                const float weight = attention_exp2(fmaf(p[0][n][i], factor, -query.log_sum));
                p[0][n][i] = key + 8 * h <= query.limit ? weight : 0;
                dp[0][n][i] = p[0][n][i] * (dp[0][n][i] - query.delta);
            }
        }
}

/* The shared memory of a block of keys. */
template <int D> struct key_memory {
    static constexpr int TILE = TILE_BYTES<D>,
                         BYTES = 6 * TILE + 2 * QUERY_STEP * (int)sizeof(key_query);
    unsigned char *base;

    __device__ __forceinline__ unsigned char *keys() const {
        return base;
    }
    __device__ __forceinline__ unsigned char *values() const {
        return base + TILE;
    }
    __device__ __forceinline__ unsigned char *queries(int stage) const {
        return base + (2 + 2 * stage) * TILE;
    }
    __device__ __forceinline__ unsigned char *douts(int stage) const {
        return base + (3 + 2 * stage) * TILE;
    }
    __device__ __forceinline__ key_query *rows(int stage) const {
        return (key_query *)(base + 6 * TILE) + stage * QUERY_STEP;
    }
};

/* The queries of a step and their dout. */
template <int D>
static __device__ __forceinline__ void
load_step(const key_memory<D> &memory, int stage, const struct attention_backward_launch &args,
          const attention_heads &heads, const attention_rows &rows) {
    const attention_copy<D, KEY_WARPS * 32> copy(thread_index());
#pragma unroll
    for (int n = 0; n < QUERY_STEP / copy.STEP; n++) {
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

/* dk and dv (16 keys of this warp, D) += those of one step of query rows. */
template <int D>
static __device__ __forceinline__ void key_step(float (*dk)[D / 8][4], float (*dv)[D / 8][4],
                                                const key_memory<D> &memory, int stage, int key,
                                                float factor) {
    attention_queries<D, 1, false> keys, values;
    keys.tile = memory.keys();
    values.tile = memory.values();
    keys.row = values.row = warp_index() * 16;
    float p[1][QUERY_STEP / 8][4], dp[1][QUERY_STEP / 8][4];
    clear<QUERY_STEP / 8>(p[0]);
    clear<QUERY_STEP / 8>(dp[0]);
    attention_product<D, 1, QUERY_STEP>(p, keys, memory.queries(stage));
    attention_product<D, 1, QUERY_STEP>(dp, values, memory.douts(stage));
    key_slopes(p, dp, memory.rows(stage), key, factor);
    attention_add<D, 1, QUERY_STEP>(dv, p, memory.douts(stage));
    attention_add<D, 1, QUERY_STEP>(dk, dp, memory.queries(stage));
}

template <int D>
static __device__ __forceinline__ void store_key(bf16 *row, const float (*sums)[4], int h,
                                                 float factor) {
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        store_pair(row + 8 * n + lane_index() % 4 * 2, sums[n][2 * h] * factor,
                   sums[n][2 * h + 1] * factor);
}

template <int D>
static __global__ void __launch_bounds__(KEY_WARPS * 32)
    key_kernel(const struct attention_backward_launch args) {
    const attention_heads heads(args.forward.H, args.forward.K, D);
    key_block block = key_block_of(args, heads, QUERY_STEP);
    const key_memory<D> memory = {shared_memory()};
    const int thread = thread_index(), start = block.rows.segment.start,
              key = block.first + warp_index() * 16 + lane_index() / 4;
    const attention_packed_keys<bf16> keys = {(const bf16 *)args.forward.qkv +
                                                  (int64_t)(heads.H + block.rows.kv_head) * D,
                                              heads.width,
                                              heads.K * D,
                                              0,
                                              0,
                                              start};
    const int end = block.first + block.count;
    attention_load<D, KEY_WARPS * 32>(memory.keys(), memory.values(), keys, 0, block.first, end,
                                      thread);
    load_step(memory, 0, args, heads, block.rows);
    if (thread < QUERY_STEP)
        memory.rows(0)[thread] = key_query_of(args, block, thread);
    float dk[1][D / 8][4], dv[1][D / 8][4];
    clear<D / 8>(dk[0]);
    clear<D / 8>(dv[0]);
    bool more = true;
    for (int stage = 0; more; stage = 1 - stage) {
        copy_async_wait<0>();
        __syncthreads();
        more = block.next();
        key_query query = {};
        if (more) {
            load_step(memory, 1 - stage, args, heads, block.rows);
            if (thread < QUERY_STEP)
                query = key_query_of(args, block, thread);
        }
        key_step<D>(dk, dv, memory, stage, key, heads.scale * ATTENTION_LOG2E);
        if (thread < QUERY_STEP)
            memory.rows(1 - stage)[thread] = query;
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        if (key + 8 * h >= end)
            continue;
        bf16 *row = (bf16 *)args.dqkv + (int64_t)(start + key + 8 * h) * heads.width +
                    (int64_t)(heads.H + block.rows.kv_head) * D;
        store_key<D>(row, dk[0], h, heads.scale);
        store_key<D>(row + (int64_t)heads.K * D, dv[0], h, 1.0f);
    }
}

/* --- the plain way --- */

enum { PLAIN_PAIR_BYTES = 2 * PLAIN_BYTES };

/* A warp for each query row. */
template <typename T>
static __global__ void plain_query_kernel(const struct attention_backward_launch args) {
    const int D = (int)args.forward.D;
    const attention_heads heads(args.forward.H, args.forward.K, D);
    const struct segment *segments = args.forward.segments;
    const attention_rows rows = attention_rows_of(segments, args.forward.blocks, heads);
    const T *qkv = (const T *)args.forward.qkv;
    const attention_packed_keys<T> keys =
        attention_packed_keys_of(qkv, heads, rows.kv_head, D, segments, rows.segment);
    float *query = (float *)shared_memory() + 2 * warp_index() * ATTENTION_HEAD_MAX,
          *dout = query + ATTENTION_HEAD_MAX;
    for (int row = warp_index(); row < rows.count; row += PLAIN_WARPS) {
        const row_statistics statistics = statistics_of(args, rows, row);
        const int count = rows.before + 1 + rows.position(row);
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
            (int64_t)(begin.rows.segment.start + begin.first + i) * heads.width + column;
        float dk[PLAIN_PARTS] = {}, dv[PLAIN_PARTS] = {};
        plain_load(key, (const T *)args.forward.qkv + at, D);
        plain_load(value, (const T *)args.forward.qkv + at + values, D);
        key_block block = begin;
        do
            plain_key_step<T>(dk, dv, key, value, args, heads, block, begin.first + i);
        while (block.next());
        plain_store((T *)args.dqkv + at, dk, heads.scale, D);
        plain_store((T *)args.dqkv + at + values, dv, 1.0f, D);
    }
}

/* --- launching --- */

template <int D>
static int launch_tiles(void *stream, const struct attention_backward_launch &args, dim3 queries,
                        dim3 keys) {
    const int error =
        LAUNCH(stream, query_kernel<D>, queries, dim3(QUERY_WARPS * 32), 4 * TILE_BYTES<D>, args);
    return error != 0 ? error
                      : LAUNCH(stream, key_kernel<D>, keys, dim3(KEY_WARPS * 32),
                               key_memory<D>::BYTES, args);
}

template <typename T>
static int launch_plain(void *stream, const struct attention_backward_launch &args, dim3 queries,
                        dim3 keys) {
    const dim3 block(PLAIN_WARPS * 32);
    const int error = LAUNCH(stream, plain_query_kernel<T>, queries, block, PLAIN_PAIR_BYTES, args);
    return error != 0 ? error
                      : LAUNCH(stream, plain_key_kernel<T>, keys, block, PLAIN_PAIR_BYTES, args);
}

extern "C" int launch_attention_backward(void *stream,
                                         const struct attention_backward_launch *args) {
    const struct attention_forward_launch *forward = &args->forward;
    const dim3 queries((unsigned)(forward->block_count * forward->K)),
        keys((unsigned)(args->key_block_count * forward->K)),
        rows((unsigned)((args->T * forward->H + STATISTICS_WARPS - 1) / STATISTICS_WARPS)),
        block(STATISTICS_WARPS * 32);
    const int error = forward->dtype == DTYPE_F32
                          ? LAUNCH(stream, statistics_kernel<float>, rows, block, 0, *args)
                          : LAUNCH(stream, statistics_kernel<bf16>, rows, block, 0, *args);
    if (error != 0)
        return error;
    if (forward->dtype == DTYPE_F32)
        return launch_plain<float>(stream, *args, queries, keys);
    if (forward->D == 64)
        return launch_tiles<64>(stream, *args, queries, keys);
    if (forward->D == 128)
        return launch_tiles<128>(stream, *args, queries, keys);
    return launch_plain<bf16>(stream, *args, queries, keys);
}
