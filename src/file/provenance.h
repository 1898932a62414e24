/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a file comes from: the /provenance group that every HDF5 file of a run has.
 */
#ifndef FILE_PROVENANCE_H
#define FILE_PROVENANCE_H

#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"

/* One input file and its checksum. */
struct provenance_input {
    const char *path;
    char sha256[65];
};

/* What the run knows; the build knows the rest. Texts may be NULL for "". */
struct provenance {
    const char *command;   /* the command line */
    const char *hosts;     /* names of the hosts, separated by spaces */
    const char *devices;   /* kind of processor or GPU of each rank */
    const char *libraries; /* versions that this folder does not see: MPI */
    const char *settings;  /* text of settings.cfg */
    const char *weights;   /* SHA-256 of the base model's weights (model/fingerprint.h) */
    int64_t ranks, threads, seed;
    const struct provenance_input *inputs;
    int64_t input_count;
};

/* Writes the group /provenance: version, git_revision, git_modified, compiler, flags, libraries,
 * created (UTC), command, hosts, devices, settings, weights as texts; ranks, threads, seed as integers;
 * inputs/{path, sha256}. */
enum status provenance_write(struct h5 *h5, const struct provenance *provenance) MUST_USE;

/* Adds one input with its checksum, reading the whole file. `path` is not copied. */
enum status provenance_hash(struct provenance_input *input, const char *path) MUST_USE;

/* Appends a few readable lines on the file's /provenance. */
enum status provenance_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

/* Appends what a build's bits depend on: version, commit, compiler; and the same of the
 * build that wrote a file. */
enum status provenance_build(struct strbuf *out) MUST_USE;
enum status provenance_read_build(const struct h5 *h5, struct strbuf *out) MUST_USE;

/* "0.1.0 (git 1a2b3c4d5e6f, modified)". */
const char *provenance_version(void);

#endif
