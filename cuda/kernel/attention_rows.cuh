/* SPDX-License-Identifier: Apache-2.0
 *
 * Where attention finds its queries and keys in a packed batch.
 */
#ifndef CUDA_KERNEL_ATTENTION_ROWS_CUH
#define CUDA_KERNEL_ATTENTION_ROWS_CUH

#include "cuda/kernel/attention_blocks.h"
#include "cuda/kernel/kernel.h"

/* Sizes of a row of queries, keys and values. */
struct attention_heads {
    int H, K, G;
    int width;        /* elements of a row of qkv */
    float scale;      /* 1/√D */
    uint32_t inverse; /* 2^32 / G, rounded up */

    __device__ attention_heads(int64_t heads, int64_t key_heads, int D)
        : H((int)heads), K((int)key_heads), G((int)(heads / key_heads)),
          width((int)(heads + 2 * key_heads) * D), scale(1.0f / sqrtf((float)D)),
          inverse(0xffffffffu / (uint32_t)G + 1u) {
    }
};

/* The keys of a row of a packed batch, by position: its parent's, then its own segment's. */
template <typename T> struct attention_packed_keys {
    const T *head;     /* the key head of token 0 */
    int width, values; /* elements from token to token, from a key to its value */
    int parent_start, parent_length, own_start;

    __device__ __forceinline__ int token(int position) const {
        return position < parent_length ? parent_start + position
                                        : own_start + position - parent_length;
    }
    __device__ __forceinline__ const T *key(int position) const {
        return head + (int64_t)token(position) * width;
    }
};

/* Those that the rows of a block see. */
template <typename T>
static __device__ __forceinline__ attention_packed_keys<T>
attention_packed_keys_of(const T *qkv, const attention_heads &heads, int kv_head, int D,
                         const struct attention_block &block) {
    return {qkv + (int64_t)(heads.H + kv_head) * D,
            heads.width,
            heads.K * D,
            block.before_start,
            block.before,
            block.start};
}

/* A block of packed rows. Rows behind the last one stand for it. */
struct attention_rows {
    int start; /* the segment's first token */
    int kv_head, first, count, G;
    uint32_t inverse;

    __device__ __forceinline__ int packed(int row) const {
        return first + (row < count ? row : count - 1);
    }
    /* packed / G: exact below 2^32 / G */
    __device__ __forceinline__ int position(int row) const {
        return G == 1 ? packed(row) : (int)((uint64_t)packed(row) * inverse >> 32);
    }
    __device__ __forceinline__ int head(int row) const {
        return kv_head * G + packed(row) - position(row) * G;
    }
    __device__ __forceinline__ int token(int row) const {
        return start + position(row);
    }
    /* The row's head in an array of tokens whose rows have `width` elements. */
    template <typename T>
    __device__ __forceinline__ T *of(T *array, int row, int width, int D) const {
        return array + (int64_t)token(row) * width + head(row) * D;
    }
};

/* Those of this block of threads, of a grid of blocks × key heads. */
static __device__ __forceinline__ attention_rows
attention_rows_of(const struct attention_block &block, const attention_heads &heads) {
    const int left = block.length * heads.G - block.first;
    return {block.start, (int)(blockIdx.x % heads.K),
            block.first, left < ATTENTION_ROWS ? left : ATTENTION_ROWS,
            heads.G,     heads.inverse};
}

#endif
