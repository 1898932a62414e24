/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient of attention over packed groups (attention_backward_args of backend/backend.h). The same
 * bits every time: no atomics; a key's gradient is a chain over the query rows that see it, those of
 * its own segment, then of each child in ascending order, cut at places that the segments decide.
 */
#ifndef CUDA_KERNEL_ATTENTION_BACKWARD_H
#define CUDA_KERNEL_ATTENTION_BACKWARD_H

#include "cuda/kernel/attention_forward.h"

struct attention_backward_launch {
    struct attention_forward_launch forward;  /* with out and log_sum filled */
    const struct attention_block *key_blocks; /* (key_block_count) from attention_key_blocks */
    const void *dout;                         /* (T, H D); aligned to 16 bytes, as out */
    void *dqkv;                               /* (T, (H + 2 K) D) = */
    float *scratch;                           /* of attention_backward_floats */
    int64_t T, key_block_count;
};

#ifdef __cplusplus
extern "C"
#endif
    int
    launch_attention_backward(void *stream, const struct attention_backward_launch *args);

#endif
