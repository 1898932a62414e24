/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW, and its second fast step with the place that it foretells. Both are bound by memory and go
 * over their vectors once.
 */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_adamw.h"

enum { GRAIN = 16384 };

/* The scale that clips the largest gradients is no normal float; two factors are. */
static struct cpu_adamw kernel_of(const struct adamw_args *args) {
    const double shrink = args->gradient_scale < 0x1p-100 ? 0x1p-64 : 1;
    return (struct cpu_adamw){.parameters = args->parameters,
                              .exp_avg = args->exp_avg,
                              .exp_avg_sq = args->exp_avg_sq,
                              .gradient = args->gradient,
                              .kept_parameters = args->kept_parameters,
                              .kept_gradient = args->kept_gradient,
                              .kept_direction = args->kept_direction,
                              .shrink = (float)shrink,
                              .gradient_scale = (float)(args->gradient_scale / shrink),
                              .keep = (float)(1 - args->learning_rate * args->weight_decay),
                              .mix1 = (float)(1 - args->beta1),
                              .beta2 = (float)args->beta2,
                              .mix2 = (float)(1 - args->beta2),
                              .step = (float)(args->learning_rate / args->correction1),
                              .root = (float)sqrt(args->correction2),
                              .epsilon = (float)args->epsilon,
                              .correction1 = (float)args->correction1};
}

struct adamw_work {
    struct backend *backend;
    struct cpu_adamw kernel;
};

static void adamw_range(const void *context, struct cpu_range range) {
    const struct adamw_work *work = context;
    CPU_CALL(work->backend, cpu_kernel_adamw, &work->kernel, range.begin, range.end);
}

enum status cpu_adamw(struct backend *backend, const struct adamw_args *args) {
    const struct adamw_work work = {.backend = backend, .kernel = kernel_of(args)};
    cpu_run(backend, args->n, GRAIN, adamw_range, &work);
    return STATUS_OK;
}

struct extrapolate_work {
    struct backend *backend;
    struct cpu_extrapolate kernel;
};

static void extrapolate_blocks(const void *context, struct cpu_range range) {
    const struct extrapolate_work *work = context;
    const struct adamw_extrapolate_args *args = work->kernel.args;
    for (int64_t block = range.begin; block < range.end; block++) {
        const int64_t begin = block * VECTOR_BLOCK, left = args->step.n - begin;
        args->blocks[block] = CPU_CALL(work->backend, cpu_kernel_extrapolate, &work->kernel, begin,
                                       begin + (left < VECTOR_BLOCK ? left : VECTOR_BLOCK));
    }
}

enum status cpu_adamw_extrapolate(struct backend *backend,
                                  const struct adamw_extrapolate_args *args) {
    const struct extrapolate_work work = {.backend = backend,
                                          .kernel = {.args = args, .step = kernel_of(&args->step)}};
    cpu_run(backend, (args->step.n + VECTOR_BLOCK - 1) / VECTOR_BLOCK, 1, extrapolate_blocks,
            &work);
    return STATUS_OK;
}
