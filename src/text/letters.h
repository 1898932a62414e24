/* SPDX-License-Identifier: Apache-2.0
 *
 * GPT-2's alphabet of bytes: each byte is written as one visible character, the byte's own code
 * point where that is visible in Latin-1, else one from U+0100 on, in order of bytes.
 */
#ifndef TEXT_LETTERS_H
#define TEXT_LETTERS_H

#include "base/status.h"
#include "base/strbuf.h"

/* Appends the letters of bytes. */
enum status letters_from_bytes(const char *bytes, size_t length, struct strbuf *out) MUST_USE;

/* Appends the bytes that letters stand for; a text with any other character in it goes in
 * unchanged, as `tokenizers` decodes it. */
enum status letters_to_bytes(const char *letters, size_t length, struct strbuf *out) MUST_USE;

#endif
