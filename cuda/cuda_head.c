/* SPDX-License-Identifier: Apache-2.0
 *
 * The output head on blocks of logits, and draws.
 */
#include "cuda/cuda.h"

#include "cuda/kernel/head.h"
#include "cuda/kernel/sample.h"

enum status cuda_head_block(struct backend *backend, const struct head_block_args *args) {
    struct cuda_need need = {0};
    const size_t at =
        cuda_need(&need, args->R * head_sums_of(args->columns) * (int64_t)sizeof(struct head_sums));
    TRY(cuda_reserve(backend, &need));
    return CUDA_LAUNCH(backend, head_block, .logits = args->logits, .targets = args->targets,
                       .rows = args->rows, .sums = cuda_scratch(backend, at), .begin = args->begin,
                       .R = args->R, .columns = args->columns, .ld = args->ld,
                       .temperature = args->temperature);
}

enum status cuda_head_finish(struct backend *backend, const struct head_finish_args *args) {
    return CUDA_LAUNCH(backend, head_finish, .rows = args->rows, .logprob = args->logprob,
                       .entropy = args->entropy, .shift = args->shift, .R = args->R,
                       .temperature = args->temperature);
}

enum status cuda_head_backward(struct backend *backend, const struct head_backward_args *args) {
    return CUDA_LAUNCH(backend, head_backward, .logits = args->logits, .targets = args->targets,
                       .shift = args->shift, .entropy = args->entropy, .d_logprob = args->d_logprob,
                       .d_entropy = args->d_entropy, .out = args->out, .R = args->R,
                       .columns = args->columns, .ld = args->ld, .begin = args->begin,
                       .temperature = args->temperature, .dtype = args->dtype);
}

enum status cuda_sample(struct backend *backend, const struct sample_args *args) {
    struct cuda_need need = {0};
    const size_t at =
        cuda_need(&need, args->B * head_sums_of(args->V) * (int64_t)sizeof(struct head_sums));
    TRY(cuda_reserve(backend, &need));
    return CUDA_LAUNCH(backend, sample, .logits = args->logits, .uniforms = args->uniforms,
                       .counters = args->counters, .seed = args->seed, .seen = args->seen,
                       .seen_rows = args->seen_rows, .seen_counts = args->seen_counts,
                       .sums = cuda_scratch(backend, at), .tokens = args->tokens,
                       .logprob = args->logprob, .entropy = args->entropy, .B = args->B,
                       .V = args->V, .ld = args->ld, .seen_ld = args->seen_ld,
                       .settings = args->settings);
}
