/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW on pieces of flat vectors. Addresses need no alignment; the bits of an element do not depend
 * on where a piece begins.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_ADAMW_H
#define BACKEND_CPU_CPU_KERNEL_ADAMW_H

#include "backend/cpu/cpu.h"

/* One step with its coefficients made ready; kept_* as in adamw_args. */
struct cpu_adamw {
    float *parameters, *exp_avg, *exp_avg_sq;
    const float *gradient;
    float *kept_parameters, *kept_gradient, *kept_direction;
    float shrink, gradient_scale; /* their product scales the gradient */
    float keep;                   /* 1 − learning_rate · weight_decay */
    float mix1, beta2, mix2;      /* mix = 1 − beta */
    float step, root, epsilon;    /* step = learning_rate / correction1, root = √correction2 */
    float correction1;
};
CPU_KERNEL_FORMS(void, cpu_kernel_adamw,
                 (const struct cpu_adamw *args, int64_t begin, int64_t end));

/* One step and the place that it foretells, for the elements of one VECTOR_BLOCK. */
struct cpu_extrapolate {
    const struct adamw_extrapolate_args *args;
    struct cpu_adamw step;
};
CPU_KERNEL_FORMS(struct extrapolation_sums, cpu_kernel_extrapolate,
                 (const struct cpu_extrapolate *work, int64_t begin, int64_t end));

#endif
