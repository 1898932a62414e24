/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and directories that appear whole or not at all: built under NAME.gradus.part,
 * synchronised, renamed, and the folder synchronised, so that a kill or a power loss leaves the old
 * one or the new one. A .part left by a killed process is taken over by the next writer of that
 * name; a failure removes it. A full disk is a STATUS_IO sentence.
 *
 * A directory that replaces another changes places with it in one step. Where the file system
 * cannot do that, the old one is called NAME.gradus.old for a moment; when a kill falls into it, the
 * next writer of that name, or atomic_recover, gives it its name back.
 */
#ifndef FILE_ATOMIC_H
#define FILE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Behind the name of a thing in the making. */
#define ATOMIC_PART ".gradus.part"

struct atomic; /* one file or directory in the making */

/* Begins the file `path`: PATH.part is made, empty, and open for reading and writing. */
enum status atomic_file_create(struct atomic **atomic, const char *path) MUST_USE;

/* Begins the directory `path`: PATH.part is made, empty. When something other than an empty
 * directory stands at `path`: STATUS_INPUT, or with `replace` it gives way at the commit. Such
 * directories hold files only, no directories. */
enum status atomic_directory_create(struct atomic **atomic, const char *path,
                                    bool replace) MUST_USE;

/* Puts right what a killed process left of `path`: afterwards the old or the new thing stands there
 * whole, and nothing beside it. */
enum status atomic_recover(const char *path) MUST_USE;

/* Where to write meanwhile: the name of the .part, and for a file its descriptor. */
const char *atomic_part(const struct atomic *atomic);
int atomic_descriptor(const struct atomic *atomic);

/* Gives the thing its name; *atomic becomes NULL in any case, and after a failure nothing is left
 * of the .part. */
enum status atomic_commit(struct atomic **atomic) MUST_USE;

/* Removes the .part. NULL is allowed. */
void atomic_abandon(struct atomic **atomic);

/* A whole file at once. */
enum status atomic_write_file(const char *path, const void *bytes, int64_t n) MUST_USE;

#endif
