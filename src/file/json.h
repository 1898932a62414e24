/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON through jansson, with the rules that outside files need: one value and nothing after it, no
 * name twice in an object, bounded size and depth, sentences that name file and line.
 */
#ifndef FILE_JSON_H
#define FILE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* Reads the whole file at `path` (at most limit_bytes long) as one JSON value; a byte order mark is
 * skipped. The caller owns *out (json_decref). */
enum status json_read_file(const char *path, int64_t limit_bytes, json_t **out) MUST_USE;

/* Parses `length` bytes as one JSON value; `path` and `line` (0: none) only name the place in
 * sentences. */
enum status json_parse(const char *text, size_t length, const char *path, long line,
                       json_t **out) MUST_USE;

/* Fields of an object. A missing field or null gives `otherwise`; a field of another type is a
 * sentence that names it. */
enum status json_get_integer(const json_t *object, const char *path, const char *name,
                             int64_t otherwise, int64_t *out) MUST_USE;
enum status json_get_real(const json_t *object, const char *path, const char *name,
                          double otherwise, double *out) MUST_USE;
enum status json_get_bool(const json_t *object, const char *path, const char *name, bool otherwise,
                          bool *out) MUST_USE;
/* *out borrows from the object; `otherwise` may be NULL. A text with a
 * zero character is refused. */
enum status json_get_string(const json_t *object, const char *path, const char *name,
                            const char *otherwise, const char **out) MUST_USE;

/* The value as text, indented, its real numbers with as few digits as give the same number; NULL when
 * memory ran out. The caller frees it. */
char *json_text(const json_t *value) MUST_USE;

/* Calls `visit` for every line of a JSON-lines file, in order, with its 0-based number; blank lines
 * are passed over but counted. Stops at the first failure. A line that is not JSON is a sentence
 * with its 1-based line number. */
enum status json_lines_read(const char *path,
                            enum status (*visit)(void *context, int64_t row, json_t *value),
                            void *context) MUST_USE;

#endif
