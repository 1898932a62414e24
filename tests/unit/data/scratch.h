/* SPDX-License-Identifier: Apache-2.0
 *
 * A small file for a test, beside its program.
 */
#ifndef TESTS_UNIT_DATA_SCRATCH_H
#define TESTS_UNIT_DATA_SCRATCH_H

#include "check.h"

/* Writes `length` bytes to PROGRAM.NAME and returns that path, which the next call overwrites. */
static const char *scratch_write(const char *program, const char *name, const char *bytes,
                                 size_t length) {
    static char path[4096];
    snprintf(path, sizeof path, "%s.%s", program, name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(bytes, 1, length, file) == length);
    CHECK(file != NULL && fclose(file) == 0);
    return path;
}

#endif
