/* SPDX-License-Identifier: Apache-2.0
 *
 * Which rows of a JSON-lines file to take: the `where` of data.train.
 *
 *     level >= 3 && (type == "Algebra" || !easy)
 *
 * Operands are fields of the row (letters, digits and _), numbers, texts in double or single quotes
 * (\" \' \\ stand for the character), true, false, null, and `tokens`, the length of the row as the
 * model reads it (for sft with its answer; a field of this name cannot be asked for). Comparisons:
 * == != < <= > >=, of numbers with numbers, texts with texts (by code point) and, == and != alone,
 * true or false, and anything with null. has(field) says whether the row has a field. A comparison,
 * has(…), or a field that is true or false, may be joined by ! && || and parentheses; && binds closer
 * than ||, and what does not decide is not looked at.
 */
#ifndef DATA_FILTER_H
#define DATA_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

struct filter;

/* Compiles the text; an empty one takes every row. A mistake is a STATUS_INPUT sentence with its
 * position. The caller destroys *filter. */
enum status filter_create(struct filter **filter, const char *text) MUST_USE;
void filter_destroy(struct filter **filter);

/* The fields that the filter may look at; they live as long as it. */
const char *const *filter_fields(const struct filter *filter, size_t *count);

/* A row and its place, for sentences. */
struct filter_row {
    const json_t *object;
    const char *path;
    long line; /* 1-based */
    /* Counts the tokens of the row, asked at most where `tokens` decides; NULL: cannot be told. */
    enum status (*count_tokens)(void *context, int64_t *tokens);
    void *context;
};

/* Whether the row is taken. A missing field, and a comparison of unlike things, is a STATUS_INPUT
 * sentence. */
enum status filter_match(const struct filter *filter, const struct filter_row *row,
                         bool *taken) MUST_USE;

#endif
