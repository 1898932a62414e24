/* SPDX-License-Identifier: Apache-2.0 */
#include "file/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/strbuf.h"
#include "file/bytes.h"

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

/* --- writing --- */

/* True when the file ends inside a line. */
static bool ends_torn(int file) {
    char last = '\n';
    const off_t size = lseek(file, 0, SEEK_END);
    return size > 0 && pread(file, &last, 1, size - 1) == 1 && last != '\n';
}

static enum status append_whole(int file, const char *path, const char *line, size_t length) {
    struct strbuf torn = STRBUF_EMPTY;
    if (!ends_torn(file))
        return bytes_write(file, path, line, (int64_t)length);
    enum status status = strbuf_append_text(&torn, "\n");
    if (status == STATUS_OK)
        status = strbuf_append(&torn, line, length);
    if (status == STATUS_OK)
        status = bytes_write(file, path, strbuf_text(&torn), (int64_t)torn.length);
    strbuf_release(&torn);
    return status;
}

enum status lines_append(const char *path, const char *line, size_t length) {
    const int file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return FAIL(STATUS_IO, "%s: the file cannot be opened: %s", path, strerror(errno));
    const enum status status = append_whole(file, path, line, length);
    close(file);
    return status;
}
