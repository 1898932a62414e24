/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run keeps beyond its end: when a checkpoint is due (run/saving.h makes it), and the model.
 * Rank 0 calls.
 */
#ifndef RUN_SAVE_H
#define RUN_SAVE_H

#include <stdbool.h>

#include "base/status.h"
#include "run/run.h"

/* Whether a checkpoint is due after the current step; `last`: no step follows. One is due as well where
 * checkpoint.best names a figure of an evaluation and this one is the best. */
bool run_checkpoint_is_due(const struct run *run, const struct metrics *metrics, bool last);

/* checkpoint.best names a metric or a figure of an evaluation. */
enum status run_checkpoint_check_best(const struct run *run) MUST_USE;

/* The step of a checkpoint that is about to be made, or is there, becomes the best one, if it is.
 * metrics NULL: as far as evaluations say. */
void run_checkpoint_rate(struct run *run, const struct metrics *metrics);

/* Writes run.directory/model, in place of what stands there. */
enum status run_model_save(struct run *run) MUST_USE;

#endif
