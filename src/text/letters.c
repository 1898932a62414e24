/* SPDX-License-Identifier: Apache-2.0 */
#include "text/letters.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/utf8.h"

static bool is_visible(int byte) {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
}

/* Bytes 00–20, 7F–A0 and AD are the 68 that take U+0100 to U+0143. */
static int32_t letter_of(int byte) {
    if (is_visible(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100 + byte;
    return byte == 0xad ? 0x143 : 0x121 + (byte - 0x7f);
}

static int byte_of(int32_t letter) {
    if (letter < 0x100)
        return letter >= 0 && is_visible(letter) ? letter : -1;
    if (letter <= 0x120)
        return letter - 0x100;
    if (letter <= 0x142)
        return letter - 0x121 + 0x7f;
    return letter == 0x143 ? 0xad : -1;
}

enum status letters_from_bytes(const char *bytes, size_t length, struct strbuf *out) {
    for (size_t i = 0; i < length; i++)
        TRY(utf8_append(letter_of((unsigned char)bytes[i]), out));
    return STATUS_OK;
}

enum status letters_to_bytes(const char *letters, size_t length, struct strbuf *out) {
    const size_t before = out->length;
    for (size_t at = 0; at < length;) {
        int32_t character;
        at += utf8_step(letters + at, length - at, &character);
        const int byte = byte_of(character);
        if (byte < 0) {
            out->length = before;
            return strbuf_append(out, letters, length);
        }
        const char one = (char)byte;
        TRY(strbuf_append(out, &one, 1));
    }
    return STATUS_OK;
}
