/* SPDX-License-Identifier: Apache-2.0 */
#include "file/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/sha256.h"

enum { DIGEST_BYTES = 32, END_BYTES = 16, FIXED_BYTES = 8 + 2 * DIGEST_BYTES + END_BYTES };

static const char magic[8] = {'G', 'R', 'A', 'D', 'U', 'S', 1, '\n'};

static enum status file_size(int file, const char *path, int64_t *size) {
    struct stat info;
    if (fstat(file, &info) != 0)
        return FAIL(STATUS_IO, "%s: its size cannot be read: %s", path, strerror(errno));
    *size = (int64_t)info.st_size;
    return STATUS_OK;
}

static int by_offset(const void *a, const void *b) {
    const struct bytes_range *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* What lies between the ranges (in order of place) of a file of `size` bytes: count + 1 gaps. */
static enum status find_gaps(const char *path, const struct bytes_range *ranges, int64_t count,
                             int64_t size, struct bytes_range *gaps) {
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        if (ranges[i].offset < at || ranges[i].bytes < 0 || ranges[i].bytes > size ||
            ranges[i].offset > size - ranges[i].bytes)
            return FAIL(STATUS_INPUT, "%s: its trailer does not fit the file", path);
        gaps[i] = (struct bytes_range){at, ranges[i].offset - at};
        at = ranges[i].offset + ranges[i].bytes;
    }
    gaps[count] = (struct bytes_range){at, size - at};
    return STATUS_OK;
}

/* One checksum of all gaps. `size` is where the trailer begins. */
static enum status hash_gaps(int file, const char *path, const struct bytes_range *ranges,
                             int64_t count, int64_t size, unsigned char digest[DIGEST_BYTES]) {
    struct bytes_range *gaps;
    unsigned char *digests = NULL;
    struct sha256 hash;
    TRY(memory_new(&gaps, count + 1, "gaps of a file"));
    enum status status = find_gaps(path, ranges, count, size, gaps);
    if (status == STATUS_OK)
        status = memory_new(&digests, (count + 1) * DIGEST_BYTES, "checksums");
    if (status == STATUS_OK)
        status = bytes_hash_ranges(file, path, gaps, count + 1, digests);
    if (status == STATUS_OK) {
        sha256_init(&hash);
        sha256_update(&hash, digests, (size_t)(count + 1) * DIGEST_BYTES);
        sha256_finish(&hash, digest);
    }
    memory_release(&digests);
    memory_release(&gaps);
    return status;
}

static void hash_bytes(const unsigned char *bytes, size_t n, unsigned char digest[DIGEST_BYTES]) {
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, bytes, n);
    sha256_finish(&hash, digest);
}

/* Fills the trailer (all zero, `bytes` long) but for the checksum of the gaps, which goes to
 * *digest; ranges are sorted in it. */
static struct bytes_range *begin_trailer(unsigned char *trailer, const struct bytes_range *ranges,
                                         int64_t count) {
    struct bytes_range *sorted = (struct bytes_range *)(void *)(trailer + 8);
    memcpy(trailer, &count, sizeof count);
    if (count > 0)
        memcpy(sorted, ranges, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_offset);
    return sorted;
}

static enum status write_trailer(int file, const char *path, const struct bytes_range *ranges,
                                 int64_t count, unsigned char *trailer, int64_t bytes) {
    int64_t size = 0;
    const struct bytes_range *sorted = begin_trailer(trailer, ranges, count);
    unsigned char *end = trailer + bytes - END_BYTES;
    TRY(file_size(file, path, &size));
    TRY(hash_gaps(file, path, sorted, count, size, end - 2 * DIGEST_BYTES));
    hash_bytes(trailer, (size_t)(bytes - END_BYTES - DIGEST_BYTES), end - DIGEST_BYTES);
    memcpy(end, &bytes, sizeof bytes);
    memcpy(end + 8, magic, sizeof magic);
    return bytes_write_at(file, path, size, trailer, bytes);
}

enum status seal_append(int file, const char *path, const struct bytes_range *ranges,
                        int64_t count) {
    unsigned char *trailer;
    const int64_t bytes = FIXED_BYTES + count * (int64_t)sizeof *ranges;
    TRY(memory_new(&trailer, bytes, "trailer of a file"));
    const enum status status = write_trailer(file, path, ranges, count, trailer, bytes);
    memory_release(&trailer);
    return status;
}

static enum status fail_seal(const char *path) {
    return FAIL(STATUS_INPUT, "%s: it is damaged, cut short, or not a sealed file of gradus", path);
}

/* How long the trailer says it is, checked against the size of the file. */
static enum status read_end(int file, const char *path, int64_t size, int64_t *bytes) {
    unsigned char end[END_BYTES];
    if (size < FIXED_BYTES)
        return fail_seal(path);
    TRY(bytes_read_at(file, path, size - END_BYTES, end, END_BYTES));
    memcpy(bytes, end, sizeof *bytes);
    const int64_t ranges = *bytes - FIXED_BYTES;
    if (memcmp(end + 8, magic, sizeof magic) != 0 || *bytes > size || ranges < 0 ||
        ranges % (int64_t)sizeof(struct bytes_range) != 0)
        return fail_seal(path);
    return STATUS_OK;
}

static enum status check_trailer(int file, const char *path, int64_t size, unsigned char *trailer,
                                 int64_t bytes) {
    unsigned char digest[DIGEST_BYTES];
    const unsigned char *end = trailer + bytes - END_BYTES;
    int64_t count;
    TRY(bytes_read_at(file, path, size - bytes, trailer, bytes));
    hash_bytes(trailer, (size_t)(bytes - END_BYTES - DIGEST_BYTES), digest);
    memcpy(&count, trailer, sizeof count);
    if (memcmp(digest, end - DIGEST_BYTES, DIGEST_BYTES) != 0 ||
        count != (bytes - FIXED_BYTES) / (int64_t)sizeof(struct bytes_range))
        return fail_seal(path);
    TRY(hash_gaps(file, path, (const struct bytes_range *)(void *)(trailer + 8), count,
                  size - bytes, digest));
    return memcmp(digest, end - 2 * DIGEST_BYTES, DIGEST_BYTES) == 0 ? STATUS_OK : fail_seal(path);
}

enum status seal_check(int file, const char *path) {
    int64_t size = 0, bytes = 0;
    unsigned char *trailer;
    TRY(file_size(file, path, &size));
    TRY(read_end(file, path, size, &bytes));
    TRY(memory_new(&trailer, bytes, "trailer of a file"));
    const enum status status = check_trailer(file, path, size, trailer, bytes);
    memory_release(&trailer);
    return status;
}
