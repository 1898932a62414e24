/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention of rows that are decoded together, over the pages of cache_store.h.
 *
 * A row sees the keys of its prompt, which rows of one group share, then its own. The bits are those
 * of launch_attention_forward for the same keys, wherever they are cut: the sampler's numbers are
 * the trainer's. They depend on no other row, nor on how the rows are put into blocks.
 */
#ifndef CUDA_KERNEL_ATTENTION_DECODE_H
#define CUDA_KERNEL_ATTENTION_DECODE_H

#include "cuda/kernel/attention_blocks.h"
#include "cuda/kernel/cache_store.h"

/* Rows begin..begin + count - 1: of one prompt (the same prompt_begin), whose full blocks of keys
 * are copied once for all of them. */
struct attention_decode_block {
    int32_t begin, count;
};

enum {
    ATTENTION_DECODE_ROWS = 4, /* of a block, at most */
    ATTENTION_DECODE_WIDE = 0  /* rows_per_block: one, whose keys four warps share */
};

struct attention_decode_launch {
    enum dtype dtype;
    const void *qkv;              /* (B, (H + 2 K) D), rotated */
    void *out;                    /* (B, H D) */
    const int32_t *page_numbers;  /* pages of all rows, in the order of their positions */
    const int32_t *prompt_begin;  /* (B): where the numbers of the prompt's pages begin */
    const int32_t *own_begin;     /* (B): and those of its own pages */
    const int32_t *prompt_length; /* (B): positions; may be 0 */
    const int32_t *own_length;    /* (B): with the position being computed, so ≥ 1 */
    const struct attention_decode_block *blocks; /* (block_count); those of no rows do nothing */
    struct cache_layer cache;
    int64_t block_count, rows_per_block, B, H, K, D; /* rows_per_block: see below */
};

#ifdef __cplusplus
extern "C" {
#endif

/* On the host: how many rows of a prompt a block should take, ATTENTION_DECODE_WIDE, 1, 2 or 4, on a
 * machine of that many multiprocessors; and the blocks of B rows, of which it gives the number. Rows
 * of one prompt have one number in `prompts` and stand together. */
int64_t attention_decode_rows(const int32_t *prompts, int64_t B, int64_t K,
                              int64_t multiprocessors);
int64_t attention_decode_blocks(const int32_t *prompts, int64_t B, int64_t rows_per_block,
                                struct attention_decode_block *blocks);

int launch_attention_decode(void *stream, const struct attention_decode_launch *args);

#ifdef __cplusplus
}
#endif

#endif
