/* SPDX-License-Identifier: Apache-2.0
 *
 * The safetensors format (huggingface/safetensors, README "Format"): 8 bytes of header length, a
 * JSON header, the tensors' bytes. Files are outside input: everything is checked before it is used
 * (design, section 9), so that an opened set has no holes, no overlaps, no trailing bytes, no name
 * twice, and each tensor's bytes are exactly those of its shape and kind of number.
 */
#ifndef FILE_SAFETENSORS_H
#define FILE_SAFETENSORS_H

#include <stdint.h>

#include "base/status.h"

enum { SAFETENSORS_RANK_MAX = 8 };

struct safetensor {
    const char *name;
    const char *dtype; /* "F32", "BF16", "F16", … as in the file */
    int64_t shape[SAFETENSORS_RANK_MAX];
    int rank; /* 0 for a scalar */
    int64_t elements, bytes;
    const void *data; /* mapped, read-only, perhaps unaligned; valid until safetensors_close */
    const char *path; /* the file it stands in */
    void *mapping;    /* where the mapped file begins, for memory_forget_mapped */
};

struct safetensors; /* one or several mapped files */

/* Opens a model directory (model.safetensors, else the files that model.safetensors.index.json
 * names) or, when `path` is no directory, that one file. STATUS_INPUT names the file and what is
 * wrong in it. The caller closes it. */
enum status safetensors_open(struct safetensors **files, const char *path) MUST_USE;
void safetensors_close(struct safetensors **files);

/* All tensors, sorted by name. */
int64_t safetensors_count(const struct safetensors *files);
const struct safetensor *safetensors_at(const struct safetensors *files, int64_t index);

/* The tensor of that name; NULL when there is none. */
const struct safetensor *safetensors_find(const struct safetensors *files, const char *name);

/* The same for a tensor that is needed: a sentence when it is missing or is not F32,
 * BF16 or F16. */
enum status safetensors_weight(const struct safetensors *files, const char *name,
                               const struct safetensor **out) MUST_USE;

/* --- writing --- */

/* What the header says of one tensor. */
struct safetensors_entry {
    const char *name, *dtype;
    int64_t shape[SAFETENSORS_RANK_MAX];
    int rank;
};

struct safetensors_writer;

/* Begins the file `path` (file/atomic.h) with these tensors, in this order; the header carries the
 * metadata {"format": "pt"} and is padded to 8 bytes. `entries` is not kept. */
enum status safetensors_create(struct safetensors_writer **writer, const char *path,
                               const struct safetensors_entry *entries, int64_t count) MUST_USE;

/* The next bytes of the tensors' data, in the order of the entries, in pieces of any size. */
enum status safetensors_append(struct safetensors_writer *writer, const void *bytes,
                               int64_t n) MUST_USE;

/* Gives the file its name once all bytes are there; *writer becomes NULL in any case. */
enum status safetensors_commit(struct safetensors_writer **writer) MUST_USE;

/* Leaves no file behind. NULL is allowed. */
void safetensors_abandon(struct safetensors_writer **writer);

#endif
