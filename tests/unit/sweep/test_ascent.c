/* SPDX-License-Identifier: Apache-2.0
 *
 * Steepest ascent: from the effects of the adversarial note, with a step of 1.5, its next run, as
 * algorithms.md works it out; sides of different width, linear factors, steps downwards, rounding.
 */
#include "sweep/ascent.h"

#include "check.h"

static void test_note(void) {
    const struct ascent_factor factors[] = {
        {5e-6, 1e-5, 2e-5, true}, {5e-6, 2e-5, 1e-4, true}, {0.1, 1, 10, true}};
    const double b[] = {0.01125, 0.01075, 0.01225}, coded[] = {1.3776, 1.3163, 1.5},
                 exact[] = {2.60e-5, 1.66e-4, 31.6}, next[] = {3e-5, 2e-4, 30};
    double x[3];
    ascent_step(b, 3, 1.5, x);
    for (int i = 0; i < 3; i++) {
        CHECK_NEAR(x[i], coded[i], 5e-5);
        CHECK_NEAR(ascent_value(&factors[i], x[i]) / exact[i], 1, 3e-3);
        CHECK(ascent_round(ascent_value(&factors[i], x[i]), 1) == next[i]);
    }
}

/* At -1, 0, 1 the value is low, centre, high; half way the geometric or the arithmetic mean. */
static void test_ends(void) {
    const struct ascent_factor log = {1, 4, 100, true}, line = {-1, 1, 7, false};
    CHECK_NEAR(ascent_value(&log, -1), 1, 1e-12);
    CHECK_NEAR(ascent_value(&log, 0), 4, 1e-12);
    CHECK_NEAR(ascent_value(&log, 1), 100, 1e-12);
    CHECK_NEAR(ascent_value(&log, 0.5), 20, 1e-12);
    CHECK_NEAR(ascent_value(&log, -0.5), 2, 1e-12);
    CHECK_NEAR(ascent_value(&log, -2), 0.25, 1e-12);
    CHECK_NEAR(ascent_value(&line, -1), -1, 1e-12);
    CHECK_NEAR(ascent_value(&line, 0.5), 4, 1e-12);
    CHECK_NEAR(ascent_value(&line, -1.5), -2, 1e-12);
}

static void test_step(void) {
    double x[3] = {1, -4, 0};
    ascent_step(x, 3, 2, x);
    CHECK_NEAR(x[0], 0.5, 0);
    CHECK_NEAR(x[1], -2, 0);
    CHECK_NEAR(x[2], 0, 0);
    ascent_step((const double[]){0, 0}, 2, 2, x);
    CHECK_NEAR(x[0], 0, 0);
    CHECK_NEAR(x[1], 0, 0);
}

static void test_round(void) {
    CHECK(ascent_round(0.00026, 1) == 3e-4);
    CHECK(ascent_round(-0.00026, 1) == -3e-4);
    CHECK(ascent_round(9.6, 1) == 10);
    CHECK(ascent_round(31.6, 2) == 32);
    CHECK(ascent_round(0, 1) == 0);
    CHECK(ascent_round(123456, 3) == 123000);
}

int main(void) {
    test_note();
    test_ends();
    test_step();
    test_round();
    return CHECK_END();
}
