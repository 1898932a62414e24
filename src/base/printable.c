/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

#define CUT "…"

/* What is being written. Only `put` writes into it, and keeps room for the sign of a cut. */
struct line {
    char *out;
    size_t used, size; /* bytes */
    size_t left;       /* characters that may still come */
};

/* One piece, whole; false when it does not fit. */
static bool put(struct line *line, const char *piece, size_t bytes, size_t characters) {
    if (bytes > line->size - sizeof CUT - line->used || characters > line->left)
        return false;
    memcpy(line->out + line->used, piece, bytes);
    line->used += bytes;
    line->left -= characters;
    return true;
}

static bool put_escaped(struct line *line, const char *bytes, size_t count) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        const char escape[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 0xf]};
        if (!put(line, escape, sizeof escape, sizeof escape))
            return false;
    }
    return true;
}

/* C0, delete, C1, the separators of lines and paragraphs, embeddings, overrides and isolates of the
 * direction of writing. */
static bool is_control(int32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

size_t printable(char *out, size_t size, size_t most, const char *marked, const char *text,
                 size_t length) {
    struct line line = {.out = out, .size = size, .left = most};
    bool fits = true;
    while (length > 0 && fits) {
        int32_t character;
        const size_t step = utf8_step(text, length, &character);
        if (character < 0 || is_control(character))
            fits = put_escaped(&line, text, step);
        else if (character < 0x80 && strchr(marked, character) != NULL)
            fits = put(&line, (const char[2]){'\\', *text}, 2, 2);
        else
            fits = put(&line, text, step, 1);
        text += step;
        length -= step;
    }
    memcpy(out + line.used, CUT, fits ? 0 : sizeof CUT);
    line.used += fits ? 0 : sizeof CUT - 1;
    out[line.used] = '\0';
    return line.used;
}
