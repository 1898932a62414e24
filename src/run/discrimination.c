/* SPDX-License-Identifier: Apache-2.0 */
#include "run/discrimination.h"

#include <string.h>

#include "base/memory.h"
#include "method/judged.h"
#include "run/run.h"

void discrimination_release(struct discrimination_buffers *buffers) {
    memory_release(&buffers->states);
    memory_release(&buffers->d_states);
    memory_release(&buffers->sequences);
    memory_release(&buffers->logprob);
    memory_release(&buffers->entropy);
    memory_release(&buffers->d_logprob);
}

static enum status reserve(struct run *run) {
    struct discrimination_buffers *buffers = &run->buffers.discrimination;
    const struct microbatch *microbatch = &run->buffers.microbatch;
    const int64_t n = microbatch->batch.target_count * run->lm.hparams.C;
    TRY(memory_grow(&buffers->states, n, "hidden states"));
    TRY(memory_grow(&buffers->d_states, n, "hidden states"));
    return memory_grow(&buffers->sequences, microbatch->answer_count,
                       "sequences of the discriminator");
}

/* In the loss: beside the generator's, or once where it is the reward that is scaled. */
static double scale_of(const struct settings *settings) {
    return settings->adversarial.d_scale_in == SETTING_D_SCALE_IN_LOSS
               ? settings->adversarial.d_scale
               : 1.0;
}

static const struct verdict *verdict_of(const struct run *run, const struct microbatch_answer *at) {
    const struct judged *judged = &run->step.judged;
    return &judged->verdicts[at->group * judged->texts.group_size + at->answer];
}

/* The loss of a sequence, and what it counts. Its value head is to foretell whether the class that the
 * logits prefer is the right one: those of the verdict, where the reasoning has learned from that. */
static void sequence_loss(const struct run *run, const struct discrimination_call *call,
                          const struct microbatch_answer *at,
                          struct discriminator_sequence *sequence) {
    const bool reasons = run->settings->adversarial.reason_tokens > 0, real = sequence->label == 1,
               right = (sequence->logits[1] > sequence->logits[0]) == real,
               success = reasons ? verdict_success(verdict_of(run, at), real) : right;
    const double weight = scale_of(run->settings) / (double)call->scope.answers;
    sequence->weight = weight;
    sequence->value_weight = judged_is_valued(run->settings) ? weight : 0.0;
    sequence->value_target = success ? 1.0 : 0.0;
    loss_judged(&(struct loss_judged){.weight = weight,
                                      .real = real,
                                      .right = right,
                                      .probability = sequence->probability,
                                      .cross_entropy = sequence->cross_entropy,
                                      .valued = judged_is_valued(run->settings),
                                      .value = sequence->value,
                                      .success = sequence->value_target},
                &call->groups[at->group - call->begin]);
}

enum status discrimination_gradient(struct run *run, const struct discrimination_call *call,
                                    const struct gradient_sink *sink) {
    struct discrimination_buffers *buffers = &run->buffers.discrimination;
    const struct microbatch *microbatch = &run->buffers.microbatch;
    const struct batch *batch = &microbatch->batch;
    const int64_t count = microbatch->answer_count;
    struct discriminator *head = run->lm.discriminator;
    struct gradient_piece piece;
    TRY(reserve(run));
    TRY(model_states(run->lm.model, batch, true, buffers->states));
    judged_sequences(&run->step.judged, microbatch, buffers->sequences);
    discriminator_forward(head, buffers->states, buffers->sequences, count);
    for (int64_t i = 0; i < count; i++)
        sequence_loss(run, call, &microbatch->answers[i], &buffers->sequences[i]);
    TRY(discriminator_backward(head, buffers->states, batch->target_count, buffers->sequences,
                               count, buffers->d_states, &piece));
    run->step.train_positions += batch->T;
    TRY(model_states_backward(run->lm.model, batch, buffers->d_states, sink));
    return sink->add(sink->context, &piece);
}

/* --- reasoning --- */

static enum status reserve_reasoning(struct discrimination_buffers *buffers, int64_t targets) {
    TRY(memory_grow(&buffers->logprob, targets, "log-probabilities"));
    TRY(memory_grow(&buffers->entropy, targets, "entropies"));
    return memory_grow(&buffers->d_logprob, targets, "loss derivatives");
}

/* The loss of what it wrote for one sequence. */
static void reason_loss(const struct run *run, const struct discrimination_call *call,
                        const struct microbatch_answer *at) {
    const struct discrimination_buffers *buffers = &run->buffers.discrimination;
    const struct verdict *verdict = verdict_of(run, at);
    struct rollout_answer *reason =
        &rollout_group_answers(&run->step.judged.reasons, at->group)[at->answer];
    const size_t bytes = (size_t)reason->n * sizeof(float);
    struct loss_settings settings = run->loss;
    settings.max_new_tokens = run->settings->adversarial.reason_tokens;
    if (call->first) {
        memcpy(reason->logprob, buffers->logprob + at->target, bytes);
        memcpy(reason->entropy, buffers->entropy + at->target, bytes);
    }
    loss_reason(
        &settings, &call->scope,
        &(struct loss_reason){.n = reason->n,
                              .logprob = buffers->logprob + at->target,
                              .entropy = buffers->entropy + at->target,
                              .weight = scale_of(run->settings),
                              .advantage = verdict_advantage(verdict, judged_is_real(at->answer)),
                              .d_logprob = buffers->d_logprob + at->target},
        &call->groups[at->group - call->begin]);
}

enum status reasoning_gradient(struct run *run, const struct discrimination_call *call,
                               const struct gradient_sink *sink) {
    struct discrimination_buffers *buffers = &run->buffers.discrimination;
    const struct microbatch *microbatch = &run->buffers.microbatch;
    const struct batch *batch = &microbatch->batch;
    const float temperature = (float)run->settings->rollout.temperature;
    TRY(reserve_reasoning(buffers, batch->target_count));
    TRY(model_forward(run->lm.model, batch, temperature, true, buffers->logprob, buffers->entropy));
    for (int64_t i = 0; i < microbatch->answer_count; i++)
        reason_loss(run, call, &microbatch->answers[i]);
    run->step.train_positions += batch->T;
    return model_backward(run->lm.model, batch, temperature, buffers->d_logprob, NULL, sink);
}

/* --- the pieces --- */

int64_t discrimination_piece_count(const struct run *run) {
    return model_gradient_piece_count(run->lm.model) + 1;
}

struct gradient_piece discrimination_piece(const struct run *run, int64_t i) {
    return i < model_gradient_piece_count(run->lm.model)
               ? model_gradient_piece(run->lm.model, i)
               : discriminator_gradient_piece(run->lm.discriminator);
}
