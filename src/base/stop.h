/* SPDX-License-Identifier: Apache-2.0
 *
 * "Stop soon": SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU ask a run to end with a
 * checkpoint. A second SIGINT ends the process at once. A broken pipe ends nothing.
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

/* Installs the handlers; SIGINT and SIGHUP stay ignored where they were (nohup, background jobs). */
void stop_watch(void);

/* Whether one of the signals has come, and the name of the first ("" when none). */
bool stop_requested(void);
const char *stop_reason(void);

#endif
