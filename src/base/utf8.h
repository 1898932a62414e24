/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8: steps over characters and broken parts, repair, white space.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

/* Bytes of the character that begins at `text` (length ≥ 1), its code point in *character; for what
 * is not UTF-8, the bytes of the maximal broken part (Unicode, section 3.9, U+FFFD substitution)
 * and −1. */
size_t utf8_step(const char *text, size_t length, int32_t *character);

/* Bytes of the character that ends at the end of `text` (length ≥ 1), its code point in *character;
 * where no character ends there, 1 and −1. */
size_t utf8_step_back(const char *text, size_t length, int32_t *character);

/* Bytes up to the first broken part. */
size_t utf8_valid_length(const char *text, size_t length);

bool utf8_is_valid(const char *text, size_t length);

/* Appends the text with every maximal broken part replaced by U+FFFD. */
enum status utf8_repair(const char *text, size_t length, struct strbuf *out) MUST_USE;

/* Appends one character. */
enum status utf8_append(int32_t character, struct strbuf *out) MUST_USE;

/* Unicode's White_Space. */
bool utf8_is_space(int32_t character);

/* What Python's str.isspace() names: White_Space and U+001C to U+001F. */
bool utf8_is_python_space(int32_t character);

/* A stretch of text that belongs to someone else, without the white space (Python's) at its begin,
 * or at both ends. Broken parts are no white space. */
struct utf8_span {
    const char *text;
    size_t length;
};
struct utf8_span utf8_span(const char *text); /* the whole of a terminated text */
struct utf8_span utf8_trim_begin(struct utf8_span span);
struct utf8_span utf8_trim(struct utf8_span span);

#endif
