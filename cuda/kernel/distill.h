/* SPDX-License-Identifier: Apache-2.0
 *
 * Distillation on blocks of logits (backend.h: distill_top, distill_block, distill_finish,
 * distill_backward). A row's bits depend on that row alone, and are the same for any width of the
 * blocks handed in.
 */
#ifndef CUDA_KERNEL_DISTILL_H
#define CUDA_KERNEL_DISTILL_H

#include <stdint.h>

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct distill_top_launch {
    const float *student, *teacher; /* (R, V), row stride ld */
    struct distill_top *top;        /* (R) = */
    int64_t R, V, ld;
    int32_t k;
    float temperature;
};
int launch_distill_top(void *stream, const struct distill_top_launch *args);

struct distill_sums { /* over one HEAD_BLOCK of a row */
    float divergence, loss, pull;
    int32_t clipped, student_best, teacher_best;
};

struct distill_block_launch {
    struct distill_logits logits;
    struct distill_row *rows;  /* (R): updated; reset when begin is 0 */
    struct distill_sums *sums; /* (R, head_sums_of(columns)) scratch */
    struct distill_settings settings;
};
int launch_distill_block(void *stream, const struct distill_block_launch *args);

struct distill_finish_launch {
    const struct distill_row *rows;         /* (R) after the last block */
    const float *logprob, *logprob_teacher; /* (R), read where sampled */
    float *divergence, *loss;               /* (R) */
    int32_t *clipped, *agreement;           /* (R) */
    struct distill_slope *slope;            /* (R) */
    int64_t R;
    struct distill_settings settings;
};
int launch_distill_finish(void *stream, const struct distill_finish_launch *args);

struct distill_backward_launch {
    struct distill_logits logits;
    const struct distill_slope *slope;
    const float *weight; /* (R) */
    void *out; /* (R, columns) of dtype, row stride ld; in fp32 it may be logits.student */
    enum dtype dtype;
    struct distill_settings settings;
};
int launch_distill_backward(void *stream, const struct distill_backward_launch *args);

#ifdef __cplusplus
}
#endif

#endif
