/* SPDX-License-Identifier: Apache-2.0 */
#include "file/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/strbuf.h"

struct reader {
    const char *path;
    enum status (*visit)(void *context, int64_t row, const char *text, size_t length);
    void *context;
    int64_t row;
    struct strbuf line;
};

static enum status take_piece(struct reader *reader, const char *piece, size_t length, bool ends) {
    if (reader->line.length + length > LINES_LONGEST)
        return FAIL(STATUS_INPUT, "%s:%lld: the line is longer than %zu MiB", reader->path,
                    (long long)reader->row + 1, LINES_LONGEST >> 20);
    if (length > 0)
        TRY(strbuf_append(&reader->line, piece, length));
    if (!ends)
        return STATUS_OK;
    const char *text = strbuf_text(&reader->line);
    size_t skip = 0;
    if (reader->row == 0 && reader->line.length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        skip = 3; /* a byte order mark */
    TRY(reader->visit(reader->context, reader->row, text + skip, reader->line.length - skip));
    reader->row++;
    strbuf_clear(&reader->line);
    return STATUS_OK;
}

static enum status take_chunk(struct reader *reader, const char *chunk, size_t length) {
    const char *const end = chunk + length;
    while (chunk < end) {
        const char *newline = memchr(chunk, '\n', (size_t)(end - chunk));
        const char *stop = newline != NULL ? newline : end;
        TRY(take_piece(reader, chunk, (size_t)(stop - chunk), newline != NULL));
        chunk = newline != NULL ? newline + 1 : end;
    }
    return STATUS_OK;
}

enum status lines_read(FILE *stream, const char *path,
                       enum status (*visit)(void *context, int64_t row, const char *text,
                                            size_t length),
                       void *context) {
    struct reader reader = {.path = path, .visit = visit, .context = context};
    char chunk[16384];
    enum status status = STATUS_OK;
    size_t length;
    while (status == STATUS_OK && (length = fread(chunk, 1, sizeof chunk, stream)) > 0)
        status = take_chunk(&reader, chunk, length);
    if (status == STATUS_OK && ferror(stream))
        status = FAIL(STATUS_IO, "%s: the file cannot be read: %s", path, strerror(errno));
    if (status == STATUS_OK && reader.line.length > 0)
        status = take_piece(&reader, "", 0, true);
    strbuf_release(&reader.line);
    return status;
}

enum status lines_read_file(const char *path,
                            enum status (*visit)(void *context, int64_t row, const char *text,
                                                 size_t length),
                            void *context) {
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us */
    if (file < 0)
        return FAIL(STATUS_INPUT, "%s: the file cannot be opened: %s", path, strerror(errno));
    enum status status = file_kind_check(file, path);
    FILE *stream = status == STATUS_OK ? fdopen(file, "rb") : NULL;
    if (status == STATUS_OK && stream == NULL)
        status = FAIL(STATUS_IO, "%s: the file cannot be read: %s", path, strerror(errno));
    if (stream == NULL) {
        close(file);
        return status;
    }
    status = lines_read(stream, path, visit, context);
    fclose(stream);
    return status;
}

bool lines_is_blank(const char *text, size_t length) {
    return strspn(text, " \t\r\v\f") == length;
}
