/* SPDX-License-Identifier: Apache-2.0 */
#include "update/diagnose.h"

#include <math.h>

/* Pass 0 finds π_old, which is that of θ0 in any case; the later ones bear one number. */
enum { FIRST_PASS, LATER_PASS };

static enum status gradient(const struct update_problem *problem, int pass, bool *finite) {
    struct update_found found;
    TRY(problem->gradient(problem->context, 0, pass, &found));
    *finite = found.finite && found.norm > 0;
    return STATUS_OK;
}

/* θ0 + Δ_K as two steps foretell it, to its slot. */
static enum status foretell(const struct update_settings *settings,
                            const struct update_problem *problem,
                            const struct update_measures *measures, bool *known) {
    struct update_extrapolation ahead = settings->ahead;
    struct extrapolation_sums sums;
    ahead.how.reposition = 1;
    ahead.leaves_state = false;
    TRY(gradient(problem, FIRST_PASS, known));
    if (!*known)
        return STATUS_OK;
    TRY(problem->step_keeping(problem->context));
    TRY(gradient(problem, LATER_PASS, known));
    if (!*known)
        return STATUS_OK;
    TRY(problem->extrapolate(problem->context, &ahead, &sums));
    TRY(measures->tally(problem->context, &ahead));
    return problem->keep(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_FORETOLD);
}

/* K steps from θ0. */
static enum status reach(const struct update_settings *settings,
                         const struct update_problem *problem,
                         const struct update_measures *measures, struct update_errors *found) {
    for (int32_t k = 0; k < settings->ahead.how.steps; k++) {
        bool finite;
        TRY(gradient(problem, k == 0 ? FIRST_PASS : LATER_PASS, &finite));
        if (!finite)
            return STATUS_OK;
        TRY(problem->step(problem->context));
    }
    return measures->compare(problem->context, UPDATE_SLOT_PARAMETERS, UPDATE_SLOT_FORETOLD, found);
}

static enum status restore(const struct update_problem *problem) {
    TRY(problem->lerp(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS, 0));
    return problem->take_back(problem->context);
}

/* What was asked of the run meanwhile is told when all is as it was; other failures end it. */
static enum status restore_after(const struct update_problem *problem, enum status status) {
    if (status != STATUS_OK && status != STATUS_STOPPED)
        return status;
    TRY(restore(problem));
    return status;
}

enum status update_diagnose(const struct update_settings *settings,
                            const struct update_problem *problem,
                            const struct update_measures *measures, struct update_errors *found) {
    const double unknown = (double)NAN;
    bool known;
    *found = (struct update_errors){unknown, unknown, unknown, unknown};
    TRY(problem->keep(problem->context, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS));
    TRY(problem->save(problem->context));
    TRY(restore_after(problem, foretell(settings, problem, measures, &known)));
    if (!known)
        return STATUS_OK;
    TRY(problem->save(problem->context));
    return restore_after(problem, reach(settings, problem, measures, found));
}
