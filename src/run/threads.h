/* SPDX-License-Identifier: Apache-2.0
 *
 * How many threads a rank takes.
 */
#ifndef RUN_THREADS_H
#define RUN_THREADS_H

#include "base/status.h"
#include "comm/comm.h"

/* wanted > 0 is taken as it is. 0: the cores that this process may use, divided by the ranks on
 * this host that may use the very same ones (a launcher that binds ranks to cores of their own
 * leaves each its own), at least 1. Collective. */
enum status threads_choose(struct comm *comm, int wanted, int *threads) MUST_USE;

#endif
