/* SPDX-License-Identifier: Apache-2.0
 *
 * "Stop soon": SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU ask a run to end with a
 * checkpoint; asked again after a second or more, it is urgent. A second SIGINT ends the process at
 * once. A broken pipe ends nothing.
 *
 * Open MPI's mpirun does not hand SIGTERM, SIGINT and SIGHUP on but kills its processes: SIGCONT,
 * after odls_base_sigkill_timeout seconds (default 1) SIGTERM, after as many more SIGKILL (versions
 * 4 and 5). So SIGCONT from that parent asks to stop as well: half of the time would be lost.
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

enum { STOP_TEXT_BYTES = 512 };

/* Installs the handlers; SIGINT and SIGHUP stay ignored where they were (nohup, background jobs). */
void stop_watch(void);

/* Whether one of the signals has come, and the name of the first ("" when none). */
bool stop_requested(void);
const char *stop_reason(void);

/* Whether it was asked again: at the end of a job's time, a process that does not end is killed. */
bool stop_is_urgent(void);

/* What a user types to stop this process and its job in order: "kill -USR1 123 on node7"; returns
 * `out`. */
const char *stop_command(char out[STOP_TEXT_BYTES]);

#endif
