/* SPDX-License-Identifier: Apache-2.0
 *
 * A trailer at the end of a file that covers all of it but some ranges, which have checksums of
 * their own: so that a reader knows a file's structure to be as it was written before a library
 * parses it. HDF5 readers pass over bytes behind the end that the file itself knows.
 *
 *     count, count × (offset, bytes), SHA-256 of the SHA-256s of what lies between the ranges,
 *     SHA-256 of the trailer so far, its whole length, "GRADUS\1\n"       (64-bit integers)
 */
#ifndef FILE_SEAL_H
#define FILE_SEAL_H

#include "base/status.h"
#include "file/bytes.h"

/* Appends the trailer to a file open for reading and writing. The ranges may come in any order;
 * they lie in the file and do not overlap. */
enum status seal_append(int file, const char *path, const struct bytes_range *ranges,
                        int64_t count) MUST_USE;

/* STATUS_INPUT unless the file ends in a trailer and everything outside its ranges is as it was. */
enum status seal_check(int file, const char *path) MUST_USE;

#endif
