/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS norm over rows (Zhang and Sennrich, arXiv 1910.07467) and its gradient. The gradient of the
 * weight is summed over fixed blocks of rows and then over the blocks, in ascending order, whoever
 * computes a block.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_row.h"

enum { ROW_BLOCK = 32, WORK = 20000 };

struct norm_work {
    struct backend *backend;
    const struct rmsnorm_args *args;
};

static void norm_rows(const void *context, struct cpu_range range) {
    const struct norm_work *work = context;
    const struct rmsnorm_args *a = work->args;
    float *y = a->y;
    for (int64_t t = range.begin; t < range.end; t++) {
        const float inverse = CPU_CALL(work->backend, cpu_kernel_rmsnorm, y + t * a->C,
                                       a->x + t * a->C, a->weight, a->C, a->epsilon);
        if (a->inverse_rms != NULL)
            a->inverse_rms[t] = inverse;
    }
}

enum status cpu_rmsnorm(struct backend *backend, const struct rmsnorm_args *args) {
    const struct norm_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->T, 1 + WORK / args->C, norm_rows, &work);
    return STATUS_OK;
}

struct norm_backward_work {
    struct backend *backend;
    const struct rmsnorm_backward_args *args;
    float *partial; /* (blocks, C) */
};

static void norm_backward_blocks(const void *context, struct cpu_range range) {
    const struct norm_backward_work *work = context;
    const struct rmsnorm_backward_args *a = work->args;
    const float *dy = a->dy;
    const int64_t C = a->C;
    void (*const kernel)(const struct cpu_norm_gradient *) =
        CPU_KERNEL(work->backend, cpu_kernel_rmsnorm_backward);
    for (int64_t block = range.begin; block < range.end; block++) {
        float *dweight = work->partial + block * C;
        memset(dweight, 0, (size_t)C * sizeof *dweight);
        for (int64_t t = block * ROW_BLOCK; t < a->T && t < (block + 1) * ROW_BLOCK; t++)
            kernel(&(struct cpu_norm_gradient){.dx = a->dx + t * C,
                                               .dweight = dweight,
                                               .base = a->dx + t * C,
                                               .x = a->x + t * C,
                                               .weight = a->weight,
                                               .dy = dy + t * C,
                                               .inverse_rms = a->inverse_rms[t],
                                               .n = C});
    }
}

enum status cpu_rmsnorm_backward(struct backend *backend,
                                 const struct rmsnorm_backward_args *args) {
    const int64_t blocks = (args->T + ROW_BLOCK - 1) / ROW_BLOCK, C = args->C;
    TRY(cpu_reserve(backend, (size_t)(blocks * C) * sizeof(float), 0));
    if (cpu_plans(backend))
        return STATUS_OK;
    const struct norm_backward_work work = {
        .backend = backend, .args = args, .partial = cpu_shared(backend)};
    cpu_run(backend, blocks, 1, norm_backward_blocks, &work);
    if (args->dweight == NULL)
        return STATUS_OK;
    memset(args->dweight, 0, (size_t)C * sizeof(float));
    for (int64_t block = 0; block < blocks; block++)
        for (int64_t c = 0; c < C; c++)
            args->dweight[c] += work.partial[block * C + c];
    return STATUS_OK;
}
