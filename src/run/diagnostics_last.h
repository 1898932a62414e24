/* SPDX-License-Identifier: Apache-2.0
 *
 * One number for a run, from its diagnostics.h5: where a metric ended.
 */
#ifndef RUN_DIAGNOSTICS_LAST_H
#define RUN_DIAGNOSTICS_LAST_H

#include <stdint.h>

#include "base/status.h"
#include "file/h5.h"

/* The mean of the last `last` values of a metric: of /step/<metric>, or of "eval/NAME/pass_at_1" of the
 * evaluations; 0 means 10 steps, or one evaluation. Steps without a value are no values; fewer than
 * asked for are all there are. STATUS_INPUT where there is no such metric, or no value. */
enum status diagnostics_last(const struct h5 *h5, const char *metric, int64_t last,
                             double *mean) MUST_USE;

/* Steps that are in. */
enum status diagnostics_valid(const struct h5 *h5, int64_t *steps) MUST_USE;

#endif
