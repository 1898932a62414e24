/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run tells while it goes. One shape of line:
 *
 *     [rank] elapsed_s module: text
 *
 * Rank 0 speaks for all; the other ranks are silent unless they warn. Lines go to standard error
 * and, once log_open was called, to the run's log.txt as well (opened for appending, one write per
 * line), which begins with the lines before. A standard error that nobody reads ends nothing.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include "base/status.h"

/* Which rank this process is; before the call it is 0. */
void log_set_rank(int rank);

/* Info lines go to standard error only when wanted (not beside a live progress line); warnings
 * always do. */
void log_set_quiet(bool quiet);

/* Also append every line to the file at `path`, and those there were so far. */
enum status log_open(const char *path) MUST_USE;
void log_close(void);

void log_info(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line for the file alone: what is said on standard error in another form. */
void log_file(const char *module, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One live line on standard error, rewritten in place; ends when any other line is printed or
 * log_live_end is called. */
void log_live(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_live_end(void);

#endif
