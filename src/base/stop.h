/* SPDX-License-Identifier: Apache-2.0
 *
 * "Stop soon": SIGTERM, SIGINT and SIGUSR1 ask a run to end at the next step border with a
 * checkpoint. A second SIGINT ends the process at once.
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

/* Installs the handlers. */
void stop_watch(void);

/* Whether one of the signals has come, and its name ("" when none). */
bool stop_requested(void);
const char *stop_reason(void);

#endif
