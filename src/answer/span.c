/* SPDX-License-Identifier: Apache-2.0 */
#include "answer/span.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

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

static struct span span_of(struct utf8_span span) {
    return (struct span){span.text, span.length};
}

struct span span_trim_begin(struct span span) {
    return span_of(utf8_trim_begin((struct utf8_span){span.text, span.length}));
}

struct span span_trim(struct span span) {
    return span_of(utf8_trim((struct utf8_span){span.text, span.length}));
}

bool span_equal(struct span a, struct span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0);
}
