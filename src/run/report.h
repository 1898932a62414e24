/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log tells of a run. Every rank may call; rank 0 speaks.
 */
#ifndef RUN_REPORT_H
#define RUN_REPORT_H

#include "base/status.h"
#include "run/run.h"

/* Its data, its shape, and the settings that have no effect. */
enum status report_start(const struct run *run) MUST_USE;

/* One live line on a terminal, one line a step in a batch log; every output.show_every steps also an
 * answer. step_s: mean time of a step so far, for the time that is left. */
void report_step(const struct run *run, const struct metrics *metrics, double step_s);

#endif
