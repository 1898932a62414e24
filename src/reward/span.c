/* SPDX-License-Identifier: Apache-2.0 */
#include "reward/span.h"

#include <stdint.h>
#include <string.h>

static bool stands_at(struct span span, const char *tag, size_t length, size_t at) {
    return at <= span.length && length <= span.length - at &&
           memcmp(span.text + at, tag, length) == 0;
}

bool span_begins(struct span span, const char *tag) {
    return stands_at(span, tag, strlen(tag), 0);
}

bool span_ends(struct span span, const char *tag) {
    const size_t length = strlen(tag);
    return length <= span.length && stands_at(span, tag, length, span.length - length);
}

size_t span_find(struct span span, const char *tag, size_t from) {
    const size_t length = strlen(tag);
    while (from < span.length) {
        const char *first = memchr(span.text + from, tag[0], span.length - from);
        if (first == NULL)
            break;
        from = (size_t)(first - span.text);
        if (stands_at(span, tag, length, from))
            return from;
        from++;
    }
    return SIZE_MAX;
}

size_t span_count(struct span span, const char *tag) {
    size_t count = 0;
    for (size_t at = span_find(span, tag, 0); at != SIZE_MAX;
         at = span_find(span, tag, at + strlen(tag)))
        count++;
    return count;
}

/* White space beyond ASCII, in UTF-8: U+0085 U+00A0 U+1680 U+2000…200A U+2028 U+2029 U+202F U+205F
 * U+3000. */
static const char *const wide_spaces[] = {
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
    "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
    "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
    "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80",
};

static bool is_narrow_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
}

/* Bytes of the white-space character at the begin of the span, or at its end; 0 for none. */
static size_t space_length(struct span span, bool at_end) {
    if (span.length == 0)
        return 0;
    if (is_narrow_space(span.text[at_end ? span.length - 1 : 0]))
        return 1;
    for (size_t i = 0; i < sizeof wide_spaces / sizeof wide_spaces[0]; i++)
        if (at_end ? span_ends(span, wide_spaces[i]) : span_begins(span, wide_spaces[i]))
            return strlen(wide_spaces[i]);
    return 0;
}

struct span span_trim_begin(struct span span) {
    for (size_t n; (n = space_length(span, false)) > 0;) {
        span.text += n;
        span.length -= n;
    }
    return span;
}

struct span span_trim(struct span span) {
    span = span_trim_begin(span);
    for (size_t n; (n = space_length(span, true)) > 0;)
        span.length -= n;
    return span;
}

bool span_equal(struct span a, struct span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0);
}
