/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over packed groups (attention_args of backend/backend.h).
 *
 * On tensor cores for bf16 and D = 64 or 128; a plain way for every other head size up to
 * ATTENTION_HEAD_MAX and for fp32. The bits of a row depend on its query, and on the keys and
 * values of its positions in ascending order alone: not on where the text is cut into parent and
 * child, on its place in the batch, or on other segments; and launch_attention_decode gives the
 * same bits for the same keys.
 */
#ifndef CUDA_KERNEL_ATTENTION_FORWARD_H
#define CUDA_KERNEL_ATTENTION_FORWARD_H

#include "cuda/kernel/attention_blocks.h"

struct attention_forward_launch {
    enum dtype dtype;                     /* of qkv and out: DTYPE_F32 or DTYPE_BF16 */
    const void *qkv;                      /* (T, (H + 2 K) D), rotated; aligned to 16 bytes */
    const struct segment *segments;       /* (segment_count) */
    const struct attention_block *blocks; /* (block_count) from attention_query_blocks */
    void *out;                            /* (T, H D) */
    float *log_sum;                       /* (T, H) or NULL */
    int64_t block_count, H, K, D;
};

#ifdef __cplusplus
extern "C"
#endif
    int
    launch_attention_forward(void *stream, const struct attention_forward_launch *args);

#endif
