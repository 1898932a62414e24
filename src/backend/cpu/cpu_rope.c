/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding (Su et al., arXiv 2104.09864; Hugging Face's order of elements), behind
 * an RMS norm per head where the model has one (Qwen3), and its gradient. The gradients of the norm
 * weights are summed over fixed blocks of rows, then over the blocks, in ascending order.
 */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_row.h"

enum { ROW_BLOCK = 32, WORK = 20000 };

struct rope_work {
    struct backend *backend;
    const struct rope_args *args;
};

static void rope_row(const struct backend *backend, const struct rope_args *a, int64_t t) {
    const int64_t D = a->D, rotated = a->H + a->K, width = (rotated + a->K) * D;
    const float *qkv = a->qkv, *x = qkv + t * width, *table = a->table + a->positions[t] * D;
    float *rows = a->out, *out = rows + t * width;
    for (int64_t h = 0; h < rotated; h++) {
        const float *norm = h < a->H ? a->q_norm : a->k_norm, *head = x + h * D;
        if (norm != NULL) {
            CPU_CALL(backend, cpu_kernel_rmsnorm, out + h * D, head, norm, D, a->epsilon);
            head = out + h * D;
        }
        CPU_CALL(backend, cpu_kernel_rotate, out + h * D, head, table, D, 1.0f);
    }
    if (out != x)
        memcpy(out + rotated * D, x + rotated * D, (size_t)(a->K * D) * sizeof *x);
}

static void rope_rows(const void *context, struct cpu_range range) {
    const struct rope_work *work = context;
    for (int64_t t = range.begin; t < range.end; t++)
        rope_row(work->backend, work->args, t);
}

enum status cpu_rope(struct backend *backend, const struct rope_args *args) {
    const struct rope_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->T, 1 + WORK / ((args->H + args->K) * args->D), rope_rows, &work);
    return STATUS_OK;
}

struct rope_backward_work {
    struct backend *backend;
    const struct rope_backward_args *args;
    float *partial; /* (blocks, 2, D): gradients of the two norm weights; NULL without norms */
};

static void rope_backward_row(const struct rope_backward_work *work, int64_t t, float *partial) {
    const struct rope_args *f = &work->args->forward;
    const int64_t D = f->D, rotated = f->H + f->K, width = (rotated + f->K) * D;
    const float *table = f->table + f->positions[t] * D;
    float *row = (float *)work->args->dqkv + t * width;
    void (*const norm_backward)(const struct cpu_norm_gradient *) =
        CPU_KERNEL(work->backend, cpu_kernel_rmsnorm_backward);
    for (int64_t h = 0; h < rotated; h++) {
        float *gradient = row + h * D;
        CPU_CALL(work->backend, cpu_kernel_rotate, gradient, gradient, table, D, -1.0f);
        if (partial == NULL)
            continue;
        const float *x = (const float *)f->qkv + t * width + h * D;
        const float inverse = CPU_CALL(work->backend, cpu_kernel_inverse_rms, x, D, f->epsilon);
        norm_backward(&(struct cpu_norm_gradient){.dx = gradient,
                                                  .dweight = h < f->H ? partial : partial + D,
                                                  .x = x,
                                                  .weight = h < f->H ? f->q_norm : f->k_norm,
                                                  .dy = gradient,
                                                  .inverse_rms = inverse,
                                                  .n = D});
    }
}

static void rope_backward_blocks(const void *context, struct cpu_range range) {
    const struct rope_backward_work *work = context;
    const int64_t D = work->args->forward.D, T = work->args->forward.T;
    for (int64_t block = range.begin; block < range.end; block++) {
        float *partial = work->partial != NULL ? work->partial + block * 2 * D : NULL;
        if (partial != NULL)
            memset(partial, 0, (size_t)(2 * D) * sizeof *partial);
        for (int64_t t = block * ROW_BLOCK; t < T && t < (block + 1) * ROW_BLOCK; t++)
            rope_backward_row(work, t, partial);
    }
}

enum status cpu_rope_backward(struct backend *backend, const struct rope_backward_args *args) {
    const int64_t D = args->forward.D, blocks = (args->forward.T + ROW_BLOCK - 1) / ROW_BLOCK;
    const bool norms = args->forward.q_norm != NULL;
    if (norms)
        TRY(cpu_reserve(backend, (size_t)(blocks * 2 * D) * sizeof(float), 0));
    if (cpu_plans(backend))
        return STATUS_OK;
    const struct rope_backward_work work = {
        .backend = backend, .args = args, .partial = norms ? cpu_shared(backend) : NULL};
    cpu_run(backend, blocks, 1, rope_backward_blocks, &work);
    for (int64_t d = 0; d < D && norms && args->dq_norm != NULL; d++) {
        args->dq_norm[d] = args->dk_norm[d] = 0;
        for (int64_t block = 0; block < blocks; block++) {
            args->dq_norm[d] += work.partial[block * 2 * D + d];
            args->dk_norm[d] += work.partial[block * 2 * D + D + d];
        }
    }
    return STATUS_OK;
}
