/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static enum status reserve(struct strbuf *buffer, size_t more) {
    const size_t need = buffer->length + more + 1;
    if (need <= buffer->capacity)
        return STATUS_OK;
    const size_t capacity = need < 2 * buffer->capacity ? 2 * buffer->capacity : need + 64;
    TRY(memory_grow(&buffer->text, capacity, "text"));
    buffer->capacity = capacity;
    return STATUS_OK;
}

enum status strbuf_append(struct strbuf *buffer, const char *bytes, size_t length) {
    TRY(reserve(buffer, length));
    if (length > 0)
        memcpy(buffer->text + buffer->length, bytes, length);
    buffer->length += length;
    buffer->text[buffer->length] = '\0';
    return STATUS_OK;
}

enum status strbuf_append_text(struct strbuf *buffer, const char *text) {
    return strbuf_append(buffer, text, strlen(text));
}

enum status strbuf_append_format(struct strbuf *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    enum status status = length < 0
                             ? FAIL(STATUS_DEFECT, "a text could not be formatted: %s", format)
                             : reserve(buffer, (size_t)length);
    if (status == STATUS_OK) {
        vsnprintf(buffer->text + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    return status;
}

void strbuf_clear(struct strbuf *buffer) {
    buffer->length = 0;
    if (buffer->text != NULL)
        buffer->text[0] = '\0';
}

void strbuf_release(struct strbuf *buffer) {
    memory_release(&buffer->text);
    buffer->length = buffer->capacity = 0;
}

const char *strbuf_text(const struct strbuf *buffer) {
    return buffer->text != NULL ? buffer->text : "";
}
