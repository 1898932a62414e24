/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors: sums in fixed point, scalar products, mixtures. All are bound by memory; each goes
 * over its vectors once.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_vector.h"

enum { GRAIN = 16384 };

struct accumulate_work {
    struct backend *backend;
    const struct accumulate_args *args;
};

/* What the ranges refuse has no order: the largest, and a number. */
static void note_refused(struct refused *to, struct cpu_refused refused) {
    if (refused.largest == 0 && refused.nonfinite == 0)
        return;
#pragma omp critical
    {
        to->largest = fmax(to->largest, refused.largest);
        to->nonfinite += refused.nonfinite;
    }
}

static void accumulate_range(const void *context, struct cpu_range range) {
    const struct accumulate_work *work = context;
    const struct accumulate_args *a = work->args;
    note_refused(a->refused, CPU_CALL(work->backend, cpu_kernel_accumulate, a->total + range.begin,
                                      a->values + range.begin, range.end - range.begin,
                                      ldexp(1.0, a->scale_bits), a->bound));
}

enum status cpu_accumulate(struct backend *backend, const struct accumulate_args *args) {
    const struct accumulate_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->n, GRAIN, accumulate_range, &work);
    return STATUS_OK;
}

struct accumulate_rows_work {
    struct backend *backend;
    const struct accumulate_rows_args *args;
};

static void accumulate_rows(const void *context, struct cpu_range range) {
    const struct accumulate_rows_work *work = context;
    const struct accumulate_rows_args *a = work->args;
    for (int64_t r = range.begin; r < range.end; r++)
        note_refused(a->refused,
                     CPU_CALL(work->backend, cpu_kernel_accumulate, a->total + a->rows[r] * a->C,
                              a->values + r * a->C, a->C, ldexp(1.0, a->scale_bits), a->bound));
}

enum status cpu_accumulate_rows(struct backend *backend, const struct accumulate_rows_args *args) {
    const struct accumulate_rows_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->R, 1 + GRAIN / args->C, accumulate_rows, &work);
    return STATUS_OK;
}

struct resolve_work {
    struct backend *backend;
    const struct resolve_args *args;
};

static void resolve_range(const void *context, struct cpu_range range) {
    const struct resolve_work *work = context;
    const struct resolve_args *a = work->args;
    CPU_CALL(work->backend, cpu_kernel_resolve, a->out + range.begin, a->total + range.begin,
             range.end - range.begin, ldexp(1.0, -a->scale_bits));
}

enum status cpu_resolve(struct backend *backend, const struct resolve_args *args) {
    const struct resolve_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->n, GRAIN, resolve_range, &work);
    return STATUS_OK;
}

struct dot_work {
    struct backend *backend;
    const struct dot_args *args;
};

static void dot_blocks(const void *context, struct cpu_range range) {
    const struct dot_work *work = context;
    const struct dot_args *a = work->args;
    for (int64_t block = range.begin; block < range.end; block++) {
        const int64_t at = block * VECTOR_BLOCK;
        const int64_t n = a->n - at < VECTOR_BLOCK ? a->n - at : VECTOR_BLOCK;
        a->blocks[block] = CPU_CALL(work->backend, cpu_kernel_dot, a->x + at, a->y + at, n);
    }
}

enum status cpu_dot(struct backend *backend, const struct dot_args *args) {
    const struct dot_work work = {.backend = backend, .args = args};
    cpu_run(backend, (args->n + VECTOR_BLOCK - 1) / VECTOR_BLOCK, 1, dot_blocks, &work);
    return STATUS_OK;
}

static void copy_range(const void *context, struct cpu_range range) {
    const struct copy_args *a = context;
    memcpy(a->out + range.begin, a->x + range.begin,
           (size_t)(range.end - range.begin) * sizeof *a->out);
}

enum status cpu_copy(struct backend *backend, const struct copy_args *args) {
    cpu_run(backend, args->n, GRAIN, copy_range, args);
    return STATUS_OK;
}

static void add_range(const void *context, struct cpu_range range) {
    const struct add_args *a = context;
    for (int64_t i = range.begin; i < range.end; i++)
        a->out[i] += a->x[i];
}

enum status cpu_add(struct backend *backend, const struct add_args *args) {
    cpu_run(backend, args->n, GRAIN, add_range, args);
    return STATUS_OK;
}

struct lerp_work {
    struct backend *backend;
    const struct lerp_args *args;
};

static void lerp_range(const void *context, struct cpu_range range) {
    const struct lerp_work *work = context;
    const struct lerp_args *a = work->args;
    CPU_CALL(work->backend, cpu_kernel_lerp, a->out + range.begin, a->x + range.begin,
             a->y + range.begin, range.end - range.begin, a->factor);
}

enum status cpu_lerp(struct backend *backend, const struct lerp_args *args) {
    const struct lerp_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->n, GRAIN, lerp_range, &work);
    return STATUS_OK;
}
