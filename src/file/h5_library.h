/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files h5*.c share and nobody else sees: the library itself, an open file, and the
 * library's messages in sentences of ours.
 */
#ifndef FILE_H5_LIBRARY_H
#define FILE_H5_LIBRARY_H

#define H5_USE_110_API
#include <hdf5.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "file/h5.h"

enum { H5_PATH_BYTES = 4096 };

struct h5 {
    hid_t file;
    bool in_memory;
    char path[H5_PATH_BYTES]; /* for sentences; "" in memory */
};

/* The library's type of a kind. */
hid_t h5_kind_type(enum h5_kind kind);

/* "FILE: PATH cannot be written (HDF5: its innermost message)", STATUS_IO; the same for reading,
 * STATUS_INPUT, or STATUS_IO where the system could not read the file. They empty the library's stack of messages. */
enum status h5_fail_write(const struct h5 *h5, const char *path);
enum status h5_fail_read(const struct h5 *h5, const char *path);

/* Whether the library's last call failed because one of the system did. */
bool h5_system_failed(void);

/* "FILE: PATH `what`", STATUS_INPUT. */
enum status h5_fail_content(const struct h5 *h5, const char *path, const char *what);

/* True when every link of the path stands in the file itself. */
bool h5_is_inside(const struct h5 *h5, const char *path);

/* H5Fget_file_image clears the flag "open for writing" of a version 3 superblock and, up to HDF5
 * 1.10.8 at least, forgets its checksum: puts it right in an image of n bytes. */
void h5_repair_superblock(unsigned char *image, int64_t n);

#endif
