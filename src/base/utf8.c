/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

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
    size_t start = length - 1;
    while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    return utf8_step(text + start, length - start, character);
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
