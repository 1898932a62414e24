/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of one microbatch of the adversarial game's discriminator: of what it reads
 * (method/judged.h) the mean cross-entropy, and the squared error of its value head where there is
 * one, with the weight d_scale. It goes through the model that writes, into the gradient of the
 * generator's loss. What it wrote before it told (method/reasoning.h) has a loss of its own, with the
 * same weight,
 *
 *     L = − aggregate( (success − value) log π )
 *
 * over the drawn tokens of all sequences, where success and value are of the verdicts before the step
 * in every pass: a gradient of log-probabilities, for which its sequences go through the model again.
 */
#ifndef RUN_DISCRIMINATION_H
#define RUN_DISCRIMINATION_H

#include <stdint.h>

#include "base/status.h"
#include "model/discriminator.h"
#include "model/model.h"
#include "objective/loss.h"

struct run;

struct discrimination_call {
    bool first;               /* the first pass of this step over the mini-batch */
    struct loss_scope scope;  /* sequences of the mini-batch, and tokens of their reasoning */
    struct loss_sums *groups; /* those of group g at g − begin are added to */
    int64_t begin;
};

/* What a microbatch is computed in; grows with the largest. */
struct discrimination_buffers {
    float *states, *d_states;                 /* (targets, C) */
    float *logprob, *entropy, *d_logprob;     /* (targets), of reasoning */
    struct discriminator_sequence *sequences; /* of the microbatch */
};
void discrimination_release(struct discrimination_buffers *buffers);

/* Of the microbatch in the run's buffers: the pieces of the model's backward, then the head's. */
enum status discrimination_gradient(struct run *run, const struct discrimination_call *call,
                                    const struct gradient_sink *sink) MUST_USE;

/* The same of its reasoning: the pieces of the model's backward alone. The log-probabilities and
 * entropies of the first pass are kept. */
enum status reasoning_gradient(struct run *run, const struct discrimination_call *call,
                               const struct gradient_sink *sink) MUST_USE;

/* The pieces that the first of them gives, in order, for who takes part in their sums without a microbatch. */
int64_t discrimination_piece_count(const struct run *run);
struct gradient_piece discrimination_piece(const struct run *run, int64_t i);

#endif
