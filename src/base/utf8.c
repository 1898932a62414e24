/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

/* How many bytes follow a first byte, 0 for one that begins no character, and the range of the
 * second byte (Unicode, table 3-7). */
static size_t sequence_tail(unsigned char first, unsigned char *low, unsigned char *high) {
    *low = 0x80, *high = 0xbf;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    if (first == 0xe0)
        *low = 0xa0;
    else if (first == 0xed)
        *high = 0x9f;
    else if (first == 0xf0)
        *low = 0x90;
    else if (first == 0xf4)
        *high = 0x8f;
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

size_t utf8_step(const char *text, size_t length, int32_t *character) {
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char low, high;
    *character = bytes[0];
    if (bytes[0] < 0x80)
        return 1;
    const size_t tail = sequence_tail(bytes[0], &low, &high);
    int32_t value = bytes[0] & (tail == 1 ? 0x1f : tail == 2 ? 0x0f : 0x07);
    size_t used = 1;
    *character = -1;
    for (; used <= tail; used++, low = 0x80, high = 0xbf) {
        if (used == length || bytes[used] < low || bytes[used] > high)
            return used;
        value = value << 6 | (bytes[used] & 0x3f);
    }
    if (tail > 0)
        *character = value;
    return used;
}

size_t utf8_step_back(const char *text, size_t length, int32_t *character) {
    size_t back = 1;
    while (back < 4 && back < length && ((unsigned char)text[length - back] & 0xc0) == 0x80)
        back++;
    if (utf8_step(text + length - back, back, character) == back && *character >= 0)
        return back;
    *character = -1;
    return 1;
}

size_t utf8_valid_length(const char *text, size_t length) {
    size_t at = 0;
    while (at < length) {
        int32_t character;
        const size_t step = utf8_step(text + at, length - at, &character);
        if (character < 0)
            break;
        at += step;
    }
    return at;
}

bool utf8_is_valid(const char *text, size_t length) {
    return utf8_valid_length(text, length) == length;
}

enum status utf8_repair(const char *text, size_t length, struct strbuf *out) {
    while (length > 0) {
        const size_t valid = utf8_valid_length(text, length);
        TRY(strbuf_append(out, text, valid));
        text += valid;
        length -= valid;
        if (length > 0) {
            int32_t character;
            const size_t broken = utf8_step(text, length, &character);
            TRY(strbuf_append(out, "\xef\xbf\xbd", 3));
            text += broken;
            length -= broken;
        }
    }
    return STATUS_OK;
}

enum status utf8_append(int32_t character, struct strbuf *out) {
    char bytes[4];
    size_t length = 1;
    ASSERT(character >= 0 && character < 0x110000);
    if (character >= 0x80)
        length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, character >>= 6)
        bytes[i] = (char)(unsigned char)(0x80 | (character & 0x3f));
    bytes[0] = (char)(unsigned char)(leads[length] | character);
    return strbuf_append(out, bytes, length);
}

bool utf8_is_space(int32_t c) {
    return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

bool utf8_is_python_space(int32_t c) {
    return utf8_is_space(c) || (c >= 0x1c && c <= 0x1f);
}

struct utf8_span utf8_span(const char *text) {
    return (struct utf8_span){text, strlen(text)};
}

struct utf8_span utf8_trim_begin(struct utf8_span span) {
    while (span.length > 0) {
        int32_t character;
        const size_t step = utf8_step(span.text, span.length, &character);
        if (!utf8_is_python_space(character))
            break;
        span.text += step;
        span.length -= step;
    }
    return span;
}

struct utf8_span utf8_trim(struct utf8_span span) {
    span = utf8_trim_begin(span);
    while (span.length > 0) {
        int32_t character;
        const size_t step = utf8_step_back(span.text, span.length, &character);
        if (!utf8_is_python_space(character))
            break;
        span.length -= step;
    }
    return span;
}
