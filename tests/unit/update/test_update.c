/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on a quadratic in double, where every step is known in closed form. A second rule, of the
 * shape of SFPO (arXiv 2510.04072), stands here to prove that the interface carries it; and one
 * that keeps gradients.
 *
 * L = mean over mini-batches of ½ Σ h (θ − c)², plain gradient descent.
 */
#include "update/update.h"

#include "check.h"

enum { DIMENSIONS = 4, BATCHES = 3, SLOTS = 2 };
static const double curvature[DIMENSIONS] = {1, 0.5, 2, 0.1};
static const double rate = 0.3;

struct quadratic {
    double parameters[DIMENSIONS], gradient[DIMENSIONS], slots[SLOTS][DIMENSIONS];
    double centres[BATCHES][DIMENSIONS];
    int gradients, steps, bad_pass, failing_step;
    int order[64]; /* mini-batch of each gradient */
    bool passes_in_order;
};

static enum status gradient(void *context, int mini_batch, int pass, bool *finite) {
    struct quadratic *q = context;
    q->passes_in_order = q->passes_in_order && pass == q->gradients;
    q->order[q->gradients++] = mini_batch;
    *finite = pass != q->bad_pass;
    for (int i = 0; i < DIMENSIONS; i++)
        q->gradient[i] =
            *finite ? curvature[i] * (q->parameters[i] - q->centres[mini_batch][i]) : (double)NAN;
    return STATUS_OK;
}

static enum status step(void *context) {
    struct quadratic *q = context;
    if (q->steps == q->failing_step)
        return FAIL(STATUS_MEMORY, "the step failed");
    q->steps++;
    for (int i = 0; i < DIMENSIONS; i++)
        q->parameters[i] -= rate * q->gradient[i];
    return STATUS_OK;
}

static double *present(struct quadratic *q, enum update_vector vector) {
    return vector == UPDATE_PARAMETERS ? q->parameters : q->gradient;
}

static enum status keep(void *context, enum update_vector vector, int slot) {
    struct quadratic *q = context;
    memcpy(q->slots[slot], present(q, vector), sizeof q->slots[slot]);
    return STATUS_OK;
}

static enum status lerp(void *context, enum update_vector vector, int slot, double factor) {
    struct quadratic *q = context;
    double *x = present(q, vector);
    for (int i = 0; i < DIMENSIONS; i++)
        x[i] = q->slots[slot][i] + factor * (x[i] - q->slots[slot][i]);
    return STATUS_OK;
}

static struct quadratic quadratic_make(void) {
    struct quadratic q = {
        .parameters = {3, -2, 1, 5}, .bad_pass = -1, .failing_step = -1, .passes_in_order = true};
    for (int b = 0; b < BATCHES; b++)
        for (int i = 0; i < DIMENSIONS; i++)
            q.centres[b][i] = 0.25 * b - 0.1 * i;
    return q;
}

static struct update_problem problem_of(struct quadratic *q, int mini_batches) {
    return (struct update_problem){
        .context = q,
        .mini_batches = mini_batches,
        .gradient = gradient,
        .step = step,
        .keep = keep,
        .lerp = lerp,
    };
}

/* θ after one step on a mini-batch: c + (1 − rate h)(θ − c). */
static void descend(double *theta, const double *centre) {
    for (int i = 0; i < DIMENSIONS; i++)
        theta[i] = centre[i] + (1 - rate * curvature[i]) * (theta[i] - centre[i]);
}

static void check_vector(const double *have, const double *want) {
    for (int i = 0; i < DIMENSIONS; i++)
        CHECK_NEAR(have[i], want[i], 1e-14);
}

static void test_single(void) {
    struct quadratic q = quadratic_make(), want = q;
    struct update_problem problem = problem_of(&q, BATCHES);
    problem.keep = NULL; /* no slots, so the rule needs neither */
    problem.lerp = NULL;
    struct update_report report;
    CHECK_EQ(update_single.slots, 0);
    CHECK_OK(update_single.run(&(struct update_settings){.iterations = 2}, &problem, &report));
    for (int pass = 0; pass < 2 * BATCHES; pass++) {
        CHECK_EQ(q.order[pass], pass % BATCHES);
        descend(want.parameters, want.centres[pass % BATCHES]);
    }
    check_vector(q.parameters, want.parameters);
    CHECK(q.passes_in_order);
    CHECK_EQ(report.backward_passes, 6);
    CHECK_EQ(report.optimizer_steps, 6);
    CHECK_EQ(report.skipped, 0);
    CHECK_EQ(update_single.passes(&(struct update_settings){.iterations = 2}, BATCHES), 6);
}

/* A gradient that is not finite is followed by no step, and by the next mini-batch. */
static void test_skip(void) {
    struct quadratic q = quadratic_make(), want = q;
    q.bad_pass = 1;
    const struct update_problem problem = problem_of(&q, BATCHES);
    struct update_report report;
    CHECK_OK(update_single.run(&(struct update_settings){.iterations = 1}, &problem, &report));
    descend(want.parameters, want.centres[0]);
    descend(want.parameters, want.centres[2]);
    check_vector(q.parameters, want.parameters);
    CHECK_EQ(report.backward_passes, 3);
    CHECK_EQ(report.optimizer_steps, 2);
    CHECK_EQ(report.skipped, 1);
}

static void test_failure(void) {
    struct quadratic q = quadratic_make();
    q.failing_step = 1;
    const struct update_problem problem = problem_of(&q, BATCHES);
    struct update_report report;
    CHECK_STATUS(update_single.run(&(struct update_settings){.iterations = 1}, &problem, &report),
                 STATUS_MEMORY, "the step failed");
    CHECK_EQ(report.optimizer_steps, 1);
    CHECK_EQ(report.backward_passes, 2);
}

/* SFPO: K passes, back to a part α of the way, one pass more. */
enum { SFPO_STEPS = 3 };
static const double sfpo_reposition = 0.8;

static enum status sfpo_run(const struct update_settings *settings,
                            const struct update_problem *problem, struct update_report *report) {
    (void)settings;
    *report = (struct update_report){.backward_passes = 0};
    TRY(problem->keep(problem->context, UPDATE_PARAMETERS, 0));
    for (int k = 0; k < SFPO_STEPS; k++)
        TRY(update_iteration(problem, report));
    TRY(problem->lerp(problem->context, UPDATE_PARAMETERS, 0, sfpo_reposition));
    return update_iteration(problem, report);
}

static void test_sfpo_shape(void) {
    static const struct update_rule sfpo = {.name = "sfpo", .slots = 1, .run = sfpo_run};
    struct quadratic q = quadratic_make();
    const struct quadratic start = q;
    const struct update_problem problem = problem_of(&q, 1);
    struct update_report report;
    CHECK_OK(sfpo.run(&(struct update_settings){.iterations = 1}, &problem, &report));
    for (int i = 0; i < DIMENSIONS; i++) {
        const double shrink = 1 - rate * curvature[i], c = start.centres[0][i];
        const double fast = c + pow(shrink, SFPO_STEPS) * (start.parameters[i] - c);
        const double there = start.parameters[i] + 0.8 * (fast - start.parameters[i]);
        CHECK_NEAR(q.parameters[i], c + shrink * (there - c), 1e-14);
    }
    CHECK_EQ(report.backward_passes, SFPO_STEPS + 1);
    CHECK_EQ(report.optimizer_steps, SFPO_STEPS + 1);
}

/* Heun's rule: a probing step, then back, and a step along the mean of both gradients. */
static enum status heun_run(const struct update_settings *settings,
                            const struct update_problem *problem, struct update_report *report) {
    (void)settings;
    bool finite;
    *report = (struct update_report){.backward_passes = 2, .optimizer_steps = 2};
    TRY(problem->keep(problem->context, UPDATE_PARAMETERS, 0));
    TRY(problem->gradient(problem->context, 0, 0, &finite));
    TRY(problem->keep(problem->context, UPDATE_GRADIENT, 1));
    TRY(problem->step(problem->context));
    TRY(problem->gradient(problem->context, 0, 1, &finite));
    TRY(problem->lerp(problem->context, UPDATE_GRADIENT, 1, 0.5));
    TRY(problem->lerp(problem->context, UPDATE_PARAMETERS, 0, 0));
    return problem->step(problem->context);
}

static void test_kept_gradient(void) {
    static const struct update_rule heun = {.name = "heun", .slots = 2, .run = heun_run};
    struct quadratic q = quadratic_make();
    const struct quadratic start = q;
    const struct update_problem problem = problem_of(&q, 1);
    struct update_report report;
    CHECK_OK(heun.run(&(struct update_settings){.iterations = 1}, &problem, &report));
    for (int i = 0; i < DIMENSIONS; i++) {
        const double x = rate * curvature[i], c = start.centres[0][i];
        CHECK_NEAR(q.parameters[i], c + (1 - x + x * x / 2) * (start.parameters[i] - c), 1e-14);
    }
}

static void test_registry(void) {
    int count;
    const struct update_rule *const *rules = update_list(&count);
    CHECK_EQ(count, 1);
    CHECK(rules[0] == &update_single && update_find("single") == &update_single);
    CHECK(update_find("double") == NULL);
}

int main(void) {
    test_registry();
    test_single();
    test_skip();
    test_failure();
    test_sfpo_shape();
    test_kept_gradient();
    return CHECK_END();
}
