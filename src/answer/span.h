/* SPDX-License-Identifier: Apache-2.0
 *
 * A stretch of UTF-8 text that belongs to someone else, and what is looked for in it. Texts may
 * hold zero bytes and broken UTF-8. Every function takes time linear in the length.
 */
#ifndef ANSWER_SPAN_H
#define ANSWER_SPAN_H

#include <stdbool.h>
#include <stddef.h>

struct span {
    const char *text;
    size_t length;
};

/* The tag must be short: searching costs length × its length at worst. */
bool span_begins(struct span span, const char *tag);
bool span_ends(struct span span, const char *tag);

/* Byte at which the tag first stands at or behind `from`, or SIZE_MAX. */
size_t span_find(struct span span, const char *tag, size_t from);

/* How often the tag stands in the span. */
size_t span_count(struct span span, const char *tag);

/* Without the white space at its begin, or at both ends: the characters that Python's
 * str.isspace() names. */
struct span span_trim_begin(struct span span);
struct span span_trim(struct span span);

bool span_equal(struct span a, struct span b);

#endif
