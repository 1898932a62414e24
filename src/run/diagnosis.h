/* SPDX-License-Identifier: Apache-2.0
 *
 * update.diagnose_every: in every so many-th step, before the rule runs, what it is about to foretell
 * is measured against K true steps (update/diagnose.h), and the retention ratios and scales of each
 * tensor are counted. No bit of the run depends on it.
 */
#ifndef RUN_DIAGNOSIS_H
#define RUN_DIAGNOSIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "run/diagnostics.h"
#include "update/diagnose.h"

struct run;

/* Of the last diagnosis; a run without one holds nothing. */
struct diagnosis {
    bool made; /* in this step */
    struct update_errors errors;
    struct diagnostics_tensors tensors; /* names borrowed from the model */
    struct diagnostics_tally tally;
    const char **names;
};

/* Memory for it, where the settings ask for it; run_unreserve gives it back. */
enum status diagnosis_reserve(struct run *run) MUST_USE;
void diagnosis_unreserve(struct run *run);

/* Makes one where one is due. Collective. */
enum status diagnosis_make(struct run *run, const struct update_settings *settings,
                           const struct update_problem *problem) MUST_USE;

#endif
