/* SPDX-License-Identifier: Apache-2.0
 *
 * A diagnosis on problems whose steps are known: nothing is left to err on a diagonal quadratic with
 * plain gradient descent (Corollary 2 of the paper), elsewhere the error is that of a trajectory
 * stepped by hand; and whatever happens on the way, parameters and the optimizer's state are as they
 * were.
 */
#include "update/diagnose.h"

#include "toy.h"

enum { STEPS = 5 };
static int tallies, stop_at;

static enum status tally(void *context, const struct update_extrapolation *how) {
    const struct toy *t = context;
    tallies++;
    CHECK_NEAR(how->how.reposition, 1, 0);
    CHECK(!how->leaves_state);
    CHECK(t->ratio[0] != 0);
    return STATUS_OK;
}

static double distance(const double *x, const double *y, int n) {
    toy_vector difference;
    for (int i = 0; i < n; i++)
        difference[i] = x[i] - y[i];
    return toy_norm(difference, n);
}

static enum status compare(void *context, int start, int foretold, struct update_errors *found) {
    const struct toy *t = context;
    found->reached = distance(t->parameters, t->slots[start], t->n);
    found->relative = distance(t->parameters, t->slots[foretold], t->n) / found->reached;
    found->median = found->cosine = 0;
    return STATUS_OK;
}

static enum status gradient(void *context, int mini_batch, int pass, struct update_found *found) {
    const struct toy *t = context;
    CHECK_EQ(mini_batch, 0);
    CHECK_EQ(pass, t->gradients == 0 || t->gradients == 2 ? 0 : 1);
    if (t->gradients == stop_at)
        return FAIL(STATUS_STOPPED, "asked to stop");
    return toy_gradient(context, mini_batch, pass, found);
}

static enum status diagnose(struct toy *t, const struct update_settings *settings,
                            struct update_errors *errors) {
    const struct update_measures measures = {.tally = tally, .compare = compare};
    struct update_problem problem = toy_problem(t, 1);
    problem.gradient = gradient;
    return update_diagnose(settings, &problem, &measures, errors);
}

static struct toy problem_of(bool dense, bool adamw) {
    struct toy t = toy_make(8, 3);
    if (dense)
        toy_dense(&t, 4);
    for (int i = 0; !dense && i < t.n; i++)
        t.hessian[i][i] = 0.5 + 0.4 * i;
    t.adamw = adamw;
    t.exp_avg_sq[2] = t.exp_avg[2] = adamw ? 0.25 : 0;
    return t;
}

/* θ0 + s (θ2 − θ0) and θ_K, each coordinate by itself. */
static double error_by_hand(const struct toy *from) {
    struct toy two = *from, all = *from;
    struct update_found found;
    toy_vector first, told;
    for (int k = 0; k < STEPS; k++) {
        CHECK_OK(toy_gradient(&all, 0, 0, &found));
        CHECK_OK(toy_step(&all));
    }
    CHECK_OK(toy_gradient(&two, 0, 0, &found));
    memcpy(first, two.gradient, sizeof first);
    CHECK_OK(toy_step(&two));
    CHECK_OK(toy_gradient(&two, 0, 0, &found));
    CHECK_OK(toy_step(&two));
    for (int i = 0; i < from->n; i++) {
        const double r = two.gradient[i] / first[i];
        const double sum = 1 + r + r * r + r * r * r + r * r * r * r;
        told[i] = from->parameters[i] + sum / (1 + r) * (two.parameters[i] - from->parameters[i]);
    }
    return distance(all.parameters, told, from->n) /
           distance(all.parameters, from->parameters, from->n);
}

static void test_errors(bool dense, bool adamw) {
    struct toy t = problem_of(dense, adamw);
    const struct toy before = t;
    const struct update_settings settings = toy_settings(STEPS, 0.5);
    struct update_errors errors;
    tallies = 0;
    stop_at = -1;
    CHECK_OK(diagnose(&t, &settings, &errors));
    CHECK_EQ(t.gradients, STEPS + 2);
    CHECK_EQ(tallies, 1);
    const double want = error_by_hand(&before);
    CHECK_NEAR(errors.relative, want, 1e-12 + 1e-9 * want);
    if (!dense && !adamw)
        CHECK_NEAR(errors.relative, 0, 1e-12);
    else
        CHECK(errors.relative > 1e-3);
    CHECK(errors.reached > 0.1);
    CHECK_EQ(t.steps, before.steps);
    toy_same(&t, &before);
}

/* At whichever pass. */
static void test_interrupted(bool stopped) {
    const struct update_settings settings = toy_settings(STEPS, 0.5);
    struct update_errors errors;
    for (int pass = 0; pass < STEPS + 2; pass++) {
        struct toy t = problem_of(true, true);
        const struct toy before = t;
        stop_at = stopped ? pass : -1;
        t.bad[0] = stopped ? -1 : pass;
        if (stopped)
            CHECK_STATUS(diagnose(&t, &settings, &errors), STATUS_STOPPED, "asked to stop");
        else
            CHECK_OK(diagnose(&t, &settings, &errors));
        CHECK(isnan(errors.relative) && isnan(errors.median));
        CHECK_EQ(t.steps, before.steps);
        toy_same(&t, &before);
    }
}

int main(void) {
    test_errors(false, false);
    test_errors(true, false);
    test_errors(true, true);
    test_interrupted(true);
    test_interrupted(false);
    return CHECK_END();
}
