/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on a diagonal quadratic in double, where every step is known in closed form; and one rule more
 * that keeps gradients, to prove that the interface carries it.
 */
#include "toy.h"

enum { DIMENSIONS = 4 };
static const double curvature[DIMENSIONS] = {1, 0.5, 2, 0.1};

static struct toy diagonal(void) {
    static const double start[DIMENSIONS] = {3, -2, 1, 5};
    struct toy t = toy_make(DIMENSIONS, 1);
    t.rate = 0.3;
    for (int i = 0; i < DIMENSIONS; i++) {
        t.hessian[i][i] = curvature[i];
        t.parameters[i] = start[i];
        for (int b = 0; b < TOY_BATCHES; b++)
            t.centres[b][i] = 0.25 * b - 0.1 * i;
    }
    return t;
}

/* θ after one step on a mini-batch: c + (1 − rate h)(θ − c). */
static void descend(double *theta, const double *centre) {
    for (int i = 0; i < DIMENSIONS; i++)
        theta[i] = centre[i] + (1 - 0.3 * curvature[i]) * (theta[i] - centre[i]);
}

static void check_vector(const double *have, const double *want) {
    for (int i = 0; i < DIMENSIONS; i++)
        CHECK_NEAR(have[i], want[i], 1e-14);
}

static void test_single(void) {
    struct toy q = diagonal(), want = q;
    const struct update_problem problem = {
        .context = &q, .mini_batches = TOY_BATCHES, .gradient = toy_gradient, .step = toy_step};
    struct shutoff shutoff = {.count = 0};
    struct update_report report;
    CHECK(update_single.slots == NULL && update_single.saves == NULL); /* so it needs no more */
    CHECK_OK(
        update_single.run(&(struct update_settings){.iterations = 2}, &problem, &shutoff, &report));
    for (int pass = 0; pass < 2 * TOY_BATCHES; pass++) {
        CHECK_EQ(q.order[pass], pass % TOY_BATCHES);
        descend(want.parameters, want.centres[pass % TOY_BATCHES]);
    }
    check_vector(q.parameters, want.parameters);
    CHECK(q.passes_in_order);
    CHECK_EQ(report.backward_passes, 6);
    CHECK_EQ(report.optimizer_steps, 6);
    CHECK_EQ(report.skipped, 0);
    CHECK_EQ(update_single.passes(&(struct update_settings){.iterations = 2}, TOY_BATCHES), 6);
}

/* A gradient that is not finite is followed by no step, and by the next mini-batch. */
static void test_skip(void) {
    struct toy q = diagonal(), want = q;
    const struct update_settings settings = {.iterations = 1};
    q.bad[0] = 1;
    const struct update_report report = toy_run(&q, &update_single, &settings, TOY_BATCHES, NULL);
    descend(want.parameters, want.centres[0]);
    descend(want.parameters, want.centres[2]);
    check_vector(q.parameters, want.parameters);
    CHECK_EQ(report.backward_passes, 3);
    CHECK_EQ(report.optimizer_steps, 2);
    CHECK_EQ(report.skipped, 1);
}

static void test_failure(void) {
    struct toy q = diagonal();
    struct shutoff shutoff = {.count = 0};
    q.failing_step = 1;
    const struct update_problem problem = toy_problem(&q, TOY_BATCHES);
    struct update_report report;
    CHECK_STATUS(
        update_single.run(&(struct update_settings){.iterations = 1}, &problem, &shutoff, &report),
        STATUS_MEMORY, "the step failed");
    CHECK_EQ(report.optimizer_steps, 1);
    CHECK_EQ(report.backward_passes, 2);
}

/* SFPO: K passes, back to a part α of the way, one pass more; each over all mini-batches. */
static void test_sfpo(int batches) {
    struct toy q = diagonal(), want = q;
    const struct update_settings settings = toy_settings(3, 0.8);
    const struct update_report report = toy_run(&q, &update_sfpo, &settings, batches, NULL);
    const struct toy start = want;
    for (int pass = 0; pass < 3 * batches; pass++)
        descend(want.parameters, want.centres[pass % batches]);
    for (int i = 0; i < DIMENSIONS; i++)
        want.parameters[i] = start.parameters[i] + 0.8 * (want.parameters[i] - start.parameters[i]);
    for (int b = 0; b < batches; b++)
        descend(want.parameters, want.centres[b]);
    check_vector(q.parameters, want.parameters);
    CHECK_EQ(report.backward_passes, 4 * batches);
    CHECK_EQ(report.optimizer_steps, 4 * batches);
    CHECK_EQ(update_sfpo.passes(&settings, batches), 4 * batches);
    CHECK(report.active && !report.fallback);
}

/* What is met on the way leaves one ordinary pass from where the step began. */
static void test_sfpo_fallback(int bad, int passes) {
    struct toy q = diagonal(), want = q;
    const struct update_settings settings = toy_settings(3, 0.8);
    q.bad[0] = bad;
    const struct update_report report = toy_run(&q, &update_sfpo, &settings, 2, NULL);
    descend(want.parameters, want.centres[0]);
    descend(want.parameters, want.centres[1]);
    check_vector(q.parameters, want.parameters);
    CHECK(report.fallback);
    CHECK_EQ(report.backward_passes, passes);
    CHECK(report.backward_passes <= update_sfpo.passes_most(&settings, 2));
}

/* Heun's rule: a probing step, then back, and a step along the mean of both gradients. */
static void test_kept_gradient(void) {
    struct toy q = diagonal();
    const struct toy start = q;
    struct update_found found;
    CHECK_OK(toy_keep(&q, UPDATE_PARAMETERS, 0));
    CHECK_OK(toy_gradient(&q, 0, 0, &found));
    CHECK_OK(toy_keep(&q, UPDATE_GRADIENT, 1));
    CHECK_OK(toy_step(&q));
    CHECK_OK(toy_gradient(&q, 0, 1, &found));
    CHECK_OK(toy_lerp(&q, UPDATE_GRADIENT, 1, 0.5));
    CHECK_OK(toy_lerp(&q, UPDATE_PARAMETERS, 0, 0));
    CHECK_OK(toy_step(&q));
    for (int i = 0; i < DIMENSIONS; i++) {
        const double x = 0.3 * curvature[i], c = start.centres[0][i];
        CHECK_NEAR(q.parameters[i], c + (1 - x + x * x / 2) * (start.parameters[i] - c), 1e-14);
    }
}

static void test_registry(void) {
    int count;
    const struct update_rule *const *rules = update_list(&count);
    CHECK_EQ(count, 3);
    CHECK(rules[0] == &update_single && update_find("single") == &update_single);
    CHECK(update_find("sfpo") == &update_sfpo && update_find("gxpo") == &update_gxpo);
    CHECK(update_find("double") == NULL);
}

int main(void) {
    test_registry();
    test_single();
    test_skip();
    test_failure();
    test_sfpo(1);
    test_sfpo(2);
    test_sfpo_fallback(0, 4); /* in a fast pass: the slow one is the ordinary one */
    test_sfpo_fallback(3, 6);
    test_sfpo_fallback(7, 10); /* in the slow pass: one more */
    test_kept_gradient();
    return CHECK_END();
}
