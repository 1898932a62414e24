/* SPDX-License-Identifier: Apache-2.0
 *
 * One number for a run, from its diagnostics.h5: where a metric ended, or what it came to on the way.
 */
#ifndef RUN_DIAGNOSTICS_LAST_H
#define RUN_DIAGNOSTICS_LAST_H

#include <stdint.h>

#include "base/status.h"
#include "file/h5.h"

/* DIAGNOSTICS_MEAN: the mean of the last `last` values of a metric: of /step/<metric>, or of "eval/NAME/pass_at_1" of the
 * evaluations; 0 means 10 steps, or one evaluation. Steps without a value are no values; fewer than
 * asked for are all there are. DIAGNOSTICS_AREA: the area under the metric against steps, in trapezoids
 * between the values in the last `last` steps of the run; 0 means all steps. STATUS_INPUT where there is
 * no such metric, or no value, or of an area one value. */
enum diagnostics_form { DIAGNOSTICS_MEAN, DIAGNOSTICS_AREA };
enum status diagnostics_last(const struct h5 *h5, const char *metric, enum diagnostics_form form,
                             int64_t last, double *out) MUST_USE;

/* Steps that are in. */
enum status diagnostics_valid(const struct h5 *h5, int64_t *steps) MUST_USE;

#endif
