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

/* Whether a checkpoint is due after the current step; `last`: no step follows. */
bool run_checkpoint_is_due(const struct run *run, bool last);

/* checkpoint.best names a metric. */
enum status run_checkpoint_check_best(const struct settings *settings) MUST_USE;

/* The step of a checkpoint that is about to be made becomes the best one, if it is. */
void run_checkpoint_rate(struct run *run, const struct metrics *metrics);

/* Writes run.directory/model, in place of what stands there. */
enum status run_model_save(struct run *run) MUST_USE;

#endif
