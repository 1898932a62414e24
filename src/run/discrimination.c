/* SPDX-License-Identifier: Apache-2.0 */
#include "run/discrimination.h"

#include "base/memory.h"
#include "method/judged.h"
#include "run/run.h"

void discrimination_release(struct discrimination_buffers *buffers) {
    memory_release(&buffers->states);
    memory_release(&buffers->d_states);
    memory_release(&buffers->sequences);
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

/* The loss of a sequence, and what it counts. Its value head is to foretell whether the class that the
 * logits prefer is the right one. */
static void sequence_loss(const struct run *run, const struct discrimination_call *call,
                          const struct microbatch_answer *at,
                          struct discriminator_sequence *sequence) {
    const int preferred = sequence->logits[1] > sequence->logits[0];
    const bool valued = run->settings->adversarial.reward == SETTING_JUDGED_REWARD_VALUE;
    const double weight = scale_of(run->settings) / (double)call->sequences;
    sequence->weight = weight;
    sequence->value_weight = valued ? weight : 0.0;
    sequence->value_target = preferred == sequence->label ? 1.0 : 0.0;
    loss_judged(&(struct loss_judged){.weight = weight,
                                      .real = sequence->label == 1,
                                      .right = preferred == sequence->label,
                                      .probability = sequence->probability,
                                      .cross_entropy = sequence->cross_entropy,
                                      .value_error =
                                          valued ? sequence->value - sequence->value_target : 0.0},
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

int64_t discrimination_piece_count(const struct run *run) {
    return model_gradient_piece_count(run->lm.model) + 1;
}

struct gradient_piece discrimination_piece(const struct run *run, int64_t i) {
    return i < model_gradient_piece_count(run->lm.model)
               ? model_gradient_piece(run->lm.model, i)
               : discriminator_gradient_piece(run->lm.discriminator);
}
