/* SPDX-License-Identifier: Apache-2.0 */
#include "run/taught.h"

#include <string.h>

#include "base/memory.h"
#include "run/run.h"

static struct distill_pair pair_of(const struct run *run) {
    const struct settings_distill *distill = &run->settings->distill;
    return (struct distill_pair){
        .student = run->lm.model,
        .teacher = teacher_model(run),
        .batch = &run->buffers.microbatch.batch,
        .teacher_batch = &run->buffers.microbatch.teacher,
        .settings = {.divergence = (enum divergence)distill->divergence,
                     .beta = (float)distill->beta,
                     .clip = (float)distill->clip,
                     .clip_tokens = distill->clip_at == SETTING_CLIP_AT_TOKEN,
                     .sampled = distill->estimator == SETTING_ESTIMATOR_SAMPLED,
                     .temperature = (float)run->settings->rollout.temperature},
        .top_k = (int32_t)distill->top_k};
}

int64_t taught_width(const struct run *run) {
    const int64_t k = run->settings->distill.top_k, V = run->lm.hparams.V;
    return k > 0 && k < V ? k : V;
}

enum status taught_reserve(struct run *run, int64_t T, int64_t teacher_T, int64_t R) {
    const struct distill_pair pair = pair_of(run);
    return distill_reserve(&pair, T, teacher_T, R, run->gradient->overlaps);
}

/* --- numbers per target of one microbatch --- */

static enum status reserve_targets(struct tile_buffers *buffers, int64_t targets) {
    struct distill_numbers *numbers = &buffers->taught;
    TRY(memory_grow(&numbers->logprob, targets, "log-probabilities"));
    TRY(memory_grow(&numbers->entropy, targets, "entropies"));
    TRY(memory_grow(&numbers->logprob_teacher, targets, "log-probabilities"));
    TRY(memory_grow(&numbers->entropy_teacher, targets, "entropies"));
    TRY(memory_grow(&numbers->divergence, targets, "divergences"));
    TRY(memory_grow(&numbers->loss, targets, "divergences"));
    TRY(memory_grow(&numbers->clipped, targets, "divergences"));
    TRY(memory_grow(&numbers->agreement, targets, "divergences"));
    return memory_grow(&buffers->d_logprob, targets, "loss derivatives");
}

void taught_release(struct distill_numbers *numbers) {
    memory_release(&numbers->logprob);
    memory_release(&numbers->entropy);
    memory_release(&numbers->logprob_teacher);
    memory_release(&numbers->entropy_teacher);
    memory_release(&numbers->divergence);
    memory_release(&numbers->loss);
    memory_release(&numbers->clipped);
    memory_release(&numbers->agreement);
}

/* The numbers of an answer from target `at` on, kept with it. */
static void keep_numbers(const struct distill_numbers *numbers, int64_t at,
                         struct rollout_answer *answer) {
    const size_t bytes = (size_t)answer->n * sizeof(float);
    memcpy(answer->logprob, numbers->logprob + at, bytes);
    memcpy(answer->entropy, numbers->entropy + at, bytes);
    memcpy(answer->logprob_teacher, numbers->logprob_teacher + at, bytes);
    memcpy(answer->entropy_teacher, numbers->entropy_teacher + at, bytes);
    memcpy(answer->divergence, numbers->divergence + at, bytes);
    for (int64_t t = 0; t < answer->n; t++) {
        answer->agreement[t] = (float)numbers->agreement[at + t];
        answer->clipped[t] = (float)numbers->clipped[at + t];
    }
}

/* What the loss of each token counts. */
static void set_weights(struct run *run, const struct taught_call *call) {
    const struct microbatch *microbatch = &run->buffers.microbatch;
    for (int64_t i = 0; i < microbatch->answer_count; i++) {
        const struct microbatch_answer *at = &microbatch->answers[i];
        const int64_t n = rollout_group_answers(&run->step.rollout, at->group)[at->answer].n;
        const float weight = (float)loss_token_weight(&run->loss, call->scope, n);
        for (int64_t t = 0; t < n; t++)
            run->buffers.d_logprob[at->target + t] = weight;
    }
}

static void answer_loss(struct run *run, const struct taught_call *call,
                        const struct microbatch_answer *at) {
    const struct distill_numbers *numbers = &run->buffers.taught;
    struct rollout_answer *answer =
        &rollout_group_answers(&run->step.rollout, at->group)[at->answer];
    const int64_t k = at->target;
    const struct loss_taught args = {.n = answer->n,
                                     .logprob_teacher = numbers->logprob_teacher + k,
                                     .entropy = numbers->entropy + k,
                                     .entropy_teacher = numbers->entropy_teacher + k,
                                     .loss = numbers->loss + k,
                                     .clipped = numbers->clipped + k,
                                     .agreement = numbers->agreement + k,
                                     .divergence = numbers->divergence + k};
    loss_taught(&run->loss, call->scope, &args, &call->groups[at->group - call->begin]);
    if (call->first)
        keep_numbers(numbers, k, answer);
}

enum status taught_gradient(struct run *run, const struct taught_call *call,
                            const struct gradient_sink *sink) {
    struct tile_buffers *buffers = &run->buffers;
    const struct microbatch *microbatch = &buffers->microbatch;
    const struct distill_pair pair = pair_of(run);
    TRY(reserve_targets(buffers, microbatch->batch.target_count));
    set_weights(run, call);
    TRY(distill_forward(&pair, buffers->d_logprob, &buffers->taught));
    for (int64_t i = 0; i < microbatch->answer_count; i++)
        answer_loss(run, call, &microbatch->answers[i]);
    run->step.train_positions += microbatch->batch.T + microbatch->teacher.T;
    return distill_backward(&pair, sink);
}
