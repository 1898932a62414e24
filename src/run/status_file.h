/* SPDX-License-Identifier: Apache-2.0
 *
 * status.json: how a run stands, for people and for job scripts, which launchers may tell another
 * exit status.
 */
#ifndef RUN_STATUS_FILE_H
#define RUN_STATUS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct run_state {
    const char *name; /* "running", "finished", "stopped", "failed" */
    bool ended;
    enum status status; /* once it has ended */
    const char *next;   /* what the script does now */
    int64_t step, steps, checkpoint_step;
};

/* Replaces the file at `path`; after a failure it holds the kept sentence as well. */
enum status status_file_write(const char *path, const struct run_state *state) MUST_USE;

#endif
