/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of a run's checkpoints: which of them stay.
 */
#ifndef RUN_CHECKPOINT_FOLDER_H
#define RUN_CHECKPOINT_FOLDER_H

#include <stdint.h>

#include "base/status.h"

/* Removes the oldest step-*.h5 of a directory so that at most `keep` (≥ 1) stay. */
enum status checkpoint_prune(const char *directory, int64_t keep) MUST_USE;

#endif
