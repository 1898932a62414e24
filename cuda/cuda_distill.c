/* SPDX-License-Identifier: Apache-2.0
 *
 * Distillation on blocks of logits.
 */
#include "cuda/cuda.h"

#include "cuda/kernel/distill.h"
#include "cuda/kernel/head.h"

enum status cuda_distill_top(struct backend *backend, const struct distill_top_args *args) {
    return CUDA_LAUNCH(backend, distill_top, .student = args->student, .teacher = args->teacher,
                       .top = args->top, .R = args->R, .V = args->V, .ld = args->ld, .k = args->k,
                       .temperature = args->temperature);
}

enum status cuda_distill_block(struct backend *backend, const struct distill_block_args *args) {
    const struct distill_logits *logits = &args->logits;
    struct cuda_need need = {0};
    const size_t at = cuda_need(&need, logits->R * head_sums_of(logits->columns) *
                                           (int64_t)sizeof(struct distill_sums));
    TRY(cuda_reserve(backend, &need));
    return CUDA_LAUNCH(backend, distill_block, .logits = args->logits, .rows = args->rows,
                       .sums = cuda_scratch(backend, at), .settings = args->settings);
}

enum status cuda_distill_finish(struct backend *backend, const struct distill_finish_args *args) {
    return CUDA_LAUNCH(backend, distill_finish, .rows = args->rows, .logprob = args->logprob,
                       .logprob_teacher = args->logprob_teacher, .divergence = args->divergence,
                       .loss = args->loss, .clipped = args->clipped, .agreement = args->agreement,
                       .slope = args->slope, .R = args->R, .settings = args->settings);
}

enum status cuda_distill_backward(struct backend *backend,
                                  const struct distill_backward_args *args) {
    return CUDA_LAUNCH(backend, distill_backward, .logits = args->logits, .slope = args->slope,
                       .weight = args->weight, .out = args->out, .dtype = args->dtype,
                       .settings = args->settings);
}
