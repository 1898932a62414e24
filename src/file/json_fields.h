/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON of others, in which what nobody asks for may be anything: numbers that no reader can hold,
 * NaN, broken UTF-8, lone surrogates.
 */
#ifndef FILE_JSON_FIELDS_H
#define FILE_JSON_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* Parses one object of which the fields `names` matter. Only they are parsed; another field is there
 * with the value true, where its name is UTF-8, so that names can be listed. A field that is asked for
 * and stands twice or is not JSON is a sentence with its name. A text that is no object is parsed as
 * json_parse does. The caller owns *out. */
enum status json_parse_fields(const char *text, size_t length, const char *path, long line,
                              const char *const *names, size_t count, json_t **out) MUST_USE;

/* Reads a file as json_read_file does; a number that no reader can hold (NaN, Infinity, an integer
 * beyond 64 bits, as in published tokenizer_config.json) counts as null. */
enum status json_read_tolerant(const char *path, int64_t limit_bytes, json_t **out) MUST_USE;

#endif
