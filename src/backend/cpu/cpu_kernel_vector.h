/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels on pieces of flat vectors. Addresses need no alignment.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_VECTOR_H
#define BACKEND_CPU_CPU_KERNEL_VECTOR_H

#include "backend/cpu/cpu.h"

/* Σ x y, products and sums in double. */
CPU_KERNEL_FORMS(double, cpu_kernel_dot, (const float *x, const float *y, int64_t n));

/* out = x + factor (y − x); out may be x or y. */
CPU_KERNEL_FORMS(void, cpu_kernel_lerp,
                 (float *out, const float *x, const float *y, int64_t n, float factor));

/* total += values · scale, rounded to the nearest (ties to even), where |values · scale| ≤ bound;
 * of the others, the largest size, 0 for none, and how many are not finite. scale is a power of two,
 * bound below 2^63. */
struct cpu_refused {
    double largest;
    int64_t nonfinite;
};
CPU_KERNEL_FORMS(struct cpu_refused, cpu_kernel_accumulate,
                 (int64_t * total, const float *values, int64_t n, double scale, double bound));

/* out = total · scale. */
CPU_KERNEL_FORMS(void, cpu_kernel_resolve,
                 (float *out, const int64_t *total, int64_t n, double scale));

#endif
