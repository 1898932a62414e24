/* SPDX-License-Identifier: Apache-2.0
 *
 * Signs of life of all ranks, so that nobody waits for ever for one that is gone, and the one is
 * named. Each rank keeps a line in the file "heartbeat" of the run directory:
 *
 *     host, process; how often it has written; step, tile, phase; what it waits in; seconds in it
 *
 * written when the phase or the tile changes and about once a second besides, from places that the
 * computation passes and while it waits for others. A rank that waits looks at the lines of the
 * others. One that has written nothing for the deadline hangs; one whose process is gone has died,
 * which is seen at once where it ran on the same machine. Only changes of a line count, by the clock
 * of who looks. A guard ends a process whose own computation gives no sign of life, where no other
 * rank can see it or none is left.
 *
 * Signs of life are not progress: a loop without an end gives them too. So each phase of a step has
 * a deadline of its own, and a rank that is still in it then says so itself, and ends the job. It is
 * the user's, or 20 times the longest that the phase took before, and a day as long as it was never
 * gone through.
 *
 * Nothing here calls MPI after heartbeat_open, or HDF5 ever. A NULL heartbeat is none.
 */
#ifndef RUN_HEARTBEAT_H
#define RUN_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

struct heartbeat;

struct heartbeat_deadlines {
    /* Between two signs of life; 0: ranks are never late, only dead. */
    double sign_s;
    /* In one phase of a step; 0: by what it took before, at least sign_s, and none where that is 0. */
    double phase_s;
};

/* Collective; rank 0 makes the file. The caller closes it; `remove`: the file goes with it, for
 * nobody needs to look at it. */
enum status heartbeat_open(struct heartbeat **heartbeat, const char *path, struct comm *comm,
                           const struct heartbeat_deadlines *deadlines) MUST_USE;
void heartbeat_close(struct heartbeat **heartbeat, bool remove);

/* From now on this rank is in `phase` of a step, in no tile. */
void heartbeat_phase(struct heartbeat *heartbeat, const char *phase, int64_t step);

/* A phase that this rank did not wait for, or not whole, took so long. */
void heartbeat_took(struct heartbeat *heartbeat, const char *phase, double seconds);
void heartbeat_tile(struct heartbeat *heartbeat, int64_t tile);

/* The computation goes on. Often called. STATUS_COMM names this rank, and all others that are still
 * in a phase beyond its deadline. */
enum status heartbeat_beat(struct heartbeat *heartbeat) MUST_USE;

/* What a rank does that waits for others (comm_on_wait): STATUS_COMM names all that are late. */
enum status heartbeat_wait(struct heartbeat *heartbeat, const char *what, double waited_s) MUST_USE;

#endif
