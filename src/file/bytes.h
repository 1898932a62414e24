/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole files as bytes, whole reads and writes of open files, and their checksums. Interrupted and
 * short calls are continued; what remains is a STATUS_IO sentence that names the file.
 */
#ifndef FILE_BYTES_H
#define FILE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

/* True when something of that kind stands at `path`. */
bool bytes_is_file(const char *path);
bool bytes_is_directory(const char *path);

/* Opens a regular file for reading; *size is its length, and the caller closes *file. STATUS_INPUT
 * when it is missing or no file. */
enum status bytes_open_file(const char *path, int *file, int64_t *size) MUST_USE;

/* Appends the content of a regular file of at most limit_bytes to `out`. STATUS_INPUT when it is
 * missing, no file, or longer. */
enum status bytes_read_file(const char *path, int64_t limit_bytes, struct strbuf *out) MUST_USE;

/* Reads n bytes at `offset` of an open file; fewer bytes in the file are a sentence. */
enum status bytes_read_at(int file, const char *path, int64_t offset, void *out,
                          int64_t n) MUST_USE;

/* Writes n bytes at the end of what was written (bytes_write), or at `offset` (bytes_write_at,
 * which any number of processes may use on one file). */
enum status bytes_write(int file, const char *path, const void *bytes, int64_t n) MUST_USE;
enum status bytes_write_at(int file, const char *path, int64_t offset, const void *bytes,
                           int64_t n) MUST_USE;

/* A piece of a file. */
struct bytes_range {
    int64_t offset, bytes;
};

/* SHA-256 of n bytes at `offset` of an open file, and of a whole file. */
enum status bytes_hash_at(int file, const char *path, int64_t offset, int64_t n,
                          unsigned char digest[32]) MUST_USE;
enum status bytes_hash_file(const char *path, unsigned char digest[32]) MUST_USE;

/* SHA-256 of each of `count` ranges, shared out to all threads; digests holds 32 bytes for each. */
enum status bytes_hash_ranges(int file, const char *path, const struct bytes_range *ranges,
                              int64_t count, unsigned char *digests) MUST_USE;

/* CRC-32 of ISO 3309 (that of zlib and PNG): a checksum for lines of text. */
uint32_t bytes_crc32(const void *bytes, size_t n);

#endif
