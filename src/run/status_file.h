/* SPDX-License-Identifier: Apache-2.0
 *
 * status.json: how a run stands, for people and for job scripts, which launchers may tell another
 * exit status. A run that was killed says "running" for ever; host, pid and time tell.
 */
#ifndef RUN_STATUS_FILE_H
#define RUN_STATUS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "run/lock.h"

struct run_state {
    const char *name; /* "running", "finished", "stopped", "failed" */
    bool ended;
    enum status status; /* once it has ended */
    const char *next;   /* what a script does now: "wait", "done", or status_file_next */
    const char *advice; /* for people: how to go on where the run does not; or NULL */
    const char *id;     /* of the run */
    int64_t attempt;    /* starts of the program on it, from 1 */
    int64_t step, steps, checkpoint_step;
    const struct lock_holder *holder;
};

/* A run that is at work writes its file at least this often, unless one operation takes longer; one
 * that has been silent for LOCK_STALE_S is dead. */
enum { STATUS_FILE_BEAT_S = 20 };

/* What a script does after a run that ended before its last step: "continue" by submitting the same
 * job again, or "correct" what the sentence says. */
const char *status_file_next(enum status status);

/* Of the file of an earlier attempt: the run's name, and which attempt it was. */
enum status status_file_read(const char *path, char *id, size_t size, int64_t *attempt) MUST_USE;

/* Replaces the file at `path`; after a failure it holds the kept sentence as well. The first failure
 * of an attempt is the one that counts: a file that tells it stays, until the next attempt writes.
 * So a process that others took for dead, and that comes back, does not call the run alive. */
enum status status_file_write(const char *path, const struct run_state *state) MUST_USE;

/* The same for a process that does not know how the run stands: says in the file that is there that
 * the run failed, with the kept sentence. */
enum status status_file_fail(const char *path, enum status status) MUST_USE;

#endif
