/* SPDX-License-Identifier: Apache-2.0
 *
 * Signs of life of all ranks, so that nobody waits for ever for one that is gone, and the one is
 * named. Each rank keeps a line in the file "heartbeat" of the run directory:
 *
 *     host, process; how often it has written; step, tile, phase; what it waits in
 *
 * written when the phase or the tile changes and about once a second besides, from places that the
 * computation passes and while it waits for others. A rank that waits looks at the lines of the
 * others. One that has written nothing for the deadline hangs; one whose process is gone has died,
 * which is seen at once where it ran on the same machine. Only changes of a line count, by the clock
 * of who looks. A guard ends a process whose own computation gives no sign of life, where no other
 * rank can see it or none is left.
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

/* Collective; rank 0 makes the file. deadline_s 0: ranks are never late, only dead. The caller closes
 * it; `remove`: the file goes with it, for nobody needs to look at it. */
enum status heartbeat_open(struct heartbeat **heartbeat, const char *path, struct comm *comm,
                           double deadline_s) MUST_USE;
void heartbeat_close(struct heartbeat **heartbeat, bool remove);

/* From now on this rank is in `phase` (kept by address) of a step, in no tile. */
void heartbeat_phase(struct heartbeat *heartbeat, const char *phase, int64_t step);
void heartbeat_tile(struct heartbeat *heartbeat, int64_t tile);

/* The computation goes on. Often called. */
void heartbeat_beat(struct heartbeat *heartbeat);

/* What a rank does that waits for others (comm_on_wait): STATUS_COMM names all that are late. */
enum status heartbeat_wait(struct heartbeat *heartbeat, const char *what, double waited_s) MUST_USE;

#endif
