/* SPDX-License-Identifier: Apache-2.0
 *
 * A string of bytes that grows. `text` is always terminated, so it can be read as a C string when
 * it holds no zero byte. A strbuf owns its text; start it as STRBUF_EMPTY and give it back with
 * strbuf_release.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include "base/status.h"

struct strbuf {
    char *text; /* NULL only before the first append */
    size_t length, capacity;
};

#define STRBUF_EMPTY ((struct strbuf){.text = NULL})

enum status strbuf_append(struct strbuf *buffer, const char *bytes, size_t length) MUST_USE;
enum status strbuf_append_text(struct strbuf *buffer, const char *text) MUST_USE;
enum status strbuf_append_format(struct strbuf *buffer, const char *format, ...) MUST_USE
    __attribute__((format(printf, 2, 3)));

/* Empties the text and keeps the memory. */
void strbuf_clear(struct strbuf *buffer);
void strbuf_release(struct strbuf *buffer);

/* The text as a terminated string, "" when nothing was appended. */
const char *strbuf_text(const struct strbuf *buffer);

#endif
