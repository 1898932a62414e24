/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps over the characters and the broken parts of a text that may be UTF-8. What characters mean
 * (spaces, letters, normal forms) is in text/utf8.h.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at `text` (length ≥ 1), its code point in *character; for what
 * is not UTF-8, the bytes of the maximal broken part (Unicode, section 3.9, U+FFFD substitution)
 * and −1. */
size_t utf8_step(const char *text, size_t length, int32_t *character);

/* Bytes of the character that ends at the end of valid `text` (length ≥ 1). */
size_t utf8_step_back(const char *text, size_t length, int32_t *character);

/* Bytes up to the first broken part. */
size_t utf8_valid_length(const char *text, size_t length);

bool utf8_is_valid(const char *text, size_t length);

#endif
