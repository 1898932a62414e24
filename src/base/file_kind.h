/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in the place of a file that was expected: a directory, a pipe, an archive, a table of
 * another format, a pointer left by git-lfs. Named with what to do.
 */
#ifndef BASE_FILE_KIND_H
#define BASE_FILE_KIND_H

#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

/* How many first bytes tell the kinds apart. */
enum { FILE_KIND_BYTES = 512 };

/* "a gzip archive: unpack it with gunzip", NULL for a kind that is not known. */
const char *file_kind(const char *bytes, size_t length);

/* "a directory, not a regular file: …", NULL for a regular file. */
const char *file_kind_of_mode(mode_t mode);

/* STATUS_INPUT with one sentence where an open file is not regular, or of a kind that file_kind
 * names. For files whose own format cannot begin like one of these. */
enum status file_kind_check(int file, const char *path) MUST_USE;

#endif
