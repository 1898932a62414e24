/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS norm over rows and its gradient (backend.h: rmsnorm, rmsnorm_backward). C is at most 8192.
 */
#ifndef CUDA_KERNEL_NORM_H
#define CUDA_KERNEL_NORM_H

#include <stdint.h>

#include "tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = x / sqrt(mean(x²) + epsilon) · weight. A row's bits depend on that row alone. What the product
 * before it adds to the stream it adds itself: that moves as many bytes as adding it here would. */
struct rmsnorm_launch {
    const float *x;      /* (T, C) */
    const float *weight; /* (C) */
    void *y;             /* (T, C) of dtype */
    float *inverse_rms;  /* (T) or NULL; NaN where the squares leave fp32 */
    int64_t T, C;
    float epsilon;
    enum dtype dtype;
};
int launch_rmsnorm(void *stream, const struct rmsnorm_launch *args);

/* dx += r (dy · weight − x · r² · mean(dy · weight · x)) with r = inverse_rms; dweight = Σ dy · x · r
 * over the rows, by fixed slots of them. */
struct rmsnorm_backward_launch {
    const float *x, *weight, *inverse_rms; /* (T, C), (C), (T) */
    const void *dy;                        /* (T, C) of dtype */
    float *dx;                             /* (T, C) += */
    float *dweight;                        /* (C) =, or NULL */
    float *partial;                        /* (norm_slots(T), C) scratch; NULL without dweight */
    int64_t T, C;
    enum dtype dtype;
};
int launch_rmsnorm_backward(void *stream, const struct rmsnorm_backward_launch *args);

/* Rows of `partial`. */
int64_t norm_slots(int64_t T);

#ifdef __cplusplus
}
#endif

#endif
