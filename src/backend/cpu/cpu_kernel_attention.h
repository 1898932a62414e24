/* SPDX-License-Identifier: Apache-2.0
 *
 * One row of scores at a time. Lane l of a sum takes the keys l, l + VEC, l + 2 VEC, … of the row,
 * so that the bits depend on the row and its length alone.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_ATTENTION_H
#define BACKEND_CPU_CPU_KERNEL_ATTENTION_H

#include "backend/cpu/cpu.h"

/* scores[i] becomes exp(scale (scores[i] − largest)); gives their sum, and the largest score.
 * length ≥ 1. Scaling the differences rounds less than scaling the queries would. */
CPU_KERNEL_FORMS(float, cpu_kernel_softmax,
                 (float *scores, int64_t length, float scale, float *largest));

/* For i < length: p = exp(scale scores[i] − log_sum), scores[i] = p, d[i] = scale p (d[i] − delta).
 * For length ≤ i < width both become 0. */
CPU_KERNEL_FORMS(void, cpu_kernel_softmax_backward,
                 (float *scores, float *d, int64_t length, int64_t width, float scale,
                  float log_sum, float delta));

/* Σ x[i] y[i]. */
CPU_KERNEL_FORMS(float, cpu_kernel_inner, (const float *x, const float *y, int64_t n));

#endif
