/* SPDX-License-Identifier: Apache-2.0
 *
 * What tokenizers ask of Unicode beyond UTF-8: word characters, and normal form C (through
 * utf8proc).
 */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

/* What a regular expression calls \w: letters, marks, decimal digits, letter-like numbers,
 * connector punctuation, joiners. */
bool unicode_is_word(int32_t character);

/* True when valid text is surely in normal form C already (all below U+0300). */
bool unicode_is_plain(const char *text, size_t length);

/* Appends valid text in normal form C. */
enum status unicode_compose(const char *text, size_t length, struct strbuf *out) MUST_USE;

#endif
