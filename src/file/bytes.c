/* SPDX-License-Identifier: Apache-2.0 */
#include "file/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/sha256.h"

enum { BLOCK_BYTES = 1 << 16, CALL_BYTES_MAX = 1 << 30 };

static bool has_kind(const char *path, mode_t kind) {
    struct stat info;
    return stat(path, &info) == 0 && (info.st_mode & S_IFMT) == kind;
}

bool bytes_is_file(const char *path) {
    return has_kind(path, S_IFREG);
}

bool bytes_is_directory(const char *path) {
    return has_kind(path, S_IFDIR);
}

enum status bytes_open_file(const char *path, int *file, int64_t *size) {
    struct stat info = {.st_size = 0};
    *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us */
    if (*file < 0)
        return FAIL(STATUS_INPUT, "%s: the file cannot be opened: %s", path, strerror(errno));
    const char *what = "not a regular file";
    if (fstat(*file, &info) == 0)
        what = file_kind_of_mode(info.st_mode);
    *size = (int64_t)info.st_size;
    if (what == NULL)
        return STATUS_OK;
    close(*file);
    return FAIL(STATUS_INPUT, "%s: this is %s", path, what);
}

static enum status read_open_file(int file, const char *path, int64_t size, int64_t limit_bytes,
                                  struct strbuf *out) {
    char block[BLOCK_BYTES];
    if (size > limit_bytes)
        return FAIL(STATUS_INPUT, "%s: %lld bytes are more than the %lld that such a file may have",
                    path, (long long)size, (long long)limit_bytes);
    for (int64_t at = 0; at < size;) {
        const int64_t n = size - at < BLOCK_BYTES ? size - at : BLOCK_BYTES;
        TRY(bytes_read_at(file, path, at, block, n));
        TRY(strbuf_append(out, block, (size_t)n));
        at += n;
    }
    return STATUS_OK;
}

enum status bytes_read_file(const char *path, int64_t limit_bytes, struct strbuf *out) {
    int file;
    int64_t size;
    TRY(bytes_open_file(path, &file, &size));
    const enum status status = read_open_file(file, path, size, limit_bytes, out);
    close(file);
    return status;
}

enum status bytes_read_at(int file, const char *path, int64_t offset, void *out, int64_t n) {
    char *at = out;
    while (n > 0) {
        const size_t ask = n < CALL_BYTES_MAX ? (size_t)n : CALL_BYTES_MAX;
        const ssize_t got = pread(file, at, ask, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(STATUS_IO, "%s: reading failed: %s", path, strerror(errno));
        if (got == 0)
            return FAIL(STATUS_INPUT, "%s: the file ends %lld bytes early", path, (long long)n);
        at += got;
        offset += got;
        n -= got;
    }
    return STATUS_OK;
}

/* offset −1: at the end of what was written. */
static enum status write_all(int file, const char *path, int64_t offset, const void *bytes,
                             int64_t n) {
    const char *at = bytes;
    while (n > 0) {
        const size_t ask = n < CALL_BYTES_MAX ? (size_t)n : CALL_BYTES_MAX;
        const ssize_t put =
            offset < 0 ? write(file, at, ask) : pwrite(file, at, ask, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return FAIL(STATUS_IO, "%s: writing failed: %s", path,
                        strerror(put < 0 ? errno : ENOSPC));
        at += put;
        n -= put;
        offset += offset < 0 ? 0 : put;
    }
    return STATUS_OK;
}

enum status bytes_write(int file, const char *path, const void *bytes, int64_t n) {
    return write_all(file, path, -1, bytes, n);
}

enum status bytes_write_at(int file, const char *path, int64_t offset, const void *bytes,
                           int64_t n) {
    ASSERT(offset >= 0);
    return write_all(file, path, offset, bytes, n);
}

enum status bytes_hash_at(int file, const char *path, int64_t offset, int64_t n,
                          unsigned char digest[32]) {
    char block[BLOCK_BYTES];
    struct sha256 hash;
    sha256_init(&hash);
    for (int64_t at = 0; at < n; at += BLOCK_BYTES) {
        const int64_t take = n - at < BLOCK_BYTES ? n - at : BLOCK_BYTES;
        TRY(bytes_read_at(file, path, offset + at, block, take));
        sha256_update(&hash, block, (size_t)take);
    }
    sha256_finish(&hash, digest);
    return STATUS_OK;
}

enum status bytes_hash_file(const char *path, unsigned char digest[32]) {
    int file;
    int64_t size;
    TRY(bytes_open_file(path, &file, &size));
    const enum status status = bytes_hash_at(file, path, 0, size, digest);
    close(file);
    return status;
}

enum status bytes_hash_ranges(int file, const char *path, const struct bytes_range *ranges,
                              int64_t count, unsigned char *digests) {
    enum status failure = STATUS_OK;
    char sentence[STATUS_SENTENCE_MAX] = ""; /* sentences are kept per thread */
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < count; i++) {
        const enum status status =
            bytes_hash_at(file, path, ranges[i].offset, ranges[i].bytes, digests + 32 * i);
        if (status != STATUS_OK) {
#pragma omp critical
            {
                failure = status;
                snprintf(sentence, sizeof sentence, "%s", status_sentence());
            }
        }
    }
    if (failure != STATUS_OK)
        status_set_sentence(sentence);
    return failure;
}

uint32_t bytes_crc32(const void *bytes, size_t n) {
    const unsigned char *at = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}
