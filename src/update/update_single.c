/* SPDX-License-Identifier: Apache-2.0
 *
 * The plain rule: the batch is gone through `iterations` times, one optimizer step for each
 * mini-batch.
 */
#include "update/update.h"

static int passes(const struct update_settings *settings, int mini_batches) {
    return settings->iterations * mini_batches;
}

static enum status run(const struct update_settings *settings, const struct update_problem *problem,
                       struct shutoff *shutoff, struct update_report *report) {
    (void)shutoff;
    *report = update_report_empty();
    for (int i = 0; i < settings->iterations; i++)
        TRY(update_iteration(problem, report));
    return STATUS_OK;
}

const struct update_rule update_single = {
    .name = "single",
    .text = "one optimizer step for each mini-batch, iterations times",
    .passes = passes,
    .passes_most = passes,
    .run = run,
};
