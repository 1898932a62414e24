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
                       struct update_report *report) {
    *report = (struct update_report){.backward_passes = 0};
    for (int i = 0; i < settings->iterations; i++)
        TRY(update_iteration(problem, report));
    return STATUS_OK;
}

const struct update_rule update_single = {
    .name = "single",
    .text = "one optimizer step for each mini-batch, iterations times",
    .slots = 0,
    .passes = passes,
    .run = run,
};
