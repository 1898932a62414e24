/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of diagnostics.h5 that evaluations on the way of a run leave, for each set of problems
 *
 *     /eval/<set>/{step, pass_at_1, error, backward_passes, tokens, seconds, mean_length,
 *                  clipped_ratio} (rows)
 *
 * A row is one evaluation, in the order of steps; rows that are not in are NaN. `step` is written
 * last, after fsync of the others: a row counts where it is a number. Like all of the file this can
 * be read at any moment and after a kill; run/diagnostics.h makes and owns the file.
 */
#ifndef RUN_DIAGNOSTICS_EVAL_H
#define RUN_DIAGNOSTICS_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "file/h5.h"

struct diagnostics;

/* What is evaluated; rows: evaluations of the whole run, at most. */
struct diagnostics_sets {
    const char *const *names; /* (count) */
    int64_t count, rows;
};

/* One evaluation of one set. */
struct diagnostics_evaluation {
    int64_t step; /* finished before it */
    double pass_at_1, error;
    double backward_passes, tokens; /* of the run up to there; tokens: of its answers */
    double seconds;                 /* of the run up to there, those of evaluations left out */
    double mean_length, clipped_ratio;
};

/* For diagnostics_create: the datasets, with the rows of `before` (NULL: none) whose step is at most
 * `kept`. */
enum status diagnostics_put_sets(struct h5 *h5, const struct h5 *before,
                                 const struct diagnostics_sets *sets, int64_t kept) MUST_USE;

/* Adds an evaluation of a set behind those that are in, where there is none of its step; makes room
 * first where the file has none. All rows of /step up to that step must be in. */
enum status diagnostics_append_evaluation(const struct diagnostics *diagnostics, int64_t set,
                                          const struct diagnostics_evaluation *evaluation) MUST_USE;

/* The evaluation of a set at a step; *found is false where it is not in. */
enum status diagnostics_find_evaluation(const struct diagnostics *diagnostics, int64_t set,
                                        int64_t step, bool *found,
                                        struct diagnostics_evaluation *out) MUST_USE;

/* Seconds that the first `steps` steps took, with their writing, as the file has them. */
enum status diagnostics_training_s(const struct diagnostics *diagnostics, int64_t steps,
                                   double *seconds) MUST_USE;

/* The number of struct diagnostics_evaluation that a column is called by, "pass_at_1"; NULL when there
 * is no such column or it is no figure of the answers. */
const double *diagnostics_figure(const struct diagnostics_evaluation *evaluation, const char *name);

#endif
