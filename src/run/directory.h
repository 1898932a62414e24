/* SPDX-License-Identifier: Apache-2.0
 *
 * run.directory: whose it is, and what a new run may remove there. Rank 0 calls.
 *
 *     settings.cfg log.txt status.json metrics.jsonl diagnostics.h5   rollouts/ checkpoints/
 *     model/ or adapter/   when it has finished
 *     run.lock heartbeat   while a run is at work (run/lock.h, run/heartbeat.h)
 *
 * Nothing is removed that no run has written. Names are compared one by one in the opened
 * directory; links are never followed out of it. A run.directory is known by its status.json, its
 * model or adapter by a note in it that names the same run.
 */
#ifndef RUN_DIRECTORY_H
#define RUN_DIRECTORY_H

#include <stdbool.h>

#include "base/status.h"
#include "run/lock.h"

enum { DIRECTORY_PATH_BYTES = 4096 };

#define DIRECTORY_LOCK        "run.lock"
#define DIRECTORY_RESULT_NOTE "gradus_run.json" /* in model/: {"run": …}, as in status.json */

/* What a run starts from; adapter may be NULL. */
struct directory_starts {
    const char *model, *adapter;
};

/* "root/name"; too long a one is a sentence. */
enum status directory_path(const char *root, char out[DIRECTORY_PATH_BYTES],
                           const char *name) MUST_USE;

/* Makes the directory and those above it, as far as they are not there. */
enum status directory_make(const char *path) MUST_USE;

/* Whether a run may begin or go on in the directory, which need not exist: refuses one in which a
 * run is at work, one in which files of others stand where the run's would go, and one whose model/
 * or adapter/ is what the run starts from. *found: it holds a run. Changes nothing. */
enum status directory_check(const char *root, const struct directory_starts *starts,
                            bool *found) MUST_USE;

/* The same under the lock, which the caller releases; makes the directory and its folders, puts
 * right what a killed run left of model/ or adapter/, and with `fresh` removes the files of the
 * run that was found. */
enum status directory_claim(struct lock **lock, const char *root,
                            const struct directory_starts *starts, bool fresh,
                            bool *found) MUST_USE;

/* Removes the run in the directory and, where nothing else is in it, the directory. Refuses what
 * directory_check does. */
enum status directory_discard(const char *root) MUST_USE;

#endif
