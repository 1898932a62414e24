/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_kernel_distill.h"

#include "backend/cpu/simd.h"

#define DIVERGENCE_ENTRY
#define DIVERGENCE_FUNCTION            SIMD
#define DIVERGENCE_NUMBER              vec
#define DIVERGENCE_TRUTH               vec_int
#define DIVERGENCE_SET(x)              v_set1(x)
#define DIVERGENCE_CHOOSE(where, a, b) v_choose((where), (a), (b))
#define DIVERGENCE_EXP(x)              v_exp(x)
#define DIVERGENCE_EXP_BOTH(x, e, m)   ((e) = v_exp_both((x), &(m)))
#define DIVERGENCE_LOG1P(x)            v_log1p(x)
#include "backend/divergence.h"

/* A few steps above −∞, so that the difference of two stays a number. */
#define LEAST_LOG_P (-1e30f)

SIMD vec log_p(const float *z, int64_t left, struct head_shift shift, float scale) {
    const vec below =
        v_sub(left >= VEC ? v_load(z) : v_load_n(z, left, shift.max), v_set1(shift.max));
    return v_max(v_set1(LEAST_LOG_P), v_fma(below, v_set1(scale), v_set1(-shift.log_sum)));
}

/* The lanes from entry i on that count. */
SIMD vec_int counted(const struct cpu_distill_entries *a, int64_t i, bool top) {
    vec_int number;
    for (int lane = 0; lane < VEC; lane++)
        number[lane] = lane;
    const int64_t left = a->n - i;
    vec_int counts = number < (int32_t)(left < VEC ? left : VEC);
    if (top) {
        const vec teacher = left >= VEC ? v_load(a->teacher + i)
                                        : v_load_n(a->teacher + i, left, a->teacher_shift.max);
        const vec least = v_set1(a->top->least);
        const vec_int early = number <= (int32_t)(a->top->last - a->begin - i);
        counts &= (teacher > least) | ((teacher == least) & early);
    }
    return counts;
}

/* Those from i on; where they do not count value and pull are 0. */
SIMD struct divergence_entry entries_at(const struct cpu_distill_entries *a,
                                        const struct divergence_rule *rule, int64_t i, bool top) {
    const int64_t left = a->n - i;
    struct divergence_entry e =
        divergence_entry_of(rule, log_p(a->student + i, left, a->student_shift, a->scale),
                            log_p(a->teacher + i, left, a->teacher_shift, a->scale));
    if (top || left < VEC) {
        const vec_int counts = counted(a, i, top);
        e.value = v_choose(counts, e.value, v_zero());
        e.student = v_choose(counts, e.student, v_zero());
        e.pull = v_choose(counts, e.pull, v_zero());
        e.clipped &= counts;
    }
    return e;
}

SIMD struct cpu_distill_sums sums_of(const struct cpu_distill_entries *a,
                                     enum divergence divergence, bool top) {
    const struct divergence_rule rule = {divergence, a->rule.beta, a->rule.clip};
    vec value = v_zero(), loss = v_zero(), pull = v_zero();
    vec_int clipped = (vec_int)v_zero();
    for (int64_t i = 0; i < a->n; i += VEC) {
        if (top && !v_any(counted(a, i, top)))
            continue; /* most of them: nothing is computed */
        const struct divergence_entry e = entries_at(a, &rule, i, top);
        value = v_add(value, e.value);
        loss = v_add(loss, v_choose(e.clipped, v_set1(rule.clip), e.value));
        pull = v_add(pull, e.pull);
        clipped -= e.clipped;
    }
    struct cpu_distill_sums sums = {.divergence = (double)v_sum(value),
                                    .loss = (double)v_sum(loss),
                                    .pull = (double)v_sum(pull)};
    for (int lane = 0; lane < VEC; lane++)
        sums.clipped += clipped[lane];
    return sums;
}

SIMD void gradient_of(const struct cpu_distill_gradient *a, enum divergence divergence, bool top) {
    const struct cpu_distill_entries *entries = &a->entries;
    const struct divergence_rule rule = {divergence, entries->rule.beta, entries->rule.clip};
    const vec factor = v_set1(a->factor), sum = v_set1(a->sum);
    for (int64_t i = 0; i < entries->n; i += VEC) {
        vec gradient = v_zero();
        if (!top || v_any(counted(entries, i, top))) {
            const struct divergence_entry e = entries_at(entries, &rule, i, top);
            gradient = v_mul(factor, v_sub(e.pull, v_mul(e.student, sum)));
        }
        if (entries->n - i >= VEC)
            v_store(a->out + i, gradient);
        else
            v_store_n(a->out + i, gradient, entries->n - i);
    }
}

/* Code of its own for each divergence. */
#define EACH_DIVERGENCE(X) X(DIVERGENCE_FORWARD_KL) X(DIVERGENCE_REVERSE_KL) X(DIVERGENCE_JSD)

struct cpu_distill_sums ISA(cpu_kernel_distill_sums)(const struct cpu_distill_entries *args) {
    switch (args->rule.divergence) {
#define X(divergence)                                                                              \
    case divergence:                                                                               \
        return args->top == NULL ? sums_of(args, divergence, false)                                \
                                 : sums_of(args, divergence, true);
        EACH_DIVERGENCE(X)
#undef X
    }
    return (struct cpu_distill_sums){.clipped = 0};
}

void ISA(cpu_kernel_distill_backward)(const struct cpu_distill_gradient *args) {
    switch (args->entries.rule.divergence) {
#define X(divergence)                                                                              \
    case divergence:                                                                               \
        if (args->entries.top == NULL)                                                             \
            gradient_of(args, divergence, false);                                                  \
        else                                                                                       \
            gradient_of(args, divergence, true);                                                   \
        return;
        EACH_DIVERGENCE(X)
#undef X
    }
}

int64_t ISA(cpu_kernel_find)(const float *z, int64_t n, float value) {
    int64_t i = 0;
    while (i + VEC <= n && !v_any(v_load(z + i) == v_set1(value)))
        i += VEC;
    for (; i < n; i++)
        if (z[i] == value)
            return i;
    return -1;
}

void ISA(cpu_kernel_maxima)(const float *z, int64_t n, int64_t width, float *out) {
    for (int64_t at = 0; at < n; at += width) {
        const int64_t end = at + width < n ? at + width : n;
        vec most = v_set1(-INFINITY);
        int64_t i = at;
        for (; i + VEC <= end; i += VEC)
            most = v_max(v_load(z + i), most);
        if (i < end)
            most = v_max(v_load_n(z + i, end - i, -INFINITY), most);
        out[at / width] = v_largest(most);
    }
}

int64_t ISA(cpu_kernel_at_least)(const float *z, int64_t n, float least, int32_t *ids) {
    int64_t count = 0, i = 0;
    for (; i < n; i += VEC) {
        const int64_t end = i + VEC < n ? i + VEC : n;
        if (end - i == VEC && !v_any(v_load(z + i) >= v_set1(least)))
            continue;
        for (int64_t k = i; k < end; k++)
            if (z[k] >= least)
                ids[count++] = (int32_t)k;
    }
    return count;
}
