/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of one microbatch of opsd: student and teacher over the same answers.
 */
#ifndef RUN_TAUGHT_H
#define RUN_TAUGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/distill.h"
#include "model/model.h"
#include "objective/loss.h"

struct run;

struct taught_call {
    const struct loss_scope *scope;
    struct loss_sums *groups; /* those of group g at g − begin are added to */
    int64_t begin;
    bool first; /* the numbers per token are kept with the answers */
};

/* Of the microbatch in the run's buffers. */
enum status taught_gradient(struct run *run, const struct taught_call *call,
                            const struct gradient_sink *sink) MUST_USE;

/* Room in the models' workspace for so many positions and targets. */
enum status taught_reserve(struct run *run, int64_t T, int64_t teacher_T, int64_t R) MUST_USE;

/* Vocabulary entries of a token that the divergence is over. */
int64_t taught_width(const struct run *run);

/* What the microbatches need, of the run's buffers. */
void taught_release(struct distill_numbers *numbers);

#endif
