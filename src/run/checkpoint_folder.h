/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of a run's checkpoints: which of them stay.
 */
#ifndef RUN_CHECKPOINT_FOLDER_H
#define RUN_CHECKPOINT_FOLDER_H

#include <stdint.h>

#include "base/status.h"

/* Behind the name of a checkpoint that a restart found damaged and put aside. */
#define CHECKPOINT_DAMAGED ".gradus.damaged"

/* The steps of the step-*.h5 of a directory, newest first; none where there is no directory.
 * memory_release gives *steps back. */
enum status checkpoint_list(const char *directory, int64_t **steps, int64_t *count) MUST_USE;

/* Removes the oldest step-*.h5 of a directory so that at most `keep` (≥ 1) stay, and that of step
 * `best` where it is older (0: none). */
enum status checkpoint_prune(const char *directory, int64_t keep, int64_t best) MUST_USE;

#endif
