/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-probability and entropy of a row of logits that passes by in blocks, and the gradient of both
 * with respect to the logits z, with p = softmax(z / T):
 *
 *     T · d logprob / d z_v = 1[v = target] − p_v
 *     T · d entropy / d z_v = −p_v (log p_v + entropy)
 *
 * Everywhere the maximum is subtracted from a logit first, which rounds by the size of the
 * difference, and the difference is divided by T then. Scaled logits would round by their own size:
 * at T = 0.1 the log-probability would lose one digit, at T = 1e-6 all. Sums of one block run in
 * fp32 lanes, sums over blocks in double.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/cpu_kernel_row.h"

enum { WORK = 5000 };

struct head_work {
    struct backend *backend;
    const struct head_block_args *args;
};

/* Adds a block's sums to those so far: both are brought to the larger of the two maxima, where
 * Σ (z − max') exp((z − max')/T) = exp((max − max')/T) (weighted + (max − max') sum). */
static void merge(struct head_row *row, const struct cpu_head_sums *block, double scale) {
    const float max = row->max > block->max ? row->max : block->max;
    const double old = (double)row->max - (double)max, new = (double)block->max - (double)max;
    const double keep = exp(old * scale), add = exp(new *scale);
    row->weighted =
        keep * (row->weighted + old * row->sum) + add * (block->weighted + new * block->sum);
    row->sum = keep * row->sum + add * block->sum;
    row->max = max;
}

static void head_row(const struct head_work *work, int64_t r) {
    const struct head_block_args *a = work->args;
    const float *logits = a->logits + r * a->ld, scale = cpu_inverse_temperature(a->temperature);
    struct head_row *row = &a->rows[r];
    for (int64_t at = 0; at < a->columns; at += HEAD_BLOCK) {
        const int64_t n = a->columns - at < HEAD_BLOCK ? a->columns - at : HEAD_BLOCK;
        const struct cpu_head_sums sums =
            CPU_CALL(work->backend, cpu_kernel_head_sums, logits + at, n, scale);
        if (a->begin + at == 0)
            *row = (struct head_row){
                .sum = sums.sum, .weighted = sums.weighted, .max = sums.max, .target = 0.0f};
        else
            merge(row, &sums, (double)scale);
    }
    const int64_t target = a->targets[r] - a->begin;
    if (target >= 0 && target < a->columns)
        row->target = logits[target];
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

static void finish_row(const struct head_finish_args *args, int64_t r) {
    const double scale = (double)cpu_inverse_temperature(args->temperature);
    const struct head_row *row = &args->rows[r];
    const double log_sum = log(row->sum), below = (double)row->target - (double)row->max;
    args->logprob[r] = (float)(below * scale - log_sum);
    args->entropy[r] = (float)(log_sum - row->weighted / row->sum * scale);
    if (args->shift != NULL) {
        args->shift[r].max = row->max;
        args->shift[r].log_sum = (float)log_sum;
    }
}

enum status cpu_head_finish(struct backend *backend, const struct head_finish_args *args) {
    (void)backend;
    for (int64_t r = 0; r < args->R; r++)
        finish_row(args, r);
    return STATUS_OK;
}

static void score(struct backend *backend, const struct cpu_head_token *token,
                  struct head_shift *shift) {
    struct head_row row;
    const struct head_block_args block = {.logits = token->logits,
                                          .targets = &token->id,
                                          .rows = &row,
                                          .R = 1,
                                          .columns = token->V,
                                          .ld = token->V,
                                          .temperature = token->temperature};
    const struct head_finish_args finish = {.rows = &row,
                                            .logprob = token->logprob,
                                            .entropy = token->entropy,
                                            .shift = shift,
                                            .R = 1,
                                            .temperature = token->temperature};
    head_row(&(struct head_work){.backend = backend, .args = &block}, 0);
    finish_row(&finish, 0);
}

void cpu_head_token(struct backend *backend, const struct cpu_head_token *token) {
    score(backend, token, NULL);
}

struct head_shift cpu_head_shift(struct backend *backend, const float *logits, int64_t n,
                                 float temperature) {
    float logprob, entropy;
    struct head_shift shift;
    const struct cpu_head_token token = {.logits = logits,
                                         .V = n,
                                         .temperature = temperature,
                                         .logprob = &logprob,
                                         .entropy = &entropy};
    score(backend, &token, &shift);
    return shift;
}

struct head_backward_work {
    struct backend *backend;
    const struct head_backward_args *args;
};

/* The gradient at the target itself. 1 − p comes from expm1, which keeps its digits where p is
 * close to 1: there the division by a small T would show what a difference of 1 and p has lost. */
static float target_gradient(const struct head_backward_args *a, int64_t r, float z) {
    const double scale = (double)cpu_inverse_temperature(a->temperature);
    const struct head_shift *shift = &a->shift[r];
    const double below = (double)z - (double)shift->max;
    const double log_p = below * scale - (double)shift->log_sum;
    const double entropy_term = exp(log_p) * (log_p + (double)a->entropy[r]);
    return (float)(scale * (-expm1(log_p) * (double)a->d_logprob[r] -
                            entropy_term * (double)a->d_entropy[r]));
}

static void head_backward_rows(const void *context, struct cpu_range range) {
    const struct head_backward_work *work = context;
    const struct head_backward_args *a = work->args;
    void (*const kernel)(const struct cpu_head_gradient *) =
        CPU_KERNEL(work->backend, cpu_kernel_head_backward);
    for (int64_t r = range.begin; r < range.end; r++) {
        float *out = (float *)a->out + r * a->ld;
        const int64_t target = a->targets[r] - a->begin;
        const bool here = target >= 0 && target < a->columns;
        if (a->out != a->logits)
            memcpy(out, a->logits + r * a->ld, (size_t)a->columns * sizeof *out);
        const float at_target = here ? target_gradient(a, r, out[target]) : 0.0f;
        kernel(&(struct cpu_head_gradient){.z = out,
                                           .n = a->columns,
                                           .scale = cpu_inverse_temperature(a->temperature),
                                           .max = a->shift[r].max,
                                           .log_sum = a->shift[r].log_sum,
                                           .entropy = a->entropy[r],
                                           .d_logprob = a->d_logprob[r],
                                           .d_entropy = a->d_entropy[r]});
        if (here)
            out[target] = at_target;
    }
}

enum status cpu_head_backward(struct backend *backend, const struct head_backward_args *args) {
    const struct head_backward_work work = {.backend = backend, .args = args};
    cpu_run(backend, args->R, 1 + WORK / args->columns, head_backward_rows, &work);
    return STATUS_OK;
}
