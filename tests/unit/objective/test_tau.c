/* SPDX-License-Identifier: Apache-2.0
 *
 * The controller of τ on batches of fixed ratios, where EUR is a known function of τ: what its
 * convergence rests on holds for every soft gate, it reaches each target at the promised rate, keeps
 * the ratio of both τ and its bounds, and forgets a bound at once. The schedule by its closed form.
 */
#include "objective/tau.h"

#include "base/random.h"
#include "check.h"

enum { TOKENS = 400 };

/* Tokens of one group, by their advantage's sign, some of them far from 1. */
struct batch {
    double ratio[TOKENS], advantage[TOKENS];
};

static struct batch batch_of(double spread) {
    struct batch b;
    for (uint32_t i = 0; i < TOKENS; i++) {
        const double x = random_normal(5, RANDOM_TEST, i, 0, 0, 0);
        b.ratio[i] = exp(spread * x * (i % 10 == 0 ? 8 : 1));
        b.advantage[i] = i % 3 == 0 ? 1 : -1;
    }
    return b;
}

static double eur_of(const struct gate *gate, const struct gate_settings *settings,
                     const struct batch *b) {
    double sum = 0, value, slope;
    for (int i = 0; i < TOKENS; i++) {
        gate->evaluate(settings, b->ratio[i], b->advantage[i], &value, &slope);
        sum += slope;
    }
    return sum / TOKENS;
}

static struct tau_settings eur_settings(double target, double gain, double smoothing) {
    return (struct tau_settings){.control = TAU_EUR,
                                 .tau_pos = 10,
                                 .tau_neg = 12,
                                 .target = target,
                                 .gain = gain,
                                 .smoothing = smoothing,
                                 .scale_least = 1e-3,
                                 .scale_most = 1e3};
}

/* Steps on one batch; returns the EUR of the last. */
static double steer(const struct tau_settings *settings, struct tau *tau, const struct gate *gate,
                    const struct batch *b, int steps) {
    struct gate_settings at = {.clip_low = 0.2, .clip_high = 0.2};
    double eur = 0;
    for (int step = 1; step <= steps; step++) {
        tau_set(settings, tau, step, &at);
        CHECK_NEAR(at.tau_neg / at.tau_pos, 1.2, 1e-14);
        eur = eur_of(gate, &at, b);
        tau_observe(settings, tau, eur);
    }
    return eur;
}

/* 0 < d log(1 − EUR) / d log s ≤ 2, by differences, wherever 1 − EUR has digits. */
static void test_elasticity(const struct gate *gate) {
    const struct batch b = batch_of(0.05);
    double most = 0;
    for (double scale = 1e-3; scale < 50; scale *= 1.1) {
        const struct gate_settings here = {.tau_pos = 10 * scale, .tau_neg = 12 * scale};
        const struct gate_settings beyond = {.tau_pos = 10.1 * scale, .tau_neg = 12.12 * scale};
        const double slope =
            (log1p(-eur_of(gate, &beyond, &b)) - log1p(-eur_of(gate, &here, &b))) / log(1.01);
        CHECK(slope > 0 && slope <= 2 + 1e-6);
        most = slope > most ? slope : most;
    }
    CHECK_NEAR(most, 2, 0.05); /* what the gain is measured by is reached */
}

static void test_converges(const struct gate *gate) {
    static const double targets[] = {0.5, 0.9, 0.99}, gains[] = {0.1, 0.3, 1},
                        smoothings[] = {0, 0.5, 0.9};
    const struct batch b = batch_of(0.05);
    for (int t = 0; t < 3; t++)
        for (int g = 0; g < 3; g++)
            for (int s = 0; s < 3; s++) {
                const struct tau_settings settings =
                    eur_settings(targets[t], gains[g], smoothings[s]);
                struct tau tau = {.log_scale = 0};
                const double eur = steer(&settings, &tau, gate, &b, 1500);
                CHECK_NEAR((1 - eur) / (1 - targets[t]), 1, 1e-9);
            }
}

/* Near 1, 1 − EUR goes with the square of τ: the error of log s falls by the gain at each step. */
static void test_rate(const struct gate *gate) {
    const struct batch b = batch_of(1e-4);
    const struct tau_settings settings = eur_settings(0.9999, 0.3, 0);
    struct tau tau = {.log_scale = 0}, end = tau;
    (void)steer(&settings, &end, gate, &b, 400);
    (void)steer(&settings, &tau, gate, &b, 20);
    const double before = tau.log_scale - end.log_scale;
    (void)steer(&settings, &tau, gate, &b, 1);
    CHECK(fabs(before) > 1e-6);
    CHECK_NEAR((tau.log_scale - end.log_scale) / before, 0.7, 2e-3);
}

/* A target out of reach ends at the bound, and a batch that reaches it leaves the bound. */
static void test_bounds(void) {
    const struct batch near = batch_of(1e-5), far = batch_of(1);
    struct tau_settings settings = eur_settings(0.5, 0.3, 0.5);
    struct tau tau = {.log_scale = 0};
    settings.scale_least = 0.25;
    settings.scale_most = 4;
    (void)steer(&settings, &tau, &gate_erf, &near, 100);
    CHECK_NEAR(exp(tau.log_scale), 4, 1e-12);
    (void)steer(&settings, &tau, &gate_erf, &far, 12);
    CHECK(exp(tau.log_scale) < 3.9);
    (void)steer(&settings, &tau, &gate_erf, &far, 100);
    CHECK_NEAR(exp(tau.log_scale), 0.25, 1e-12);
}

/* No ratio has moved, or nothing is known: nothing changes. A freak moves τ by a bounded part. */
static void test_nothing_told(void) {
    const struct tau_settings settings = eur_settings(0.9, 0.3, 0.5);
    const struct tau before = {.log_scale = 0.5, .error = 0.25};
    struct tau tau = before;
    tau_observe(&settings, &tau, 1);
    tau_observe(&settings, &tau, (double)NAN);
    CHECK(tau.log_scale == before.log_scale && tau.error == before.error);
    tau_observe(&settings, &tau, nextafter(1, 0));
    CHECK_NEAR(tau.error, 0.125 - 2, 1e-15);
    CHECK_NEAR(tau.log_scale, 0.5 + 0.15 * 1.875, 1e-15);
    tau = before;
    tau_observe(&settings, &tau, 0.8); /* by hand: x = log 2 */
    CHECK_NEAR(tau.error, 0.125 + 0.5 * 0.69314718055994531, 1e-15);
    CHECK_NEAR(tau.log_scale, 0.5 - 0.15 * (0.125 + 0.5 * 0.69314718055994531), 1e-15);
}

static void test_schedule(void) {
    struct tau_settings settings = {
        .control = TAU_SCHEDULE, .tau_pos = 10, .tau_neg = 12, .scale_end = 0.25, .steps = 11};
    struct tau tau = {.log_scale = 0};
    struct gate_settings at;
    static const struct {
        int step;
        double scale;
    } want[] = {{1, 1}, {6, 0.5}, {11, 0.25}, {2, 0.87055056329612414}};
    for (int i = 0; i < 4; i++) {
        tau_set(&settings, &tau, want[i].step, &at);
        CHECK_NEAR(at.tau_pos, 10 * want[i].scale, 1e-14);
        CHECK_NEAR(at.tau_neg, 12 * want[i].scale, 1e-14);
    }
    tau_observe(&settings, &tau, 0.5);
    CHECK(tau.log_scale == 0 && tau.error == 0);
    settings.steps = 1;
    tau_set(&settings, &tau, 1, &at);
    CHECK(at.tau_pos == 10);
    settings.control = TAU_FIXED;
    tau_set(&settings, &tau, 7, &at);
    CHECK(at.tau_pos == 10 && at.tau_neg == 12);
}

int main(void) {
    int count;
    const struct gate *const *gates = gate_list(&count);
    for (int i = 0; i < count; i++) {
        if (!gates[i]->soft)
            continue;
        test_elasticity(gates[i]);
        test_converges(gates[i]);
        test_rate(gates[i]);
    }
    test_bounds();
    test_nothing_told();
    test_schedule();
    return CHECK_END();
}
