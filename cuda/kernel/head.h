/* SPDX-License-Identifier: Apache-2.0
 *
 * The output head on blocks of logits (backend.h: head_block, head_finish, head_backward). A row's
 * bits depend on that row alone, and are the same for any width of the blocks handed in.
 */
#ifndef CUDA_KERNEL_HEAD_H
#define CUDA_KERNEL_HEAD_H

#include <stdint.h>

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sums over one HEAD_BLOCK of a row, relative to its largest logit. A number that is not finite makes
 * `weighted` NaN. */
struct head_sums {
    float max;
    float sum;      /* Σ exp((z − max)/T) */
    float weighted; /* Σ (z − max) exp((z − max)/T) */
    float unused;   /* makes 16 bytes */
};

/* Sums that a row of so many columns has. */
static inline int64_t head_sums_of(int64_t columns) {
    return (columns + HEAD_BLOCK - 1) / HEAD_BLOCK;
}

/* Sums of every HEAD_BLOCK of every row, for the draw. */
struct head_sums_launch {
    const float *logits;    /* (R, columns), row stride ld */
    struct head_sums *sums; /* (R, head_sums_of(columns)) = */
    int64_t R, columns, ld;
    float temperature;
};
int launch_head_sums(void *stream, const struct head_sums_launch *args);

struct head_block_launch {
    const float *logits;    /* (R, columns), row stride ld: entries from `begin` on of each row */
    const int32_t *targets; /* (R) */
    struct head_row *rows;  /* (R): updated; reset when begin is 0 */
    struct head_sums *sums; /* (R, head_sums_of(columns)) scratch */
    int64_t begin;          /* a multiple of HEAD_BLOCK; so is columns, but for the last block */
    int64_t R, columns, ld;
    float temperature;
};
int launch_head_block(void *stream, const struct head_block_launch *args);

struct head_finish_launch {
    const struct head_row *rows; /* (R) after the last block */
    float *logprob, *entropy;    /* (R) */
    struct head_shift *shift;    /* (R), or NULL */
    int64_t R;
    float temperature;
};
int launch_head_finish(void *stream, const struct head_finish_launch *args);

struct head_backward_launch {
    const float *logits;    /* (R, columns), row stride ld */
    const int32_t *targets; /* (R) */
    const struct head_shift *shift;
    const float *entropy, *d_logprob, *d_entropy; /* (R) */
    void *out; /* (R, columns) of dtype, row stride ld: d loss / d z; in fp32 it may be logits */
    int64_t R, columns, ld, begin;
    float temperature;
    enum dtype dtype;
};
int launch_head_backward(void *stream, const struct head_backward_launch *args);

#ifdef __cplusplus
}
#endif

#endif
