/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW in one pass (backend.h: adamw). The bf16 copy of the parameters is made from them afterwards:
 * 6 bytes an element beside 28, once a step, where one pass for both would need the optimizer to know
 * the weights.
 */
#ifndef CUDA_KERNEL_ADAMW_H
#define CUDA_KERNEL_ADAMW_H

#include <stdint.h>

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
};
int launch_adamw(void *stream, const struct adamw_launch *args);

#ifdef __cplusplus
}
#endif

#endif
