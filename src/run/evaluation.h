/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluations on the way of a run (eval.every): before the first step, after each so many and after
 * the last, of the sets of eval.sets, into /eval/<set> of diagnostics.h5. They read the parameters and
 * change nothing of the run: no bit of it depends on them, and their time is in no step's.
 *
 * What the file has of a step is not computed again, so that a restart finds an evaluation done, or
 * does it again from the checkpoint's parameters to the same bits.
 */
#ifndef RUN_EVALUATION_H
#define RUN_EVALUATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "eval/evaluation.h"
#include "run/diagnostics_eval.h"

struct run;

struct run_evaluation {
    bool on;       /* the run has evaluations, and what follows is there */
    bool given_up; /* the last one was: it is to be made again */
    struct evaluation problems;
    const char **names;                     /* (sets.count) */
    struct diagnostics_sets sets;           /* what diagnostics.h5 has of them */
    struct diagnostics_evaluation *figures; /* (sets.count), on all ranks */
    int64_t step;                           /* of the figures; −1: none yet */
};

/* Reads the problems where the settings ask for evaluations, once the run's prompt form is there; the
 * run's longest sequence takes theirs in. run_evaluation_close gives them back, also after a failure. */
enum status run_evaluation_open(struct run *run) MUST_USE;
void run_evaluation_close(struct run *run);

/* Evaluates after the last finished step where that is due and not in the file. Asked to stop, it gives
 * up and says so in run->evaluation.given_up. Collective. */
enum status run_evaluate(struct run *run) MUST_USE;

/* The figure that checkpoint.best calls by "eval/<set>/<figure>": whether it is one, and of the
 * evaluation after the last finished step, NaN where there was none. */
bool run_evaluation_figure(const struct run *run, const char *name, double *value);

#endif
