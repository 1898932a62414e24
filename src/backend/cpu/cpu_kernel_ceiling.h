/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops that do nothing but use one part of the machine fully.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_CEILING_H
#define BACKEND_CPU_CPU_KERNEL_CEILING_H

#include "backend/cpu/cpu.h"

/* Multiplies and adds in registers `rounds` times; gives the number of fp32 operations done, and a
 * sum through *sink so that the work cannot be left out. */
CPU_KERNEL_FORMS(double, cpu_kernel_ceiling_fma, (int64_t rounds, float *sink));

/* Sums n floats, read as eight streams side by side; n is a multiple of 1024. */
CPU_KERNEL_FORMS(float, cpu_kernel_ceiling_read, (const float *memory, int64_t n));

#endif
