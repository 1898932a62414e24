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

/* The bytes [begin, end) of it, and the byte at i: 0 behind the end. */
static inline struct span span_part(struct span span, size_t begin, size_t end) {
    return (struct span){span.text + begin, end - begin};
}
static inline char span_at(struct span span, size_t i) {
    return i < span.length ? span.text[i] : '\0';
}

/* Of ASCII. */
static inline bool byte_is_digit(char c) {
    return c >= '0' && c <= '9';
}
static inline bool byte_is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
static inline bool byte_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

#endif
