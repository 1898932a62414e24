/* SPDX-License-Identifier: Apache-2.0
 *
 * GXPO, gradient extrapolation (arXiv 2605.06755; algorithms.md, section 1): two fast optimizer steps
 * on the batch, the place that K of them would reach foretold from these two, a part α of the way
 * there, and one step along the true gradient of that place.
 *
 *     θ1, θ2 = steps along g0, g1      r = g1 / g0      s = S_K(r) / S_2(r)
 *     θ~ = θ0 + α s (θ2 − θ0)          θ' = step from θ~ along g_slow
 *
 * The second step and the way to θ~ are one pass over memory. The shut-off test looks at the norm of
 * g_slow. What ends in an ordinary step from θ0 instead, on all ranks alike and at no further backward
 * pass: a first gradient that vanishes; a second one that is not finite (θ1 is that step); one at θ~
 * that is not finite (g0 is kept).
 */
#include "update/update.h"

#include <math.h>

/* A first gradient of this norm or less tells nothing. */
#define NORM_LEAST 1e-8

enum { PASSES = 3 };

static int passes(const struct update_settings *settings, int mini_batches) {
    (void)settings, (void)mini_batches;
    return PASSES;
}

static int slots(const struct update_settings *settings) {
    return settings->ahead.directions ? UPDATE_SLOT_DIRECTION + 1 : UPDATE_SLOT_GRADIENT + 1;
}

static bool saves(const struct update_settings *settings) {
    return settings->transactional;
}

static enum status gradient(const struct update_problem *problem, struct update_report *report,
                            struct update_found *found) {
    return problem->gradient(problem->context, 0, report->backward_passes++, found);
}

static enum status step(const struct update_problem *problem, struct update_report *report) {
    report->optimizer_steps++;
    return problem->step(problem->context);
}

/* The first fast step; *goes_on: there are two gradients to tell from, the second is the present one.
 * If not, the ordinary step is done. */
static enum status probe(const struct update_settings *settings,
                         const struct update_problem *problem, struct update_report *report,
                         bool *goes_on) {
    struct update_found first, second;
    *goes_on = false;
    report->fallback = true;
    TRY(gradient(problem, report, &first));
    report->ahead.norm_0 = first.norm;
    if (!first.finite) {
        report->skipped++;
        return STATUS_OK;
    }
    if (first.norm <= NORM_LEAST)
        return step(problem, report);
    if (settings->transactional)
        TRY(problem->save(problem->context));
    TRY(problem->step_keeping(problem->context));
    report->optimizer_steps++;
    TRY(gradient(problem, report, &second));
    report->ahead.norm_1 = second.norm;
    *goes_on = second.finite;
    report->fallback = !second.finite;
    return STATUS_OK;
}

static enum status extrapolate(const struct update_settings *settings,
                               const struct update_problem *problem, struct update_report *report) {
    TRY(problem->extrapolate(problem->context, &settings->ahead, &report->ahead.sums));
    report->ahead.extrapolated = true;
    report->optimizer_steps++;
    return settings->transactional ? problem->take_back(problem->context) : STATUS_OK;
}

static enum status fall_back(const struct update_problem *problem, struct update_report *report) {
    report->fallback = true;
    TRY(problem->lerp(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS, 0));
    TRY(problem->lerp(problem->context, UPDATE_GRADIENT, UPDATE_SLOT_GRADIENT, 0));
    return step(problem, report);
}

/* The step from where the extrapolation led. */
static enum status correct(const struct update_settings *settings,
                           const struct update_problem *problem, struct shutoff *shutoff,
                           struct update_report *report) {
    struct update_found slow;
    TRY(gradient(problem, report, &slow));
    report->ahead.norm_slow = slow.norm;
    if (!slow.finite)
        return fall_back(problem, report);
    TRY(problem->dot(problem->context, UPDATE_SLOT_GRADIENT, &report->ahead.product_slow));
    report->z = shutoff_observe(shutoff, &settings->shutoff, slow.norm);
    return step(problem, report);
}

static enum status run(const struct update_settings *settings, const struct update_problem *problem,
                       struct shutoff *shutoff, struct update_report *report) {
    bool goes_on;
    *report = update_report_empty();
    if (shutoff->off)
        return update_rest(settings, problem, shutoff, report);
    report->active = true;
    TRY(probe(settings, problem, report, &goes_on));
    if (!goes_on)
        return STATUS_OK;
    TRY(extrapolate(settings, problem, report));
    return correct(settings, problem, shutoff, report);
}

const struct update_rule update_gxpo = {
    .name = "gxpo",
    .text = "two steps, reposition of the way that virtual_steps are foretold to go, one step more",
    .slots = slots,
    .saves = saves,
    .shuts_off = true,
    .passes = passes,
    .passes_most = passes,
    .run = run,
};
