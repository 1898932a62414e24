/* SPDX-License-Identifier: Apache-2.0
 *
 * HDF5 files as the project uses them: groups, plain arrays, texts and small attributes, all named
 * by paths from the root ("/answer/token_ids"). Only the files h5*.c see hdf5.h, through
 * h5_library.h.
 *
 * A file is either built in memory and saved at once through file/atomic.h (h5_create, h5_save: the
 * disk's faults then never meet the library, which cannot close a file that it failed to write), or
 * laid out on disk for others to fill with pwrite (h5_create_layout, h5_place). Locks are never
 * taken. Reading follows no link out of the file, loads no filter plug-in, and checks every size
 * before it reads. One thread at a time may call these functions.
 */
#ifndef FILE_H5_H
#define FILE_H5_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

enum h5_kind { H5_KIND_U8, H5_KIND_I32, H5_KIND_I64, H5_KIND_F32, H5_KIND_F64 };

/* How a dataset lies in the file. */
enum h5_storage {
    H5_STORAGE_PACKED, /* chunks of up to 1 MiB: shuffle, deflate, fletcher32 */
    H5_STORAGE_PLAIN,  /* one piece, allocated at once, no filters */
};

/* Which readers can open the file. */
enum h5_format {
    /* HDF5 ≥ 1.10: metadata carry checksums; for files that are closed for good */
    H5_FORMAT_CHECKED,
    H5_FORMAT_LIVE, /* every HDF5: a writer that dies leaves no flag that refuses readers */
};

struct h5; /* an open file */

/* Bytes of one element of a kind. */
int64_t h5_kind_bytes(enum h5_kind kind);

/* Begins a file in memory. */
enum status h5_create(struct h5 **h5, enum h5_format format) MUST_USE;

/* Closes a file of h5_create and writes it to `path`, atomically; *h5 becomes NULL in any case. */
enum status h5_save(struct h5 **h5, const char *path) MUST_USE;

/* The same with a seal behind it (file/seal.h), which covers every byte; and opens such a file once the
 * seal is found to hold, so that the library meets no damage. STATUS_INPUT where it does not. */
enum status h5_save_sealed(struct h5 **h5, const char *path) MUST_USE;
enum status h5_open_sealed(struct h5 **h5, const char *path) MUST_USE;

/* Begins a file of H5_FORMAT_CHECKED on disk (what stands at `path` is replaced); datasets of 1 MiB
 * and more begin at multiples of 1 MiB. h5_close ends it. */
enum status h5_create_layout(struct h5 **h5, const char *path) MUST_USE;

/* Opens a file for reading. STATUS_INPUT when it is missing, cut short or not HDF5. */
enum status h5_open(struct h5 **h5, const char *path) MUST_USE;

/* Closes; NULL is allowed. The status matters for h5_create_layout only. *h5 becomes NULL in any
 * case. */
enum status h5_close(struct h5 **h5);

/* --- writing; groups on the way are made --- */

enum status h5_put_group(struct h5 *h5, const char *path) MUST_USE;

/* A dataset of `rank` 1 or 2 (0: a scalar) with these sizes. `data` NULL leaves it unwritten: NaN
 * for floats, 0 for integers, and for h5_create_layout the bytes are yet to be written. */
enum status h5_put(struct h5 *h5, const char *path, enum h5_kind kind, enum h5_storage storage,
                   int rank, const int64_t *sizes, const void *data) MUST_USE;

/* The same for one dimension, packed. */
enum status h5_put_list(struct h5 *h5, const char *path, enum h5_kind kind, int64_t n,
                        const void *data) MUST_USE;

/* Scalars: an integer, and a text (UTF-8, fixed length). */
enum status h5_put_integer(struct h5 *h5, const char *path, int64_t value) MUST_USE;
enum status h5_put_text(struct h5 *h5, const char *path, const char *text) MUST_USE;

/* n texts of fixed length, that of the longest. */
enum status h5_put_texts(struct h5 *h5, const char *path, const char *const *texts,
                         int64_t n) MUST_USE;

/* Attributes of a group or dataset that exists. */
enum status h5_put_attribute(struct h5 *h5, const char *path, const char *name,
                             const char *text) MUST_USE;

enum status h5_put_attribute_real(struct h5 *h5, const char *path, const char *name,
                                  double value) MUST_USE;

/* The attributes that every dataset of ours has: "units" ("1" for a pure number or a name) and
 * "description". */
enum status h5_describe(struct h5 *h5, const char *path, const char *units,
                        const char *description) MUST_USE;

/* --- reading --- */

struct h5_shape {
    bool is_text; /* `kind` says nothing then, and text_bytes is the length of each text */
    enum h5_kind kind;
    int rank; /* 0 to 2 */
    int64_t sizes[2];
    int64_t elements, text_bytes;
};

/* True when a group or dataset of that path is in the file itself. */
bool h5_has(const struct h5 *h5, const char *path);

/* The same where it matters that a disk which cannot be read does not tell. */
enum status h5_find(const struct h5 *h5, const char *path, bool *found) MUST_USE;

/* STATUS_INPUT when there is no dataset of that path, or one that we do not read (other numbers,
 * more than 2 dimensions, data kept elsewhere, unknown filters). */
enum status h5_shape(const struct h5 *h5, const char *path, struct h5_shape *out) MUST_USE;

/* Reads elements [start, start + n) of a dataset, counted through all its dimensions for rank 1 and
 * in rows for rank 2; `kind` must be the dataset's. `out` holds n elements (n rows). */
enum status h5_get(const struct h5 *h5, const char *path, enum h5_kind kind, int64_t start,
                   int64_t n, void *out) MUST_USE;

/* A whole dataset of rank 1; *values (memory_release) has *n elements. */
enum status h5_get_list(const struct h5 *h5, const char *path, enum h5_kind kind, void *values,
                        int64_t *n) MUST_USE;

enum status h5_get_integer(const struct h5 *h5, const char *path, int64_t *out) MUST_USE;
enum status h5_get_text(const struct h5 *h5, const char *path, struct strbuf *out) MUST_USE;

/* All texts of a dataset of h5_put_texts, each terminated, `*stride` bytes apart; *texts belongs to
 * the caller (memory_release). */
enum status h5_get_texts(const struct h5 *h5, const char *path, char **texts, int64_t *stride,
                         int64_t *n) MUST_USE;

/* The text of an attribute; "" when there is none. */
enum status h5_get_attribute(const struct h5 *h5, const char *path, const char *name,
                             struct strbuf *out) MUST_USE;

/* A real number; STATUS_INPUT when there is none. */
enum status h5_get_attribute_real(const struct h5 *h5, const char *path, const char *name,
                                  double *value) MUST_USE;

/* Calls `visit` for everything in a group, by name, groups and datasets; links out of the file are
 * passed over. `path` is that of the entry. */
enum status h5_list(const struct h5 *h5, const char *group,
                    enum status (*visit)(void *context, const char *path, bool is_group),
                    void *context) MUST_USE;

/* The same for all datasets below a group, in any depth up to 16. */
enum status h5_walk(const struct h5 *h5, const char *group,
                    enum status (*visit)(void *context, const char *path), void *context) MUST_USE;

/* Where the bytes of a plain dataset lie in the file: offset and length. */
enum status h5_place(const struct h5 *h5, const char *path, int64_t *offset,
                     int64_t *bytes) MUST_USE;

/* The library's version, as "1.10.8". */
const char *h5_version(void);

#endif
