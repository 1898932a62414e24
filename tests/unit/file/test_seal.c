/* SPDX-License-Identifier: Apache-2.0
 *
 * The seal sees every change outside the ranges, none inside, and any cut.
 */
#include "file/seal.h"

#include <fcntl.h>

#include "base/memory.h"
#include "check.h"
#include "unit/file/folder.h"

enum { BYTES = 60 };

static const struct bytes_range ranges[] = {{40, 10}, {0, 0}, {8, 4}, {12, 3}};

static enum status check_file(const char *path) {
    const int file = open(path, O_RDONLY);
    const enum status status = seal_check(file, path);
    close(file);
    return status;
}

static bool is_in_a_range(size_t at) {
    for (int i = 0; i < 4; i++)
        if ((int64_t)at >= ranges[i].offset && (int64_t)at < ranges[i].offset + ranges[i].bytes)
            return true;
    return false;
}

static void seal_file(const char *path, const struct bytes_range *list, int64_t count) {
    char content[BYTES];
    memset(content, 'x', sizeof content);
    folder_write(path, content, sizeof content);
    const int file = open(path, O_RDWR);
    CHECK_OK(seal_append(file, path, list, count));
    close(file);
    CHECK_OK(check_file(path));
}

static void test_changes(void) {
    const char *path = folder_file("sealed"), *bad = folder_file("bad");
    size_t n;
    seal_file(path, ranges, 4);
    char *bytes = folder_read(path, &n);
    CHECK_EQ(n, BYTES + 8 + 4 * 16 + 64 + 16);
    for (size_t at = 0; at < n; at++) {
        bytes[at] ^= 1;
        folder_write(bad, bytes, n);
        if (is_in_a_range(at))
            CHECK_OK(check_file(bad));
        else
            CHECK_STATUS(check_file(bad), STATUS_INPUT, "bad");
        bytes[at] ^= 1;
        folder_write(bad, bytes, at);
        CHECK_STATUS(check_file(bad), STATUS_INPUT, "bad");
    }
    free(bytes);
}

static void test_ranges(void) {
    static const struct bytes_range outside[] = {{50, 11}}, overlapping[] = {{0, 10}, {9, 2}};
    const char *path = folder_file("sealed");
    seal_file(path, NULL, 0);
    const int file = open(path, O_RDWR);
    CHECK_EQ(ftruncate(file, BYTES), 0);
    CHECK_STATUS(seal_append(file, path, outside, 1), STATUS_INPUT, "does not fit");
    CHECK_STATUS(seal_append(file, path, overlapping, 2), STATUS_INPUT, "does not fit");
    close(file);
}

int main(void) {
    folder_make();
    test_changes();
    test_ranges();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
