/* SPDX-License-Identifier: Apache-2.0
 *
 * diagnostics.h5: the metrics of all steps, readable at any moment by any HDF5 program, also after
 * kill -9 (design, section 8). Every dataset stands in full from the beginning, filled with NaN:
 * /step/<path> (rows), /pass/<path> (rows, passes), and /step/valid, how many steps are in, whose
 * attribute `steps` is run.steps; each has the attributes units, description, reduction. A step
 * changes the bytes of its row alone, by pwrite, and the counter only after fsync, so that no kill
 * can harm the structure.
 *
 * There is a row for each step of the run as long as that is a file of 64 MiB. A longer run begins
 * with as many rows as fit into that; when they are full the file is made anew with twice as many,
 * and takes the place of the old one whole.
 *
 * Of a run of opsd, /step/distill/position/<name> (rows, places): by the place of a token in its
 * answer, which the attribute `places` lists.
 *
 * Of a run with update.diagnose_every, row i is of step every (i + 1):
 *
 *     /tensor/name (tensors)   /tensor/step (rows)   /tensor/{ratio,scale}_edges (bins + 1)
 *     /tensor/{ratio,scale}_histogram (rows, tensors × bins)   coordinates in each bin
 *
 * Of a run with eval.every: /eval/<set>/… (run/diagnostics_eval.h).
 */
#ifndef RUN_DIAGNOSTICS_H
#define RUN_DIAGNOSTICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "file/provenance.h"
#include "run/diagnostics_eval.h"
#include "run/metrics.h"

/* What is counted for each tensor in every so many-th step, in bins of even width; what lies at an
 * edge or, clamped, beyond the last counts in the bin beside it. */
enum { DIAGNOSTICS_BINS = 50 };
struct diagnostics_tensors {
    const char *const *names;
    int64_t count, every;
    double ratio_edges[DIAGNOSTICS_BINS + 1], scale_edges[DIAGNOSTICS_BINS + 1];
};
struct diagnostics_tally {
    int64_t *ratios, *scales; /* (tensors, DIAGNOSTICS_BINS): of active coordinates; of all */
};

/* What the file is of. */
struct diagnostics {
    const char *path;
    int64_t steps;                             /* of the run: at most so many rows */
    int passes;                                /* of a step, at most */
    const struct diagnostics_tensors *tensors; /* NULL: nothing is counted */
    bool positions;                            /* there are numbers by place in the answer */
    const struct diagnostics_sets *sets;       /* NULL: nothing is evaluated */
    const struct provenance *provenance;
};

/* Makes the file. The first `kept` steps are in, and the evaluations up to there, before the first one
 * included: as the file that stands there has them, NaN where it has not. Atomic. */
enum status diagnostics_create(const struct diagnostics *diagnostics, int64_t kept) MUST_USE;

/* Rows of the file when `kept` steps are in. */
int64_t diagnostics_rows(const struct diagnostics *diagnostics, int64_t kept);

/* Writes row step_index (from 0) and then sets /step/valid to step_index + 1; makes room first where
 * the file has none. At most as many passes as the file has; missing ones are NaN. STATUS_INPUT when
 * the file is not one of diagnostics_create or the run has no such step. */
enum status diagnostics_append(const struct diagnostics *diagnostics, int64_t step_index,
                               const struct metrics *metrics) MUST_USE;

/* Writes what step_index + 1, a multiple of tensors->every, has counted; before its numbers. */
enum status diagnostics_append_tally(const struct diagnostics *diagnostics, int64_t step_index,
                                     const struct diagnostics_tally *tally) MUST_USE;

/* A readable table of the file for gradus inspect: first, last and mean of each metric. */
enum status diagnostics_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
