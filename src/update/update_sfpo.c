/* SPDX-License-Identifier: Apache-2.0
 *
 * SFPO, "Slow-Fast Policy Optimization" (arXiv 2510.04072; algorithms.md, section 2): K ordinary
 * passes over the batch, back to a part α of the way, one pass more.
 *
 *     θ_K = K passes from θ0      θ~ = θ0 + α (θ_K − θ0)      θ' = one pass from θ~
 *
 * A pass takes every mini-batch with an optimizer step each; the optimizer's state keeps all of them.
 * The shut-off test looks at the entropy of the last pass. A fast pass that meets a gradient that is
 * not finite leaves one ordinary pass from θ0, and so does a slow one.
 */
#include "update/update.h"

static int passes(const struct update_settings *settings, int mini_batches) {
    return (settings->ahead.how.steps + 1) * mini_batches;
}

/* A slow pass that fails is followed by an ordinary one. */
static int passes_most(const struct update_settings *settings, int mini_batches) {
    return (settings->ahead.how.steps + 2) * mini_batches;
}

static int slots(const struct update_settings *settings) {
    (void)settings;
    return UPDATE_SLOT_PARAMETERS + 1;
}

static enum status start_again(const struct update_problem *problem, struct update_report *report) {
    report->fallback = true;
    return problem->lerp(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS, 0);
}

/* The fast passes, and to where the slow one begins. */
static enum status look_ahead(const struct extrapolation *how, const struct update_problem *problem,
                              struct update_report *report) {
    TRY(problem->keep(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS));
    for (int k = 0; k < how->steps && report->skipped == 0; k++)
        TRY(update_iteration(problem, report));
    if (report->skipped > 0)
        return start_again(problem, report);
    return problem->lerp(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS,
                         how->reposition);
}

static enum status run(const struct update_settings *settings, const struct update_problem *problem,
                       struct shutoff *shutoff, struct update_report *report) {
    *report = update_report_empty();
    if (shutoff->off)
        return update_rest(settings, problem, shutoff, report);
    report->active = true;
    TRY(look_ahead(&settings->ahead.how, problem, report));
    const int skipped = report->skipped;
    TRY(update_iteration(problem, report));
    if (report->fallback)
        return STATUS_OK;
    if (report->skipped > skipped) {
        TRY(start_again(problem, report));
        return update_iteration(problem, report);
    }
    report->z = shutoff_observe(shutoff, &settings->shutoff, report->entropy);
    return STATUS_OK;
}

const struct update_rule update_sfpo = {
    .name = "sfpo",
    .text = "virtual_steps passes, back to reposition of the way, one pass more",
    .slots = slots,
    .shuts_off = true,
    .passes = passes,
    .passes_most = passes_most,
    .run = run,
};
