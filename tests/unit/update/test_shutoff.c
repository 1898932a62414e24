/* SPDX-License-Identifier: Apache-2.0
 *
 * Scores of the shut-off test by hand.
 */
#include "update/shutoff.h"

#include "check.h"

static const struct shutoff_settings usual = {
    .window = 4, .warmup = 4, .threshold = 2, .patience = 1, .std_floor = 0};

static double observe_all(struct shutoff *s, const struct shutoff_settings *settings,
                          const double *values, int n) {
    double z = 0;
    for (int i = 0; i < n; i++)
        z = shutoff_observe(s, settings, values[i]);
    return z;
}

/* Window {1, 3, 1, 3}: mean 2, deviation 1. */
static const double four[] = {1, 3, 1, 3};

static void test_score(void) {
    struct shutoff s = {.count = 0};
    CHECK(isnan(observe_all(&s, &usual, four, 4)));
    CHECK_NEAR(shutoff_observe(&s, &usual, 3.5), 1.5, 1e-8);
    CHECK(!s.off);
    /* 3.5 3 1 3 */
    CHECK_NEAR(shutoff_observe(&s, &usual, 100), (100 - 2.625) / sqrt(0.921875), 1e-5);
    CHECK(s.off && s.streak == 1 && s.count == 6);
}

/* The last four and no more; from warmup on, with what there is, but never of one number. */
static void test_window(void) {
    struct shutoff s = {.count = 0}, early = {.count = 0};
    struct shutoff_settings soon = usual;
    static const double values[] = {1e6, -1e6, 1, 3, 1, 3};
    soon.warmup = 1;
    soon.threshold = 0; /* never off */
    observe_all(&s, &soon, values, 6);
    CHECK_NEAR(shutoff_observe(&s, &soon, 5), 3, 1e-8);
    CHECK(!s.off && s.streak == 0);
    CHECK(isnan(shutoff_observe(&early, &soon, 1)));
    CHECK(isnan(shutoff_observe(&early, &soon, 3)));
    CHECK_NEAR(shutoff_observe(&early, &soon, 3), 1, 1e-8);
}

static void test_sides(void) {
    struct shutoff one = {.count = 0}, two = {.count = 0};
    struct shutoff_settings both = usual;
    both.two_sided = true;
    observe_all(&one, &usual, four, 4);
    observe_all(&two, &both, four, 4);
    CHECK_NEAR(shutoff_observe(&one, &usual, -1), -3, 1e-8);
    CHECK_NEAR(shutoff_observe(&two, &both, -1), -3, 1e-8);
    CHECK(!one.off && two.off);
}

/* Equal numbers have no deviation: rounding would be a large score without a floor. */
static void test_floor(void) {
    static const double equal[] = {5, 5, 5, 5};
    struct shutoff s = {.count = 0};
    struct shutoff_settings settings = usual;
    settings.std_floor = 1e-3;
    observe_all(&s, &settings, equal, 4);
    CHECK_NEAR(shutoff_observe(&s, &settings, 5.001), 0.001 / (5e-3 + 1e-9), 1e-8);
    CHECK(!s.off);
}

/* As SFPO's code: the newest is among the window's; a score of n numbers is at most √(n − 1). */
static void test_inclusive(void) {
    struct shutoff s = {.count = 0};
    struct shutoff_settings settings = usual;
    settings.inclusive = true;
    settings.threshold = 1.7;
    CHECK_NEAR(observe_all(&s, &settings, four, 4), 1, 1e-8); /* of the fourth already */
    observe_all(&s, &settings, (const double[]){1, 1, 1}, 3);
    CHECK_NEAR(shutoff_observe(&s, &settings, 1e9), sqrt(3), 1e-6);
    CHECK(s.off);
}

/* Scores in a row, all against the mean and deviation of the first; one below begins anew. */
static void test_patience(void) {
    struct shutoff s = {.count = 0};
    struct shutoff_settings settings = usual;
    settings.patience = 3;
    observe_all(&s, &settings, four, 4);
    CHECK_NEAR(shutoff_observe(&s, &settings, 10), 8, 1e-6);
    CHECK_NEAR(shutoff_observe(&s, &settings, 10), 8, 1e-6);
    CHECK(!s.off && s.streak == 2);
    CHECK_NEAR(shutoff_observe(&s, &settings, 3), 1, 1e-8);
    CHECK_EQ(s.streak, 0);
    CHECK_NEAR(shutoff_observe(&s, &settings, 3), (3 - 6.5) / 3.5, 1e-6); /* of 3 10 10 3 */
    observe_all(&s, &settings, four, 4);
    observe_all(&s, &settings, (const double[]){9, 9, 9}, 3);
    CHECK(s.off);
}

static void test_rearm(void) {
    struct shutoff s = {.count = 0};
    struct shutoff_settings settings = usual;
    settings.rearm = 2;
    observe_all(&s, &settings, four, 4);
    shutoff_observe(&s, &settings, 9);
    CHECK(s.off);
    shutoff_rest(&s, &settings);
    CHECK(s.off);
    shutoff_rest(&s, &settings);
    CHECK(!s.off && s.streak == 0 && s.rested == 0 && s.count == 5);
    settings.rearm = 0;
    s.off = true;
    for (int i = 0; i < 1000; i++)
        shutoff_rest(&s, &settings);
    CHECK(s.off);
}

int main(void) {
    test_score();
    test_window();
    test_sides();
    test_floor();
    test_inclusive();
    test_patience();
    test_rearm();
    return CHECK_END();
}
