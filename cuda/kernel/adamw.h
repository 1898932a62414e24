/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW in one pass (backend.h: adamw). The bf16 copy of the parameters is made from them afterwards:
 * 6 bytes an element beside 28, once a step, where one pass for both would need the optimizer to know
 * the weights. And the second fast step of GXPO (adamw_extrapolate).
 */
#ifndef CUDA_KERNEL_ADAMW_H
#define CUDA_KERNEL_ADAMW_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Scalars as in adamw_args. The results have the bits of the CPU's AVX2 and AVX-512 kernels: the same
 * operations in the same order, each rounded by IEEE 754. */
struct adamw_launch {
    float *parameters, *exp_avg, *exp_avg_sq; /* (n), updated */
    const float *gradient;                    /* (n) */
    int64_t n;
    double learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, correction1,
        correction2;
    float *kept_parameters, *kept_gradient, *kept_direction; /* (n) = as in adamw_args; or NULL */
};
int launch_adamw(void *stream, const struct adamw_launch *args);

/* Sums are made of parts of EXTRAPOLATE_PART elements, a whole number of them in a VECTOR_BLOCK. */
enum { EXTRAPOLATE_PART = 4096 };

/* As adamw_extrapolate_args; the places have the bits of the CPU's, sums another order of addition. */
struct adamw_extrapolate_launch {
    struct adamw_launch step;
    const float *start, *start_gradient, *start_direction; /* (n); the last may be NULL */
    double start_scale, threshold;
    struct extrapolation how;
    bool leaves_moments, rounds;       /* rounds: `changed` is of the parameters in bf16 */
    struct extrapolation_sums *blocks; /* device, (n / VECTOR_BLOCK rounded up) = */
    struct extrapolation_sums *parts;  /* device, (n / EXTRAPOLATE_PART rounded up) scratch */
};
int launch_adamw_extrapolate(void *stream, const struct adamw_extrapolate_launch *args);

#ifdef __cplusplus
}
#endif

#endif
