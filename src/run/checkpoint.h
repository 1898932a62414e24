/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoints/step-000100.h5: all that a run needs to go on, independent of the rank count.
 *
 *     /parameters/<name>  /optimizer/exp_avg/<name>  /optimizer/exp_avg_sq/<name>   fp32, as in the
 *                         model: (rows, columns) or (n)
 *     /state/<name>       counters and positions      /settings     text of settings.cfg
 *     /model/<file>       bytes of config.json, tokenizer.json, …
 *     /manifest/{name, sha256}   a checksum of every other dataset
 *     /provenance
 *
 * Rank 0 lays the file out (contiguous, allocated, no filters) and knows where each tensor's bytes
 * go; these are written by pwrite, so that any rank or thread can write its part. PATH.part is
 * synchronised and renamed once the checksums of what the file really holds are in. A seal at the
 * end (file/seal.h) covers the structure, so that HDF5 never parses a damaged one.
 */
#ifndef RUN_CHECKPOINT_H
#define RUN_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "file/provenance.h"
#include "model/model.h"
#include "run/model_directory.h"

/* A named value of /state; the arrays are borrowed. */
struct checkpoint_value {
    const char *name; /* "step", "data/position" */
    enum { CHECKPOINT_INTEGERS, CHECKPOINT_REALS, CHECKPOINT_TEXT } kind;
    int64_t count;           /* 1 gives a list of one; ignored for a text */
    const int64_t *integers; /* one of these three */
    const double *reals;
    const char *text;
};

/* The flat vectors of a checkpoint. */
enum checkpoint_section {
    CHECKPOINT_PARAMETERS,
    CHECKPOINT_EXP_AVG,
    CHECKPOINT_EXP_AVG_SQ,
    CHECKPOINT_SECTIONS
};

/* What rank 0 knows; everything is borrowed until checkpoint_layout returns, the parameters until
 * the writer is gone. */
struct checkpoint_content {
    const struct parameter *parameters;
    int64_t parameter_count;
    bool optimizer; /* there are moments */
    const struct checkpoint_value *state;
    int64_t state_count;
    const char *settings;
    const struct model_files *files;
    const struct provenance *provenance;
};

struct checkpoint_writer;

/* Lays out PATH.part. The caller commits or abandons the writer. */
enum status checkpoint_layout(struct checkpoint_writer **writer, const char *path,
                              const struct checkpoint_content *content) MUST_USE;

/* Writes elements [offset, offset + n) of a flat vector (host memory) to their places. Every
 * element of every section must be written once. */
enum status checkpoint_write_block(const struct checkpoint_writer *writer,
                                   enum checkpoint_section section, int64_t offset,
                                   const float *values, int64_t n) MUST_USE;

/* Reads back and hashes all that is in the file, writes the manifest, gives the file its name.
 * *writer becomes NULL in any case. */
enum status checkpoint_commit(struct checkpoint_writer **writer) MUST_USE;
void checkpoint_abandon(struct checkpoint_writer **writer);

/* Removes the oldest step-*.h5 of a directory so that at most `keep` (≥ 1) stay. */
enum status checkpoint_prune(const char *directory, int64_t keep) MUST_USE;

/* --- reading --- */

struct checkpoint; /* an open checkpoint file */

/* Opens a checkpoint, whose seal must hold; with `verify` the checksum of every dataset is
 * recomputed as well. STATUS_INPUT when it is damaged, cut short or no checkpoint. The caller
 * closes it. */
enum status checkpoint_open(struct checkpoint **checkpoint, const char *path, bool verify) MUST_USE;
void checkpoint_close(struct checkpoint **checkpoint);

/* The seal and every checksum; the first dataset that differs is named. */
enum status checkpoint_verify(const char *path) MUST_USE;

/* The parameters in the file, by name; their offsets count in this order. */
const struct parameter *checkpoint_parameters(const struct checkpoint *checkpoint, int64_t *count);

/* One tensor of a section, into `out` (rows × columns); a wrong shape or a missing one is a
 * sentence. Fits the `read` of struct model_directory through checkpoint_read_parameter. */
enum status checkpoint_read(const struct checkpoint *checkpoint, enum checkpoint_section section,
                            const struct parameter *parameter, float *out) MUST_USE;
enum status checkpoint_read_parameter(void *checkpoint, const struct parameter *parameter,
                                      float *out) MUST_USE;

/* Values of /state: *values (memory_release) has *count; a text is appended. */
enum status checkpoint_integers(const struct checkpoint *checkpoint, const char *name,
                                int64_t **values, int64_t *count) MUST_USE;
enum status checkpoint_reals(const struct checkpoint *checkpoint, const char *name, double **values,
                             int64_t *count) MUST_USE;
enum status checkpoint_text(const struct checkpoint *checkpoint, const char *name,
                            struct strbuf *out) MUST_USE;

enum status checkpoint_settings(const struct checkpoint *checkpoint, struct strbuf *out) MUST_USE;
enum status checkpoint_files(const struct checkpoint *checkpoint,
                             struct model_files *files) MUST_USE;

/* A readable account for gradus inspect. */
enum status checkpoint_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
