/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels on one row (a hidden state, a head, a block of logits). The bits of a result depend on
 * the row and its length alone. Addresses need no alignment; an output may be an input of the same
 * length unless the line says otherwise.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_ROW_H
#define BACKEND_CPU_CPU_KERNEL_ROW_H

#include "backend/cpu/cpu.h"

/* y = x · r · weight with r = 1 / sqrt(mean(x²) + epsilon); gives r, NaN when the squares leave
 * fp32. */
CPU_KERNEL_FORMS(float, cpu_kernel_rmsnorm,
                 (float *y, const float *x, const float *weight, int64_t n, float epsilon));

/* 1 / sqrt(mean(x²) + epsilon). */
CPU_KERNEL_FORMS(float, cpu_kernel_inverse_rms, (const float *x, int64_t n, float epsilon));

/* For r the inverse RMS of x and base zeros when NULL:
 *     dx = base + r (dy · weight − x · r² · mean(dy · weight · x))
 *     dweight += dy · x · r */
struct cpu_norm_gradient {
    float *dx, *dweight;
    const float *base, *x, *weight, *dy;
    float inverse_rms;
    int64_t n;
};
CPU_KERNEL_FORMS(void, cpu_kernel_rmsnorm_backward, (const struct cpu_norm_gradient *args));

/* Turns the pairs (x[i], x[i + D/2]) by the angles whose D/2 cosines and D/2 sines are in `table`;
 * direction −1 turns back. */
CPU_KERNEL_FORMS(void, cpu_kernel_rotate,
                 (float *out, const float *x, const float *table, int64_t D, float direction));

/* out = gate / (1 + exp(−gate)) · up, and its gradient. */
CPU_KERNEL_FORMS(void, cpu_kernel_swiglu,
                 (float *out, const float *gate, const float *up, int64_t n));
CPU_KERNEL_FORMS(void, cpu_kernel_swiglu_backward,
                 (float *dgate, float *dup, const float *gate, const float *up, const float *dout,
                  int64_t n));

/* The largest z; NaN when any z is not finite. n ≥ 1. */
CPU_KERNEL_FORMS(float, cpu_kernel_largest, (const float *z, int64_t n));

/* Sums over at most HEAD_BLOCK logits: max = max z, sum = Σ exp((z − max) · scale), weighted =
 * Σ (z − max) exp((z − max) · scale). A non-finite z makes `weighted` NaN, and `sum` too unless it
 * is −inf. */
struct cpu_head_sums {
    double sum, weighted;
    float max;
};
CPU_KERNEL_FORMS(struct cpu_head_sums, cpu_kernel_head_sums,
                 (const float *z, int64_t n, float scale));

/* z = −scale · p (d_logprob + d_entropy (log p + entropy)) with log p = (z − max) · scale −
 * log_sum. */
struct cpu_head_gradient {
    float *z;
    int64_t n;
    float scale, max, log_sum, entropy, d_logprob, d_entropy;
};
CPU_KERNEL_FORMS(void, cpu_kernel_head_backward, (const struct cpu_head_gradient *args));

/* weights = exp((z − max) · scale); gives their sum. n at most HEAD_BLOCK. */
CPU_KERNEL_FORMS(double, cpu_kernel_weights,
                 (float *weights, const float *z, int64_t n, float max, float scale));

#endif
