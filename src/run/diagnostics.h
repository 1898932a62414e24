/* SPDX-License-Identifier: Apache-2.0
 *
 * diagnostics.h5: the metrics of all steps, readable at any moment by any HDF5 program, also after
 * kill -9 (design, section 8). Every dataset stands in full from the beginning, filled with NaN:
 * /step/<path> (steps), /pass/<path> (steps, passes), and /step/valid, how many steps are in; each
 * has the attributes units, description, reduction. A step changes the bytes of its row alone, by
 * pwrite, and the counter only after fsync, so that no kill can harm the structure.
 */
#ifndef RUN_DIAGNOSTICS_H
#define RUN_DIAGNOSTICS_H

#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "file/h5.h"
#include "file/provenance.h"
#include "run/metrics.h"

/* Makes the file for that many steps and passes per step. The first `kept` of them are in: as the
 * file that stands there has them, NaN where it has not. Atomic. */
enum status diagnostics_create(const char *path, int64_t steps, int passes, int64_t kept,
                               const struct provenance *provenance) MUST_USE;

/* Writes row step_index (from 0) and then sets /step/valid to step_index + 1. At most as many
 * passes as the file has; missing ones are NaN. STATUS_INPUT when the file is not one of
 * diagnostics_create or has no such row. */
enum status diagnostics_append(const char *path, int64_t step_index,
                               const struct metrics *metrics) MUST_USE;

/* A readable table of the file for gradus inspect: first, last and mean of each metric. */
enum status diagnostics_describe(const struct h5 *h5, struct strbuf *out) MUST_USE;

#endif
