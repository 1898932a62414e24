/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run keeps beyond its end: checkpoints, and the model. Rank 0 calls.
 */
#ifndef RUN_SAVE_H
#define RUN_SAVE_H

#include <stdbool.h>

#include "base/status.h"
#include "run/run.h"

/* Whether a checkpoint is due after the current step; `last`: no step follows. */
bool run_checkpoint_is_due(const struct run *run, bool last);

/* Writes checkpoints/step-N.h5 of the current step and removes those that need not stay. */
enum status run_checkpoint_save(struct run *run) MUST_USE;

/* Elements of a vector that go through host memory at a time. */
int64_t run_checkpoint_piece(const struct run *run);

/* Writes run.directory/model, in place of what stands there. */
enum status run_model_save(struct run *run) MUST_USE;

#endif
