/* SPDX-License-Identifier: Apache-2.0
 *
 * Which rows of a JSON-lines file to take: the `where` of data.train.
 *
 *     level >= 3 && (type == "Algebra" || !easy)
 *
 * Operands are fields of the row (letters, digits and _), numbers, texts in double or single quotes
 * (\" \' \\ stand for the character) and true, false. Comparisons: == != < <= > >=, of numbers with
 * numbers, texts with texts (by code point) and, == and != alone, true or false. A comparison, or a
 * field that is true or false, may be joined by ! && || and parentheses; && binds closer than ||,
 * and what does not decide is not looked at.
 */
#ifndef DATA_FILTER_H
#define DATA_FILTER_H

#include <stdbool.h>

#include <jansson.h>

#include "base/status.h"

struct filter;

/* Compiles the text; an empty one takes every row. A mistake is a STATUS_INPUT sentence with its
 * position. The caller destroys *filter. */
enum status filter_create(struct filter **filter, const char *text) MUST_USE;
void filter_destroy(struct filter **filter);

/* Whether the row (a JSON object) is taken. A missing field, and a comparison of unlike things, is
 * a STATUS_INPUT sentence; path and line (1-based) name its place. */
enum status filter_match(const struct filter *filter, const json_t *row, const char *path,
                         long line, bool *taken) MUST_USE;

#endif
