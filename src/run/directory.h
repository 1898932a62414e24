/* SPDX-License-Identifier: Apache-2.0
 *
 * run.directory: whose it is, and what a new run may remove there. Rank 0 calls.
 */
#ifndef RUN_DIRECTORY_H
#define RUN_DIRECTORY_H

#include <stdbool.h>

#include "base/status.h"

enum { DIRECTORY_PATH_BYTES = 4096 };

/* "root/name"; too long a one is a sentence. */
enum status directory_path(const char *root, char out[DIRECTORY_PATH_BYTES],
                           const char *name) MUST_USE;

/* Makes the directory and its folders, and refuses one that holds a run, unless `fresh` empties it
 * of a run's files; also one whose model/ is the `model_path` that the run starts from. */
enum status directory_claim(const char *root, const char *model_path, bool fresh) MUST_USE;

#endif
