/* SPDX-License-Identifier: Apache-2.0
 *
 * What the runs of a design came to: a number from the diagnostics of each, and what follows.
 */
#ifndef CLI_SWEEP_RESULTS_H
#define CLI_SWEEP_RESULTS_H

#include "base/status.h"
#include "base/strbuf.h"
#include "cli/sweep_plan.h"
#include "sweep/effects.h"

struct sweep_results {
    double *values;             /* (plan->runs) */
    struct responses responses; /* borrowed from values */
    struct effects effects;
};

/* Reads sweep.metric from diagnostics.h5 of every run. STATUS_INPUT when a run is not there, has not
 * done all its steps, or had other values of the factors. */
enum status sweep_results_read(const struct sweep_plan *plan,
                               struct sweep_results *results) MUST_USE;
void sweep_results_release(struct sweep_results *results);

/* The point of the steepest ascent (descent, where the smallest is looked for): coded places of the
 * factors, exact values, and values as they stand on a command line; of words the better one, whose
 * place is -1 or 1 and has no value. */
struct sweep_next {
    double place[DESIGN_FACTORS_MAX], exact[DESIGN_FACTORS_MAX];
    struct strbuf value[DESIGN_FACTORS_MAX];
};

/* The caller releases it, also after a failure. */
enum status sweep_results_ascend(const struct sweep_plan *plan, const struct sweep_results *results,
                                 struct sweep_next *next) MUST_USE;
void sweep_next_release(struct sweep_next *next);

#endif
