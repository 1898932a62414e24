/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention on tensor cores: what forward, backward and decoding share (head sizes 64 and 128, bf16,
 * fp32 sums).
 *
 * A row's result is a chain over its keys, in blocks of ATTENTION_KEYS from positions that are
 * multiples of it, counted from the beginning of its text (prompt, then answer):
 *
 *     p = exp(s − m'),   l' = l exp(m − m') + Σ p,   o' = o exp(m − m') + Σ p v
 *
 * (online softmax; Dao, arXiv 2307.08691). m' is the largest score so far where that is above m by a
 * factor of 2^ATTENTION_RISE, and else m, whose factor is 1: so that sums are seldom scaled.
 *
 * A warp does one block for tiles of 16 rows, whatever rows they are. A row of the product on the
 * tensor cores does not depend on the other rows, and a block of keys behind a row's own position
 * leaves it as it was (factor 1, p = 0). So the bits of a row depend on its keys alone, and packed
 * rows and decoded ones agree bit for bit. (A NaN among the keys of a row's last block, at later
 * positions of the same segment, does reach it: 0 · NaN.)
 *
 * Tiles in shared memory have rows of D elements in chunks of 16 bytes; chunk c of row r stands at
 * c ^ (r & 7), so that neither copies nor load_matrix meet a bank twice.
 */
#ifndef CUDA_KERNEL_ATTENTION_CUH
#define CUDA_KERNEL_ATTENTION_CUH

#include "cuda/kernel/attention_rows.cuh"

#define ATTENTION_LOG2E 1.4426950408889634f

/* Bytes from the beginning of a tile to a chunk. */
template <int D> static __device__ __forceinline__ int tile_at(int row, int chunk) {
    return (row * (D / 8) + (chunk ^ (row & 7))) * 16;
}

/* Bytes of a tile of ATTENTION_KEYS rows. */
template <int D> static constexpr int TILE_BYTES = ATTENTION_KEYS *D *(int)sizeof(bf16);

/* 2^x in one instruction. exp2f would take four to be exact for results below 2^-126, which are
 * nothing beside the row's sum, and the exponential is half of the time at D = 64. */
static __device__ __forceinline__ float attention_exp2(float x) {
#ifdef __CUDA_ARCH__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return exp2f(x);
#endif
}

/* Copies into tiles, by THREADS threads: each copies one chunk of every STEP-th row. */
template <int D, int THREADS> struct attention_copy {
    static constexpr int CHUNKS = D / 8, STEP = THREADS / CHUNKS;
    int row, chunk;

    __device__ __forceinline__ attention_copy(int thread)
        : row(thread / CHUNKS), chunk(thread % CHUNKS) {
    }
    /* Place in a tile of the chunk of row `row` + n STEP. */
    __device__ __forceinline__ int at(int n) const {
        return STEP % 8 == 0 ? tile_at<D>(row, chunk) + n * STEP * D * (int)sizeof(bf16)
                             : tile_at<D>(row + n * STEP, chunk);
    }
};

/* The keys of ATTENTION_KEYS positions from `first` on, and their values unless `values` is NULL;
 * zeros from position `end` on. `offset`: elements to what is copied instead of keys. */
template <int D, int THREADS, typename Keys>
static __device__ __forceinline__ void attention_load(unsigned char *tile, unsigned char *values,
                                                      const Keys &keys, int offset, int first,
                                                      int end, int thread) {
    const attention_copy<D, THREADS> copy(thread);
#pragma unroll(THREADS > 32 ? 8 : 4)
    for (int n = 0; n < ATTENTION_KEYS / copy.STEP; n++) {
        const int position = first + copy.row + n * copy.STEP;
        const bool valid = position < end;
        const bf16 *from = keys.key(valid ? position : first) + offset + copy.chunk * 8;
        copy_async_16(tile + copy.at(n), from, valid);
        if (values != NULL)
            copy_async_16(values + copy.at(n), from + keys.values, valid);
    }
}

/* --- fragments --- */

/* The chunk 2 k + `chunk` of a row, which is `row` of the lane's and a multiple of 8 further: two chunks
 * are a bit of their number, so that all of a lane's places in a tile are one, with bits turned. */
template <int D>
static __device__ __forceinline__ const unsigned char *
fragment_at(const unsigned char *tile, int lane_row, int lane_chunk, int row, int k) {
    return tile + row * D * (int)sizeof(bf16) + (tile_at<D>(lane_row, lane_chunk) ^ 32 * k);
}

/* 16 rows from `row` on and 16 columns from 16 k on, as the left operand of a product. */
template <int D>
static __device__ __forceinline__ void fragment_left(uint32_t a[4], const unsigned char *tile,
                                                     int row, int k) {
    load_matrix_x4(a, fragment_at<D>(tile, lane_index() % 16, lane_index() / 16, row, k));
}

/* The same rows as columns of the right operand: b[0..1] rows row..row + 7, b[2..3] the next 8. */
template <int D>
static __device__ __forceinline__ void fragment_right(uint32_t b[4], const unsigned char *tile,
                                                      int row, int k) {
    const int lane = lane_index();
    load_matrix_x4(b, fragment_at<D>(tile, lane % 8 + lane / 16 * 8, lane / 8 % 2, row, k));
}

/* Rows row..row + 15 as the summed index of the right operand, columns 16 n..: b[0..1] the first 8
 * columns, b[2..3] the next 8. */
template <int D>
static __device__ __forceinline__ void
fragment_right_transposed(uint32_t b[4], const unsigned char *tile, int row, int n) {
    load_matrix_x4_transposed(b,
                              fragment_at<D>(tile, lane_index() % 16, lane_index() / 16, row, n));
}

/* The left operand's fragment for columns 16 k.. of a row in memory; NULL: zeros. `low` and `high`
 * are the rows lane / 4 and lane / 4 + 8. */
static __device__ __forceinline__ void fragment_left_global(uint32_t a[4], const bf16 *low,
                                                            const bf16 *high, int k) {
    const int column = 16 * k + lane_index() % 4 * 2;
    a[0] = low == NULL ? 0 : *(const uint32_t *)(low + column);
    a[1] = high == NULL ? 0 : *(const uint32_t *)(high + column);
    a[2] = low == NULL ? 0 : *(const uint32_t *)(low + column + 8);
    a[3] = high == NULL ? 0 : *(const uint32_t *)(high + column + 8);
}

/* Sums of a product as the left operand of the next: columns 16 t.. of it. */
static __device__ __forceinline__ void fragment_left_sums(uint32_t a[4], const float (*sums)[4],
                                                          int t) {
    a[0] = float2_to_bf16x2(sums[2 * t][0], sums[2 * t][1]);
    a[1] = float2_to_bf16x2(sums[2 * t][2], sums[2 * t][3]);
    a[2] = float2_to_bf16x2(sums[2 * t + 1][0], sums[2 * t + 1][1]);
    a[3] = float2_to_bf16x2(sums[2 * t + 1][2], sums[2 * t + 1][3]);
}

/* Query rows of a warp, M tiles of 16: held in registers, or read from a tile each time. */
template <int D, int M, bool HELD> struct attention_queries {
    uint32_t held[HELD ? M : 1][HELD ? D / 16 : 1][4];
    const unsigned char *tile;
    int row;

    __device__ __forceinline__ void get(uint32_t a[4], int m, int k) const {
        if constexpr (HELD)
            for (int i = 0; i < 4; i++)
                a[i] = held[m][k][i];
        else
            fragment_left<D>(a, tile, row + 16 * m, k);
    }
};

/* sums (16 M rows, ROWS) += queries · the first ROWS rows of a tile. */
template <int D, int M, int ROWS, typename Queries>
static __device__ __forceinline__ void
attention_product(float (*sums)[ROWS / 8][4], const Queries &queries, const unsigned char *tile) {
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
            queries.get(a[m], m, k);
#pragma unroll
        for (int n = 0; n < ROWS / 16; n++) {
            uint32_t b[4];
            fragment_right<D>(b, tile, 16 * n, k);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_bf16_16x8x16(sums[m][2 * n], a[m], b);
                mma_bf16_16x8x16(sums[m][2 * n + 1], a[m], b + 2);
            }
        }
    }
}

/* sums (16 M rows, D) += weights (16 M rows, ROWS), rounded to bf16, · the tile (ROWS, D). */
template <int D, int M, int ROWS>
static __device__ __forceinline__ void attention_add(float (*sums)[D / 8][4],
                                                     const float (*weights)[ROWS / 8][4],
                                                     const unsigned char *tile) {
#pragma unroll
    for (int t = 0; t < ROWS / 16; t++) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
            fragment_left_sums(a[m], weights[m], t);
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            uint32_t b[4];
            fragment_right_transposed<D>(b, tile, 16 * t, n);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_bf16_16x8x16(sums[m][2 * n], a[m], b);
                mma_bf16_16x8x16(sums[m][2 * n + 1], a[m], b + 2);
            }
        }
    }
}

/* --- the chain --- */

/* Of the rows lane / 4 and lane / 4 + 8 of each tile; `sum` is of this lane's columns. */
template <int D, int M> struct attention_state {
    float out[M][D / 8][4];
    float maximum[M][2], sum[M][2];
};

template <int D, int M>
static __device__ __forceinline__ void attention_begin(attention_state<D, M> &state) {
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            for (int i = 0; i < 4; i++)
                state.out[m][n][i] = 0;
        for (int h = 0; h < 2; h++) {
            state.maximum[m][h] = -INFINITY;
            state.sum[m][h] = 0;
        }
    }
}

/* The keys from limit[m][h] on are not seen. */
template <int M>
static __device__ __forceinline__ void attention_mask(float (*scores)[ATTENTION_KEYS / 8][4],
                                                      const int (*limit)[2], int first) {
    const int column = first + lane_index() % 4 * 2;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < ATTENTION_KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (column + 8 * n + i % 2 >= limit[m][i / 2])
                    scores[m][n][i] = -INFINITY;
}

/* The largest score of row h of tile m in a block of keys, in all four lanes that hold it. */
static __device__ __forceinline__ float
attention_largest(const float (*scores)[ATTENTION_KEYS / 8][4], int m, int h) {
    float largest = scores[m][0][2 * h];
#pragma unroll
    for (int n = 0; n < ATTENTION_KEYS / 8; n++)
        largest = fmaxf(largest, fmaxf(scores[m][n][2 * h], scores[m][n][2 * h + 1]));
    largest = fmaxf(largest, warp_shuffle_xor(largest, 1));
    return fmaxf(largest, warp_shuffle_xor(largest, 2));
}

enum { ATTENTION_RISE = 8 };

/* The maximum behind a block whose largest score is `largest`. */
static __device__ __forceinline__ float attention_raised(float before, float largest,
                                                         float factor) {
    return (largest - before) * factor > (float)ATTENTION_RISE ? largest : before;
}

/* What was summed under an earlier maximum counts so much under the new one. */
static __device__ __forceinline__ float attention_correction(float before, float after,
                                                             float factor) {
    return attention_exp2((before - after) * factor);
}

/* Turns the scores of row h of tile m into p; gives the sum of this lane's. `factor`: scale · log2 e. */
static __device__ __forceinline__ float attention_weights(float (*scores)[ATTENTION_KEYS / 8][4],
                                                          int m, int h, float maximum,
                                                          float factor) {
    const float shift = maximum * factor;
    float sum = 0;
#pragma unroll
    for (int n = 0; n < ATTENTION_KEYS / 8; n++)
#pragma unroll
        for (int i = 2 * h; i < 2 * h + 2; i++) {
            scores[m][n][i] = attention_exp2(fmaf(scores[m][n][i], factor, -shift));
            sum += scores[m][n][i];
        }
    return sum;
}

/* Scores of 16 M query rows and a tile of keys. */
template <int D, int M, typename Queries>
static __device__ __forceinline__ void attention_scores(float (*scores)[ATTENTION_KEYS / 8][4],
                                                        const Queries &queries,
                                                        const unsigned char *keys) {
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < ATTENTION_KEYS / 8; n++)
            for (int i = 0; i < 4; i++)
                scores[m][n][i] = 0;
    attention_product<D, M, ATTENTION_KEYS>(scores, queries, keys);
}

/* Turns scores into p, and brings the sums to the new maximum; attention_add then adds the values.
 * `mask`: some row does not see all keys of the block, whose first position is `first`. */
template <int D, int M>
static __device__ __forceinline__ void
attention_softmax(attention_state<D, M> &state, float (*scores)[ATTENTION_KEYS / 8][4],
                  const int (*limit)[2], int first, bool mask, float factor) {
    float corrections[M][2];
    bool raised = false;
    if (mask)
        attention_mask<M>(scores, limit, first);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const float before = state.maximum[m][h],
                        after = attention_raised(before, attention_largest(scores, m, h), factor);
            corrections[m][h] = attention_correction(before, after, factor);
            raised = raised || after != before;
            state.maximum[m][h] = after;
            state.sum[m][h] = fmaf(state.sum[m][h], corrections[m][h],
                                   attention_weights(scores, m, h, after, factor));
        }
    if (warp_ballot(raised) == 0)
        return;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < D / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                state.out[m][n][i] *= corrections[m][i / 2];
}

/* The row's whole sum, in all four lanes that hold it. */
static __device__ __forceinline__ float attention_row_sum(float sum) {
    sum += warp_shuffle_xor(sum, 1);
    return sum + warp_shuffle_xor(sum, 2);
}

/* Two bf16 at once; `to` has an even index. */
static __device__ __forceinline__ void store_pair(bf16 *to, float low, float high) {
    *(uint32_t *)to = float2_to_bf16x2(low, high);
}

/* The outputs of row h of tile m. */
template <int D, int M>
static __device__ __forceinline__ void attention_store(const attention_state<D, M> &state, int m,
                                                       int h, float sum, bf16 *row) {
    const float inverse = 1.0f / sum;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        store_pair(row + 8 * n + lane_index() % 4 * 2, state.out[m][n][2 * h] * inverse,
                   state.out[m][n][2 * h + 1] * inverse);
}

#endif
