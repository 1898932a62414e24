/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 beyond the steps of base/utf8.h: repair, kinds of characters, normal form C (through
 * utf8proc).
 */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "base/utf8.h"

/* Appends the text with every maximal broken part replaced by U+FFFD. */
enum status utf8_repair(const char *text, size_t length, struct strbuf *out) MUST_USE;

/* Appends one character. */
enum status utf8_append(int32_t character, struct strbuf *out) MUST_USE;

/* Unicode's White_Space. */
bool utf8_is_space(int32_t character);

/* What a regular expression calls \w: letters, marks, decimal digits, letter-like numbers,
 * connector punctuation, joiners. */
bool utf8_is_word(int32_t character);

/* True when valid text is surely in normal form C already (all below U+0300). */
bool utf8_is_plain(const char *text, size_t length);

/* Appends valid text in normal form C. */
enum status utf8_compose(const char *text, size_t length, struct strbuf *out) MUST_USE;

#endif
