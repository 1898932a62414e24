/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream read line by line. A line ends at LF alone; the last one may lack it. Any byte may stand
 * in a line, NUL too. A byte order mark before the first line is skipped.
 */
#ifndef FILE_LINES_H
#define FILE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* A longer line is refused with a sentence. */
#define LINES_LONGEST ((size_t)256 << 20)

/* Calls `visit` for every line (without its LF) with its 0-based number; stops at the first
 * failure. `path` only names the stream in sentences. */
enum status lines_read(FILE *stream, const char *path,
                       enum status (*visit)(void *context, int64_t row, const char *text,
                                            size_t length),
                       void *context) MUST_USE;

/* The same for the file at `path`; STATUS_INPUT where there is none, or what stands there holds no
 * lines of text (base/file_kind.h). */
enum status lines_read_file(const char *path,
                            enum status (*visit)(void *context, int64_t row, const char *text,
                                                 size_t length),
                            void *context) MUST_USE;

/* Adds a line, which ends with its LF, to the file at `path` by one write at its end; the file is made
 * where there is none, and a line that a killed process left unfinished is ended first. */
enum status lines_append(const char *path, const char *line, size_t length) MUST_USE;

/* Whether a line holds nothing but ASCII white space. */
bool lines_is_blank(const char *text, size_t length);

#endif
