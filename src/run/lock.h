/* SPDX-License-Identifier: Apache-2.0
 *
 * One run at a time in a directory, over all nodes that see it. Two things hold it: a lock of the
 * operating system on the file, which ends with its process, and what the file says of its holder
 * (host, process, job, time of the last beat), for file systems whose locks end at the node or are
 * not there.
 *
 * A lock that a dead run left is taken over: at once where the system can tell that its process is
 * gone, or where the same batch job was started again; otherwise when it has not been beaten for
 * LOCK_STALE_S.
 */
#ifndef RUN_LOCK_H
#define RUN_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { LOCK_STALE_S = 600 };

struct lock;

/* Who holds a lock. */
struct lock_holder {
    char host[128], job[64]; /* job: "SLURM job 123, step 0"; "" outside of a batch system */
    int64_t pid, process_start;
    char machine[64], pids[64]; /* one start of one machine; one table of processes on it */
    int64_t restarts;           /* of the job, as the batch system counts them */
    int64_t beat_s;             /* seconds since 1970 */
};

/* Whether lock_take would get it; a file that is not there is free. Changes nothing. */
enum status lock_check(const char *path) MUST_USE;

/* Takes the lock file `path`. STATUS_INPUT names who holds it; STATUS_IO where that one may be dead
 * but nobody can tell yet. The caller releases it. */
enum status lock_take(struct lock **lock, const char *path) MUST_USE;

/* This process, as the lock's file names it. */
const struct lock_holder *lock_owner(const struct lock *lock);

/* Says that the holder lives; a full disk is no reason to end it. */
void lock_beat(struct lock *lock);

/* Removes the file. NULL is allowed. */
void lock_release(struct lock **lock);

#endif
