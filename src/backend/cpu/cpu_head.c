/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-probability and entropy of a row of logits that passes by in blocks, and the gradient of both
 * with respect to the logits z, with a = z / T and p = softmax(a):
 *
 *     T · d logprob / d z_v = 1[v = target] − p_v,    T · d entropy / d z_v = −p_v (log p_v +
 * entropy)
 *
 * Sums of one block run in fp32 lanes, sums over blocks in double.
 */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_row.h"

enum { WORK = 5000 };

struct head_work {
    struct backend *backend;
    const struct head_block_args *args;
};

/* Adds a block's sums to those so far: both are brought to the larger of the two maxima, where
 * Σ (a − max') exp(a − max') = exp(max − max') (weighted + (max − max') sum). */
static void merge(struct head_row *row, const struct cpu_head_sums *block) {
    const float max = row->max > block->max ? row->max : block->max;
    const double old = (double)row->max - (double)max, new = (double)block->max - (double)max;
    row->weighted = exp(old) * (row->weighted + old * row->sum) +
                    exp(new) * (block->weighted + new * block->sum);
    row->sum = exp(old) * row->sum + exp(new) * block->sum;
    row->max = max;
}

static void head_row(const struct head_work *work, int64_t r) {
    const struct head_block_args *a = work->args;
    const float *logits = a->logits + r * a->ld;
    struct head_row *row = &a->rows[r];
    for (int64_t at = 0; at < a->columns; at += HEAD_BLOCK) {
        const int64_t n = a->columns - at < HEAD_BLOCK ? a->columns - at : HEAD_BLOCK;
        const struct cpu_head_sums sums =
            CPU_KERNEL(work->backend, cpu_kernel_head_sums)(logits + at, n, a->inverse_temperature);
        if (a->begin + at == 0)
            *row = (struct head_row){
                .sum = sums.sum, .weighted = sums.weighted, .max = sums.max, .target = 0.0f};
        else
            merge(row, &sums);
    }
    const int64_t target = a->targets[r] - a->begin;
    if (target >= 0 && target < a->columns)
        row->target = logits[target] * a->inverse_temperature;
}

static void head_rows(const void *context, struct cpu_range range) {
    for (int64_t r = range.begin; r < range.end; r++)
        head_row(context, r);
}

enum status cpu_head_block(struct backend *backend, const struct head_block_args *args) {
    const struct head_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->R, 1 + WORK / args->columns, head_rows, &work);
    return STATUS_OK;
}

enum status cpu_head_finish(struct backend *backend, const struct head_finish_args *args) {
    (void)backend;
    for (int64_t r = 0; r < args->R; r++) {
        const struct head_row *row = &args->rows[r];
        const double log_sum = log(row->sum);
        args->logprob[r] = (float)((double)row->target - (double)row->max - log_sum);
        args->entropy[r] = (float)(log_sum - row->weighted / row->sum);
        if (args->log_sum != NULL)
            args->log_sum[r] = (float)((double)row->max + log_sum);
    }
    return STATUS_OK;
}

struct head_backward_work {
    struct backend *backend;
    const struct head_backward_args *args;
};

static void head_backward_rows(const void *context, struct cpu_range range) {
    const struct head_backward_work *work = context;
    const struct head_backward_args *a = work->args;
    void (*const kernel)(const struct cpu_head_gradient *) =
        CPU_KERNEL(work->backend, cpu_kernel_head_backward);
    for (int64_t r = range.begin; r < range.end; r++) {
        kernel(&(struct cpu_head_gradient){.z = a->logits + r * a->ld,
                                           .n = a->columns,
                                           .scale = a->inverse_temperature,
                                           .log_sum = a->log_sum[r],
                                           .entropy = a->entropy[r],
                                           .d_logprob = a->d_logprob[r],
                                           .d_entropy = a->d_entropy[r]});
        const int64_t target = a->targets[r] - a->begin;
        if (target >= 0 && target < a->columns)
            a->logits[r * a->ld + target] += a->inverse_temperature * a->d_logprob[r];
    }
}

enum status cpu_head_backward(struct backend *backend, const struct head_backward_args *args) {
    const struct head_backward_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->R, 1 + WORK / args->columns, head_backward_rows, &work);
    return STATUS_OK;
}
