/* SPDX-License-Identifier: Apache-2.0
 *
 * Monotonic time in seconds.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Seconds since some fixed moment of this machine. */
double clock_now_s(void);

/* Seconds since the process first asked for the time. */
double clock_elapsed_s(void);

/* Date and time in UTC as "2026-05-07T12:00:00Z"; `out` holds at least 24 bytes; returns `out`. */
const char *clock_utc(char *out);

#endif
