/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: the query heads of a row and one key head are a tile of 16 (of which G are used: keys
 * come from memory, products are free), which walks the chain of attention.cuh over its pages.
 *
 * Many rows: a warp takes a row. Warps of a block first walk the full blocks of their common prompt
 * together, each of which is copied to shared memory once; then each walks on alone, with a tile of
 * keys and one of values of its own: while one is computed with, the other is on its way.
 *
 * Few rows: four warps take a row and four blocks of keys at once. Each scores one block; the chain of
 * maxima and sums is short, and each warp walks it; then each adds a quarter of the values' columns,
 * block after block. All sums are those of the one chain, in its order.
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

    /* Positions of the pool, page after page. */
    __device__ __forceinline__ int place(int position) const {
        const int at = position < prompt_length ? position : position - prompt_length;
        const int32_t *pages = position < prompt_length ? prompt : own;
        return pages[at / CACHE_PAGE] * CACHE_PAGE + at % CACHE_PAGE;
    }
    __device__ __forceinline__ const T *at_place(int place) const {
        return head + place / CACHE_PAGE * page_elements + place % CACHE_PAGE * D;
    }
    __device__ __forceinline__ const T *key(int position) const {
        return at_place(place(position));
    }
};

/* The keys of a whole page, by their slots. */
struct attention_page {
    const bf16 *head;
    int values, D;

    __device__ __forceinline__ const bf16 *key(int slot) const {
        return head + slot * D;
    }
};

/* Where the keys of a block are: row lane, and row lane + 32; −1 behind the last. */
struct decode_places {
    int low, high;
};

static __device__ __forceinline__ decode_places places_of(const attention_page_keys<bf16> &keys,
                                                          int first, int end) {
    const int low = first + lane_index(), high = low + 32;
    return {low < end ? keys.place(low) : -1, high < end ? keys.place(high) : -1};
}

/* attention_load by one warp: a lane finds the places of two rows, and tells them to the others. */
template <int D>
static __device__ __forceinline__ void load_places(unsigned char *tile,
                                                   const attention_page_keys<bf16> &keys,
                                                   decode_places places, int offset) {
    const attention_copy<D, 32> copy(lane_index());
#pragma unroll 8
    for (int n = 0; n < ATTENTION_KEYS / copy.STEP; n++) {
        const int row = copy.row + n * copy.STEP,
                  place = warp_shuffle(n * copy.STEP < 32 ? places.low : places.high, row % 32);
        copy_async_16(tile + copy.at(n),
                      keys.at_place(place < 0 ? 0 : place) + offset + copy.chunk * 8, place >= 0);
    }
}

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
            const attention_page page = {keys.head + keys.prompt[j] * keys.page_elements,
                                         keys.values, D};
            attention_load<D, WARPS * 32>(tile, tile + TILE_BYTES<D>, page, 0, 0, CACHE_PAGE,
                                          thread_index());
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
    const int end = walk.limit[0][0], offset = walk.keys.values;
    decode_places places = places_of(walk.keys, first, end);
    load_places<D>(keys, walk.keys, places, 0);
    copy_async_commit();
    load_places<D>(values, walk.keys, places, offset);
    copy_async_commit();
    for (; first < end; first += ATTENTION_KEYS) {
        const bool more = first + ATTENTION_KEYS < end;
        float scores[1][ATTENTION_KEYS / 8][4];
        copy_async_wait<1>();
        __syncwarp();
        places = places_of(walk.keys, first + ATTENTION_KEYS, end);
        attention_scores<D, 1>(scores, walk.queries, keys);
        __syncwarp();
        if (more)
            load_places<D>(keys, walk.keys, places, 0);
        copy_async_commit();
        walk.softmax(scores, first);
        copy_async_wait<1>();
        __syncwarp();
        attention_add<D, 1, ATTENTION_KEYS>(walk.state.out, scores, values);
        __syncwarp();
        if (more)
            load_places<D>(values, walk.keys, places, offset);
        copy_async_commit();
    }
}

/* --- four warps for a row --- */

enum { WIDE_WARPS = 4 };

template <int D> struct wide_memory {
    static constexpr int PARTS = ATTENTION_KEYS / 16, WEIGHTS = WIDE_WARPS * PARTS * 32,
                         MAXIMA = WIDE_WARPS * TILE_HEADS,
                         BYTES = 2 * WIDE_WARPS * TILE_BYTES<D> + WEIGHTS * (int)sizeof(vec16) +
                                 (MAXIMA + WIDE_WARPS * TILE_HEADS * 4) * (int)sizeof(float);
    unsigned char *base;

    __device__ __forceinline__ unsigned char *keys(int warp) const {
        return base + 2 * warp * TILE_BYTES<D>;
    }
    __device__ __forceinline__ unsigned char *values(int warp) const {
        return keys(warp) + TILE_BYTES<D>;
    }
    /* Part t of the weights of a block, as the left operand of this lane. */
    __device__ __forceinline__ unsigned char *weights(int warp, int t) const {
        return base + 2 * WIDE_WARPS * TILE_BYTES<D> +
               ((warp * PARTS + t) * 32 + lane_index()) * (int)sizeof(vec16);
    }
    __device__ __forceinline__ float *maximum(int warp, int h) const {
        return (float *)(base + 2 * WIDE_WARPS * TILE_BYTES<D> + WEIGHTS * (int)sizeof(vec16)) +
               warp * TILE_HEADS + 8 * h + lane_index() / 4;
    }
    __device__ __forceinline__ float *sum(int warp, int h) const {
        return (float *)(base + 2 * WIDE_WARPS * TILE_BYTES<D> + WEIGHTS * (int)sizeof(vec16)) +
               MAXIMA + warp * TILE_HEADS * 4 + 32 * h + lane_index();
    }
};

/* Of the rows lane / 4 and lane / 4 + 8, with the columns of this warp. */
template <int D> struct wide_state {
    static constexpr int COLUMNS = D / WIDE_WARPS;
    float out[COLUMNS / 8][4];
    float maximum[2], sum[2];
};

/* This warp's block of keys from `first` on: its scores, and the largest of each row to all. The keys
 * at `next` are sent for. A warp without a block only keeps step. */
template <int D>
static __device__ __forceinline__ void
wide_score(const decode_walk<D> &walk, const wide_memory<D> &memory,
           float (*scores)[ATTENTION_KEYS / 8][4], int first, decode_places next, int end) {
    const int warp = warp_index();
    copy_async_wait<1>();
    __syncwarp();
    if (first < end) {
        attention_scores<D, 1>(scores, walk.queries, memory.keys(warp));
        if (first + ATTENTION_KEYS > end)
            attention_mask<1>(scores, walk.limit, first);
        for (int h = 0; h < 2; h++) {
            const float largest = attention_largest(scores, 0, h);
            if (lane_index() % 4 == 0)
                *memory.maximum(warp, h) = largest;
        }
    }
    __syncwarp();
    if (first + WIDE_WARPS * ATTENTION_KEYS < end)
        load_places<D>(memory.keys(warp), walk.keys, next, 0);
    copy_async_commit();
}

/* The maximum of a row behind each of `blocks` blocks; corrections[j]: what block j makes of earlier
 * sums. */
template <int D>
static __device__ __forceinline__ void
wide_chain(const wide_memory<D> &memory, float before, float maxima[WIDE_WARPS],
           float corrections[WIDE_WARPS], int blocks, int h, float factor) {
#pragma unroll
    for (int j = 0; j < WIDE_WARPS; j++) {
        maxima[j] = j < blocks ? attention_raised(before, *memory.maximum(j, h), factor) : before;
        corrections[j] = attention_correction(before, maxima[j], factor);
        before = maxima[j];
    }
}

/* Weights and sums of this warp's block, to all. */
template <int D>
static __device__ __forceinline__ void wide_weigh(const wide_memory<D> &memory,
                                                  float (*scores)[ATTENTION_KEYS / 8][4],
                                                  const float (*maxima)[WIDE_WARPS], float factor) {
    const int warp = warp_index();
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float maximum = maxima[h][0];
#pragma unroll
        for (int j = 1; j < WIDE_WARPS; j++)
            maximum = j == warp ? maxima[h][j] : maximum;
        *memory.sum(warp, h) = attention_weights(scores, 0, h, maximum, factor);
    }
#pragma unroll
    for (int t = 0; t < ATTENTION_KEYS / 16; t++) {
        vec16 a;
        fragment_left_sums(a.w, scores[0], t);
        store_16(memory.weights(warp, t), a);
    }
}

/* Adds the values of `blocks` blocks to the columns of this warp. */
template <int D>
static __device__ __forceinline__ void wide_add(wide_state<D> &state, const wide_memory<D> &memory,
                                                const float (*corrections)[WIDE_WARPS],
                                                int blocks) {
    constexpr int PAIRS = wide_state<D>::COLUMNS / 16;
    const int pair = warp_index() * PAIRS;
#pragma unroll
    for (int j = 0; j < WIDE_WARPS; j++) {
        if (j >= blocks)
            break;
#pragma unroll
        for (int h = 0; h < 2; h++) {
            state.sum[h] = fmaf(state.sum[h], corrections[h][j], *memory.sum(j, h));
#pragma unroll
            for (int n = 0; n < 2 * PAIRS; n++) {
                state.out[n][2 * h] *= corrections[h][j];
                state.out[n][2 * h + 1] *= corrections[h][j];
            }
        }
#pragma unroll
        for (int t = 0; t < ATTENTION_KEYS / 16; t++) {
            const vec16 a = load_16(memory.weights(j, t));
#pragma unroll
            for (int n = 0; n < PAIRS; n++) {
                uint32_t b[4];
                fragment_right_transposed<D>(b, memory.values(j), 16 * t, pair + n);
                mma_bf16_16x8x16(state.out[2 * n], a.w, b);
                mma_bf16_16x8x16(state.out[2 * n + 1], a.w, b + 2);
            }
        }
    }
}

/* All keys of the row, WIDE_WARPS blocks at a time. */
template <int D>
static __device__ __forceinline__ void walk_wide(wide_state<D> &state, const decode_walk<D> &walk,
                                                 const wide_memory<D> &memory) {
    constexpr int STEP = WIDE_WARPS * ATTENTION_KEYS;
    const int warp = warp_index(), end = walk.limit[0][0], offset = walk.keys.values;
    int first = warp * ATTENTION_KEYS;
    decode_places places = places_of(walk.keys, first, end);
    if (first < end)
        load_places<D>(memory.keys(warp), walk.keys, places, 0);
    copy_async_commit();
    if (first < end)
        load_places<D>(memory.values(warp), walk.keys, places, offset);
    copy_async_commit();
    for (int base = 0; base < end; base += STEP, first += STEP) {
        const int left = (end - base + ATTENTION_KEYS - 1) / ATTENTION_KEYS,
                  blocks = left < WIDE_WARPS ? left : WIDE_WARPS;
        float scores[1][ATTENTION_KEYS / 8][4], maxima[2][WIDE_WARPS], corrections[2][WIDE_WARPS];
        places = places_of(walk.keys, first + STEP, end);
        wide_score<D>(walk, memory, scores, first, places, end);
        __syncthreads();
        for (int h = 0; h < 2; h++) {
            wide_chain<D>(memory, state.maximum[h], maxima[h], corrections[h], blocks, h,
                          walk.factor);
            state.maximum[h] = maxima[h][WIDE_WARPS - 1];
        }
        if (first < end)
            wide_weigh<D>(memory, scores, maxima, walk.factor);
        copy_async_wait<1>();
        __syncthreads();
        wide_add<D>(state, memory, corrections, blocks);
        __syncthreads();
        if (first + STEP < end)
            load_places<D>(memory.values(warp), walk.keys, places, offset);
        copy_async_commit();
    }
}

template <int D>
static __global__ void __launch_bounds__(WIDE_WARPS * 32)
    wide_kernel(const struct attention_decode_launch args) {
    constexpr int COLUMNS = wide_state<D>::COLUMNS;
    const attention_heads heads(args.H, args.K, D);
    const struct attention_decode_block block = args.blocks[blockIdx.x / heads.K];
    const int64_t row = block.begin;
    if (block.count == 0)
        return;
    const int kv_head = (int)(blockIdx.x % heads.K), head = (int)blockIdx.y * TILE_HEADS;
    decode_walk<D> walk;
    begin_walk(walk, args, heads, row, kv_head, head);
    wide_state<D> state = {{}, {-INFINITY, -INFINITY}, {}};
    walk_wide<D>(state, walk, wide_memory<D>{shared_memory()});
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const float inverse = 1.0f / attention_row_sum(state.sum[h]);
        const int at = head + 8 * h + lane_index() / 4;
        if (at >= heads.G)
            continue;
        bf16 *out = (bf16 *)args.out + (row * heads.H + kv_head * heads.G + at) * D +
                    warp_index() * COLUMNS + lane_index() % 4 * 2;
#pragma unroll
        for (int n = 0; n < COLUMNS / 8; n++)
            store_pair(out + 8 * n, state.out[n][2 * h] * inverse,
                       state.out[n][2 * h + 1] * inverse);
    }
}

/* --- a warp for each row --- */

template <int D, int WARPS>
static __global__ void __launch_bounds__(WARPS * 32)
    decode_kernel(const struct attention_decode_launch args) {
    const attention_heads heads(args.H, args.K, D);
    const struct attention_decode_block block = args.blocks[blockIdx.x / heads.K];
    if (block.count == 0)
        return;
    const int kv_head = (int)(blockIdx.x % heads.K), head = (int)blockIdx.y * TILE_HEADS;
    const bool works = warp_index() < block.count;
    const int64_t row = block.begin + (works ? warp_index() : 0);
    unsigned char *tiles = shared_memory(), *own = tiles + warp_index() * 2 * TILE_BYTES<D>;
    decode_walk<D> walk;
    begin_walk(walk, args, heads, row, kv_head, head);
    const int shared = WARPS > 1 ? walk.keys.prompt_length / ATTENTION_KEYS : 0;
    if constexpr (WARPS > 1)
        walk_prompt<D, WARPS>(walk, tiles, shared, works);
    if (!works)
        return;
    walk_alone<D>(walk, own, own + TILE_BYTES<D>, shared * ATTENTION_KEYS);
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
static int launch_warps(void *stream, const struct attention_decode_launch &args, dim3 grid) {
    return LAUNCH(stream, decode_kernel<D, WARPS>, grid, dim3(WARPS * 32),
                  WARPS * 2 * TILE_BYTES<D>, args);
}

template <int D> static int launch_tiles(void *stream, const struct attention_decode_launch &args) {
    const int64_t G = args.H / args.K;
    const dim3 grid((unsigned)(args.block_count * args.K),
                    (unsigned)((G + TILE_HEADS - 1) / TILE_HEADS));
    if (args.rows_per_block == ATTENTION_DECODE_WIDE)
        return LAUNCH(stream, wide_kernel<D>, grid, dim3(WIDE_WARPS * 32), wide_memory<D>::BYTES,
                      args);
    if (args.rows_per_block == 1)
        return launch_warps<D, 1>(stream, args, grid);
    return args.rows_per_block == 2 ? launch_warps<D, 2>(stream, args, grid)
                                    : launch_warps<D, 4>(stream, args, grid);
}

extern "C" int launch_attention_decode(void *stream, const struct attention_decode_launch *args) {
    const dim3 grid((unsigned)((args->B * args->H + PLAIN_WARPS - 1) / PLAIN_WARPS)),
        block(PLAIN_WARPS * 32);
    if (args->dtype == DTYPE_F32)
        return LAUNCH(stream, plain_kernel<float>, grid, block, PLAIN_BYTES, *args);
    if (args->D == 64)
        return launch_tiles<64>(stream, *args);
    if (args->D == 128)
        return launch_tiles<128>(stream, *args);
    return LAUNCH(stream, plain_kernel<bf16>, grid, block, PLAIN_BYTES, *args);
}
