/* SPDX-License-Identifier: Apache-2.0
 *
 * An evaluation by itself: a model, an adapter or a checkpoint on the sets of eval.sets, its results in
 * run.directory/eval.h5. While it is at work:
 *
 *     eval.samples/     the samples so far (eval/journal.h); goes when eval.h5 is there
 *     eval.lock         one evaluation at a time (run/lock.h)
 *     eval.heartbeat    signs of life of the ranks (run/heartbeat.h)
 *
 * One that was stopped or killed goes on where it was, on any number of ranks, to the same bits; one
 * that has ended is told again without computing.
 */
#ifndef RUN_EVALUATION_JOB_H
#define RUN_EVALUATION_JOB_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "comm/comm.h"
#include "config/settings.h"

struct evaluation_job {
    bool fresh;             /* what an earlier evaluation has left in the directory is removed */
    const char *checkpoint; /* whose parameters are evaluated; NULL: those of model.path */
};

/* Appends the figures as a table on rank 0. STATUS_STOPPED when it was asked to stop. Collective. */
enum status evaluation_job_run(const struct settings *settings, struct comm *comm,
                               const struct evaluation_job *job, struct strbuf *table) MUST_USE;

#endif
