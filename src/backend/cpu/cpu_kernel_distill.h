/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels of distillation on one row's block of at most HEAD_BLOCK logits of student and teacher. An
 * entry's numbers have the same bits in both kernels.
 */
#ifndef BACKEND_CPU_CPU_KERNEL_DISTILL_H
#define BACKEND_CPU_CPU_KERNEL_DISTILL_H

#include "backend/cpu/cpu.h"

struct cpu_distill_entries {
    const float *student, *teacher; /* (n) */
    struct head_shift student_shift, teacher_shift;
    const struct distill_top *top; /* entries that count; NULL: all */
    int64_t n, begin;              /* begin: id of the first */
    float scale;                   /* 1 / T */
    struct divergence_rule rule;
};

struct cpu_distill_sums {
    double divergence, loss, pull;
    int64_t clipped;
};
CPU_KERNEL_FORMS(struct cpu_distill_sums, cpu_kernel_distill_sums,
                 (const struct cpu_distill_entries *args));

/* out = factor (pull − p_S sum), 0 for entries that do not count; may be the student's logits. */
struct cpu_distill_gradient {
    struct cpu_distill_entries entries;
    float *out;
    float factor, sum;
};
CPU_KERNEL_FORMS(void, cpu_kernel_distill_backward, (const struct cpu_distill_gradient *args));

/* The first z that is `value`; −1 for none. */
CPU_KERNEL_FORMS(int64_t, cpu_kernel_find, (const float *z, int64_t n, float value));

/* The largest of each `width` logits, ceil(n / width) numbers; of a run with a NaN anything. */
CPU_KERNEL_FORMS(void, cpu_kernel_maxima, (const float *z, int64_t n, int64_t width, float *out));

/* The ids of all z that are not below `least`, rising; their number. */
CPU_KERNEL_FORMS(int64_t, cpu_kernel_at_least,
                 (const float *z, int64_t n, float least, int32_t *ids));

#endif
