/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a checkpoint, which may be damaged or none at all.
 */
#ifndef RUN_CHECKPOINT_READ_H
#define RUN_CHECKPOINT_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "model/parameters.h"
#include "run/checkpoint.h"
#include "run/model_directory.h"

struct checkpoint; /* an open checkpoint file */

/* Opens a checkpoint, whose seal must hold; with `verify` the checksum of every dataset is
 * recomputed as well. STATUS_INPUT when it is damaged, cut short or no checkpoint. The caller
 * closes it. */
enum status checkpoint_open(struct checkpoint **checkpoint, const char *path, bool verify) MUST_USE;
void checkpoint_close(struct checkpoint **checkpoint);

/* The seal and every checksum; the first dataset that differs is named. */
enum status checkpoint_verify(const char *path) MUST_USE;

/* What `read` gives; as long as that is STATUS_IO it is called again, after 1 and after 3 s, and must
 * open its files anew: a file system that has lost touch for a moment, as shared ones do, comes back
 * for who opens again. What fails is said in the log. */
enum status checkpoint_retry(enum status (*read)(void *context), void *context) MUST_USE;

/* The manifest as it is stored, for comparisons: *names, *stride bytes apart and in order, and
 * *digests, 32 bytes each, of *count datasets. Both belong to the caller (memory_release), also
 * after a failure. */
enum status checkpoint_sums(const struct checkpoint *checkpoint, char **names, int64_t *stride,
                            unsigned char **digests, int64_t *count) MUST_USE;

/* The parameters in the file, by name; their offsets count in this order. */
const struct parameter *checkpoint_parameters(const struct checkpoint *checkpoint, int64_t *count);

/* The path that it was opened by. */
const char *checkpoint_name(const struct checkpoint *checkpoint);

/* Elements [first, first + n) of a tensor of a section, counted through its rows. */
enum status checkpoint_read_block(const struct checkpoint *checkpoint,
                                  enum checkpoint_section section,
                                  const struct parameter *parameter, int64_t first, int64_t n,
                                  float *out) MUST_USE;

/* One tensor of a section, into `out` (rows × columns); a wrong shape or a missing one is a
 * sentence. Fits the `read` of struct model_directory through checkpoint_read_parameter. */
enum status checkpoint_read(const struct checkpoint *checkpoint, enum checkpoint_section section,
                            const struct parameter *parameter, float *out) MUST_USE;
enum status checkpoint_read_parameter(void *checkpoint, const struct parameter *parameter,
                                      float *out) MUST_USE;

/* All of /state to where the values say. One that is missing, of another length or kind, or not
 * among them is a sentence. */
enum status checkpoint_read_state(const struct checkpoint *checkpoint,
                                  const struct checkpoint_value *values, int count) MUST_USE;

/* Appends a text of /provenance: "devices", "git_revision", … */
enum status checkpoint_provenance(const struct checkpoint *checkpoint, const char *name,
                                  struct strbuf *out) MUST_USE;

/* Appends the build that wrote it (provenance_build); the SHA-256 of its files of data, in
 * hexadecimal, as h5_get_texts gives them. */
enum status checkpoint_build(const struct checkpoint *checkpoint, struct strbuf *out) MUST_USE;
enum status checkpoint_inputs(const struct checkpoint *checkpoint, char **sums, int64_t *stride,
                              int64_t *count) MUST_USE;

enum status checkpoint_settings(const struct checkpoint *checkpoint, struct strbuf *out) MUST_USE;
enum status checkpoint_files(const struct checkpoint *checkpoint,
                             struct model_files *files) MUST_USE;

/* A readable account for gradus inspect. */
enum status checkpoint_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
