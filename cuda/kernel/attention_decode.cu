/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: a warp takes a row and the query heads of one key head as a tile of 16 (of which G are
 * used: keys come from memory, products are free), and walks the chain of attention.cuh over its
 * pages. Warps of a block first walk the full blocks of their common prompt together, each of which
 * is copied to shared memory once; then each walks on alone, with a tile of keys and one of values
 * of its own: while one is computed with, the other is on its way.
 */
#include "cuda/kernel/attention_decode.h"

#include "cuda/kernel/attention.cuh"
#include "cuda/kernel/attention_plain.cuh"

enum { TILE_HEADS = 16 };

/* The keys of a row, by position. */
template <typename T> struct attention_page_keys {
    const T *head; /* in page 0 of the pool */
    int64_t page_elements;
    int values;                  /* elements from a key to its value */
    const int32_t *prompt, *own; /* page numbers */
    int prompt_length, D;

    __device__ __forceinline__ const T *key(int position) const {
        const int at = position < prompt_length ? position : position - prompt_length;
        const int32_t *pages = position < prompt_length ? prompt : own;
        return head + pages[at / CACHE_PAGE] * page_elements + at % CACHE_PAGE * D;
    }
};

template <typename T>
static __device__ __forceinline__ attention_page_keys<T>
page_keys_of(const struct attention_decode_launch &args, int64_t row, int64_t kv_head) {
    const int values = CACHE_PAGE * (int)args.D;
    return {(const T *)args.cache.pool + (args.cache.layer * args.K + kv_head) * 2 * values,
            args.cache.page_elements,
            values,
            args.page_numbers + args.prompt_begin[row],
            args.page_numbers + args.own_begin[row],
            args.prompt_length[row],
            (int)args.D};
}

/* What a warp walks with. */
template <int D> struct decode_walk {
    attention_page_keys<bf16> keys;
    attention_queries<D, 1, true> queries;
    attention_state<D, 1> state;
    int limit[1][2]; /* the row's keys */
    float factor;

    __device__ __forceinline__ void softmax(float (*scores)[ATTENTION_KEYS / 8][4], int first) {
        attention_softmax(state, scores, limit, first, first + ATTENTION_KEYS > limit[0][0],
                          factor);
    }
};

/* Query heads from `head` on, of key head kv_head. */
template <int D>
static __device__ __forceinline__ void
begin_walk(decode_walk<D> &walk, const struct attention_decode_launch &args,
           const attention_heads &heads, int64_t row, int kv_head, int head) {
    const int low = head + lane_index() / 4, high = low + 8;
    const bf16 *group = (const bf16 *)args.qkv + row * heads.width + (int64_t)kv_head * heads.G * D;
#pragma unroll
    for (int k = 0; k < D / 16; k++)
        fragment_left_global(walk.queries.held[0][k], low < heads.G ? group + low * D : NULL,
                             high < heads.G ? group + high * D : NULL, k);
    walk.keys = page_keys_of<bf16>(args, row, kv_head);
    walk.limit[0][0] = walk.limit[0][1] = args.prompt_length[row] + args.own_length[row];
    walk.factor = heads.scale * ATTENTION_LOG2E;
    attention_begin(walk.state);
}

/* The full blocks of the prompt, by all warps of the block: WARPS stages of keys and values.
 * `works`: this warp has a row. */
template <int D, int WARPS>
static __device__ __forceinline__ void walk_prompt(decode_walk<D> &walk, unsigned char *tiles,
                                                   int blocks, bool works) {
    const int thread = thread_index();
    const attention_page_keys<bf16> &keys = walk.keys;
    for (int j = 0; j < blocks + WARPS - 1; j++) {
        /* block j is fetched WARPS - 1 turns before it is used */
        const int used = j - (WARPS - 1);
        if (used >= 0) {
            copy_async_wait<WARPS - 2>();
            __syncthreads();
        }
        if (j < blocks) {
            unsigned char *tile = tiles + j % WARPS * 2 * TILE_BYTES<D>;
            const int first = j * ATTENTION_KEYS, end = first + ATTENTION_KEYS;
            attention_load<D, WARPS * 32>(tile, tile + TILE_BYTES<D>, keys, 0, first, end, thread);
        }
        copy_async_commit();
        if (used < 0 || !works)
            continue;
        const unsigned char *tile = tiles + used % WARPS * 2 * TILE_BYTES<D>;
        float scores[1][ATTENTION_KEYS / 8][4];
        attention_scores<D, 1>(scores, walk.queries, tile);
        walk.softmax(scores, used * ATTENTION_KEYS);
        attention_add<D, 1, ATTENTION_KEYS>(walk.state.out, scores, tile + TILE_BYTES<D>);
    }
    copy_async_wait<0>();
    __syncthreads();
}

/* The keys from position `first` on, by this warp alone. */
template <int D>
static __device__ __forceinline__ void walk_alone(decode_walk<D> &walk, unsigned char *keys,
                                                  unsigned char *values, int first) {
    const int lane = lane_index(), end = walk.limit[0][0];
    const int offset = walk.keys.values;
    attention_load<D, 32>(keys, NULL, walk.keys, 0, first, end, lane);
    copy_async_commit();
    attention_load<D, 32>(values, NULL, walk.keys, offset, first, end, lane);
    copy_async_commit();
    for (; first < end; first += ATTENTION_KEYS) {
        const int next = first + ATTENTION_KEYS;
        float scores[1][ATTENTION_KEYS / 8][4];
        copy_async_wait<1>();
        __syncwarp();
        attention_scores<D, 1>(scores, walk.queries, keys);
        __syncwarp();
        if (next < end)
            attention_load<D, 32>(keys, NULL, walk.keys, 0, next, end, lane);
        copy_async_commit();
        walk.softmax(scores, first);
        copy_async_wait<1>();
        __syncwarp();
        attention_add<D, 1, ATTENTION_KEYS>(walk.state.out, scores, values);
        __syncwarp();
        if (next < end)
            attention_load<D, 32>(values, NULL, walk.keys, offset, next, end, lane);
        copy_async_commit();
    }
}

template <int D, int WARPS>
static __global__ void __launch_bounds__(WARPS * 32)
    decode_kernel(const struct attention_decode_launch args) {
    const attention_heads heads(args.H, args.K, D);
    const struct attention_decode_block block = args.blocks[blockIdx.x / heads.K];
    const int kv_head = (int)(blockIdx.x % heads.K), head = (int)blockIdx.y * TILE_HEADS;
    const bool works = warp_index() < block.count;
    const int64_t row = block.begin + (works ? warp_index() : 0);
    unsigned char *tiles = shared_memory(), *own = tiles + warp_index() * 2 * TILE_BYTES<D>;
    decode_walk<D> walk;
    begin_walk(walk, args, heads, row, kv_head, head);
    int first = 0;
    if constexpr (WARPS > 1) {
        const int shared = walk.keys.prompt_length / ATTENTION_KEYS;
        walk_prompt<D, WARPS>(walk, tiles, shared, works);
        first = shared * ATTENTION_KEYS;
    }
    if (!works)
        return;
    walk_alone<D>(walk, own, own + TILE_BYTES<D>, first);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const float sum = attention_row_sum(walk.state.sum[0][h]);
        const int at = head + 8 * h + lane_index() / 4;
        if (at < heads.G)
            attention_store(walk.state, 0, h, sum,
                            (bf16 *)args.out + (row * heads.H + kv_head * heads.G + at) * D);
    }
}

/* A warp for each row and query head. */
template <typename T>
static __global__ void plain_kernel(const struct attention_decode_launch args) {
    const int64_t at = (int64_t)blockIdx.x * PLAIN_WARPS + warp_index(), row = at / args.H,
                  head = at % args.H;
    const int D = (int)args.D;
    const attention_heads heads(args.H, args.K, D);
    if (row >= args.B)
        return;
    float *query = (float *)shared_memory() + warp_index() * ATTENTION_HEAD_MAX;
    plain_row(query, (const T *)args.qkv + row * heads.width + head * D,
              page_keys_of<T>(args, row, head / heads.G),
              args.prompt_length[row] + args.own_length[row], D, heads.scale,
              (T *)args.out + (row * heads.H + head) * D);
}

template <int D, int WARPS>
static int launch_warps(void *stream, const struct attention_decode_launch &args) {
    const int64_t G = args.H / args.K;
    const dim3 grid((unsigned)(args.block_count * args.K),
                    (unsigned)((G + TILE_HEADS - 1) / TILE_HEADS));
    return LAUNCH(stream, decode_kernel<D, WARPS>, grid, dim3(WARPS * 32),
                  WARPS * 2 * TILE_BYTES<D>, args);
}

template <int D> static int launch_rows(void *stream, const struct attention_decode_launch &args) {
    if (args.rows_per_block == 1)
        return launch_warps<D, 1>(stream, args);
    return args.rows_per_block == 2 ? launch_warps<D, 2>(stream, args)
                                    : launch_warps<D, 4>(stream, args);
}

extern "C" int launch_attention_decode(void *stream, const struct attention_decode_launch *args) {
    const dim3 grid((unsigned)((args->B * args->H + PLAIN_WARPS - 1) / PLAIN_WARPS)),
        block(PLAIN_WARPS * 32);
    if (args->dtype == DTYPE_F32)
        return LAUNCH(stream, plain_kernel<float>, grid, block, PLAIN_BYTES, *args);
    if (args->D == 64)
        return launch_rows<64>(stream, *args);
    if (args->D == 128)
        return launch_rows<128>(stream, *args);
    return LAUNCH(stream, plain_kernel<bf16>, grid, block, PLAIN_BYTES, *args);
}
