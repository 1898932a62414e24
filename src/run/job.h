/* SPDX-License-Identifier: Apache-2.0
 *
 * One run from its settings to its end: what `gradus train` does, and `gradus verify` several times.
 */
#ifndef RUN_JOB_H
#define RUN_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "config/settings.h"

struct job {
    bool fresh;         /* as in struct restart (run/restart.h) */
    const char *picked; /* likewise */
    int64_t stop_after; /* the run ends behind this step as if it had been asked to; 0: never */
};

/* Opens, trains and closes; STATUS_STOPPED when it ended before its last step. Collective. */
enum status job_run(const struct settings *settings, struct comm *comm,
                    const struct job *job) MUST_USE;

#endif
