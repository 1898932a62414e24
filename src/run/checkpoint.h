/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoints/step-000100.h5: all that a run needs to go on, independent of the rank count.
 *
 *     /parameters/<name>  /optimizer/exp_avg/<name>  /optimizer/exp_avg_sq/<name>   fp32, as in the
 *                         model: (rows, columns) or (n)
 *     /teacher/<name>     the same, where the teacher of opsd is a moving mean
 *     /discriminator/optimizer/{exp_avg, exp_avg_sq}/<name>   and where the discriminator of the game
 *                         makes a step of its own
 *     /state/<name>       the table of run/state.h    /settings     text of settings.cfg
 *     /model/<file>       bytes of config.json, tokenizer.json, …
 *     /manifest/{name, sha256}   a checksum of every other dataset
 *     /provenance
 *
 * Rank 0 lays the file out (contiguous, allocated, no filters) and knows where each tensor's bytes
 * go; these are written by pwrite, so that any rank or thread can write its part. The file gets
 * its name (file/atomic.h) once the checksums of what it really holds are in. A seal at the end
 * (file/seal.h) covers the structure, so that HDF5 never parses a damaged one.
 *
 *     checkpoint_write.h   checkpoint_read.h   checkpoint_folder.h: which ones stay
 */
#ifndef RUN_CHECKPOINT_H
#define RUN_CHECKPOINT_H

#include <stdint.h>

/* What the numbers of a value are in memory: int64_t, double, float, bool. */
enum checkpoint_kind {
    CHECKPOINT_INTEGERS,
    CHECKPOINT_REALS,
    CHECKPOINT_SINGLES,
    CHECKPOINT_FLAGS
};

/* A named value of /state, a list of numbers: where the writer takes them from and the reader puts
 * them. Flags are integers in the file, 0 and 1. */
struct checkpoint_value {
    const char *name;               /* "step", "data/position" */
    const char *unit, *description; /* the attributes of its dataset */
    enum checkpoint_kind kind;
    int64_t count;
    void *numbers; /* (count), borrowed */
};

/* The flat vectors of a checkpoint, of which those are there that the run has. */
enum checkpoint_section {
    CHECKPOINT_PARAMETERS,
    CHECKPOINT_EXP_AVG,
    CHECKPOINT_EXP_AVG_SQ,
    CHECKPOINT_TEACHER,
    CHECKPOINT_DISCRIMINATOR_EXP_AVG,
    CHECKPOINT_DISCRIMINATOR_EXP_AVG_SQ,
    CHECKPOINT_SECTIONS
};

#endif
