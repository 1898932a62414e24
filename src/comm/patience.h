/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a rank waits for others: the one place where communicators and reducers look at deadlines.
 * Who waits looks now and then; nothing here blocks.
 */
#ifndef COMM_PATIENCE_H
#define COMM_PATIENCE_H

#include "base/status.h"
#include "comm/comm.h"

/* A wait that has begun. */
struct patience {
    double start_s, called_s;
    double deadline_s; /* the caller's own; 0: none */
    const char *what;  /* what it waits in, for people */
};

void patience_begin(struct patience *patience, double deadline_s, const char *what);

/* Whether to go on waiting. The caller's own deadline first; then, once a second, whoever watches
 * (comm_on_wait); else the deadline of the communicator. STATUS_COMM gives up. */
enum status patience_look(struct patience *patience, const struct comm *comm) MUST_USE;

#endif
