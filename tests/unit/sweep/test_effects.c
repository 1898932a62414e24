/* SPDX-License-Identifier: Apache-2.0
 *
 * Effects of published experiments: Montgomery, Design and Analysis of Experiments: filtration rates,
 * 2^4 (6.2) and its half with D = ABC (8.1); a process with three repetitions, 2^2 (6.1); a yield with
 * five centre points (6.6). And the table of the adversarial note, 2^(3-1) with one centre point.
 */
#include "sweep/effects.h"

#include "check.h"

static struct design make(int factors, const char *generator) {
    char text[16], *list[1] = {text};
    struct design design;
    snprintf(text, sizeof text, "%s", generator);
    CHECK_OK(design_init(&design, factors, list, generator[0] != '\0'));
    return design;
}

static void check_effects(const struct design *design, const struct responses *responses,
                          const double *want, int n, double tolerance) {
    for (int letters = 1; letters <= n; letters++)
        CHECK_NEAR(effects_word(design, responses, (uint32_t)letters), want[letters - 1],
                   tolerance);
}

/* In standard order: A B AB C AC BC ABC D AD BD ABD CD ACD BCD ABCD. */
static void test_filtration(void) {
    const struct design design = make(4, "");
    const double rates[] = {45, 71, 48, 65, 68, 60, 80, 65, 43, 100, 45, 104, 75, 86, 70, 96};
    const double effects[] = {21.625, 3.125,  0.125, 9.875,  -18.125, 2.375,  1.875, 14.625,
                              16.625, -0.375, 4.125, -1.125, -1.625,  -2.625, 1.375};
    const struct responses responses = {.factorial = rates, .repeats = 1};
    struct effects all;
    check_effects(&design, &responses, effects, 15, 1e-12);
    effects_of(&design, &responses, &all);
    CHECK_NEAR(all.factorial_mean, 70.0625, 1e-12);
    CHECK(isnan(all.effect_error) && isnan(all.curvature) && isnan(all.curvature_error));
    CHECK_EQ(all.freedom, 0);
}

static void test_half_filtration(void) {
    const struct design design = make(4, "D=ABC");
    const double rates[] = {45, 100, 45, 65, 75, 60, 80, 96};
    const struct responses responses = {.factorial = rates, .repeats = 1};
    const uint32_t words[] = {1, 2, 4, 8, 3, 5, 9};
    const double effects[] = {19, 1.5, 14, 16.5, -1, -18.5, 19};
    for (int i = 0; i < 7; i++)
        CHECK_NEAR(effects_word(&design, &responses, words[i]), effects[i], 1e-12);
}

/* s² = 31.333 / 8 = 3.92; error of an effect 2 s / sqrt(12) = 1.14. */
static void test_repetitions(void) {
    const struct design design = make(2, "");
    const double yields[] = {28, 25, 27, 36, 32, 32, 18, 19, 23, 31, 30, 29};
    const struct responses responses = {.factorial = yields, .repeats = 3};
    struct effects all;
    check_effects(&design, &responses, (const double[]){25.0 / 3, -5, 5.0 / 3}, 3, 1e-12);
    effects_of(&design, &responses, &all);
    CHECK_EQ(all.freedom, 8);
    CHECK_NEAR(all.deviation * all.deviation, 94.0 / 3 / 8, 1e-12);
    CHECK_NEAR(all.effect_error, 2 * sqrt(94.0 / 24) / sqrt(12), 1e-12);
}

/* Curvature 40.425 - 40.46; s² = 0.043 of 4 degrees of freedom. */
static void test_centre(void) {
    const struct design design = make(2, "");
    const double yields[] = {39.3, 40.9, 40.0, 41.5}, centre[] = {40.3, 40.5, 40.7, 40.2, 40.6};
    const struct responses responses = {
        .factorial = yields, .centre = centre, .repeats = 1, .centres = 5};
    struct effects all;
    check_effects(&design, &responses, (const double[]){1.55, 0.65, -0.05}, 3, 1e-12);
    effects_of(&design, &responses, &all);
    CHECK_EQ(all.freedom, 4);
    CHECK_NEAR(all.curvature, -0.035, 1e-12);
    CHECK_NEAR(all.deviation * all.deviation, 0.043, 1e-12);
    CHECK_NEAR(all.effect_error, sqrt(0.043), 1e-12);
    CHECK_NEAR(all.curvature_error, sqrt(0.043 * (1.0 / 4 + 1.0 / 5)), 1e-12);
}

/* Both kinds of repetition: squares 2 and 0.5, 0.5 of 2 + 1 degrees of freedom. */
static void test_pooled(void) {
    const struct design design = make(1, "");
    const double values[] = {1, 3, 5, 6}, centre[] = {2, 3};
    const struct responses responses = {
        .factorial = values, .centre = centre, .repeats = 2, .centres = 2};
    struct effects all;
    effects_of(&design, &responses, &all);
    CHECK_EQ(all.freedom, 3);
    CHECK_NEAR(all.deviation, 1, 1e-12);
    CHECK_NEAR(all.effect_error, 1, 1e-12);
    CHECK_NEAR(all.curvature_error, sqrt(0.75), 1e-12);
    CHECK_NEAR(effects_word(&design, &responses, 1), 3.5, 1e-12);
}

/* Runs 03, 01, 02, 00 of the note in standard order, and 04. */
static void test_note(void) {
    const struct design design = make(3, "C=AB");
    const double mauve[] = {0.075, 0.073, 0.072, 0.119}, centre[] = {0.090};
    const struct responses responses = {
        .factorial = mauve, .centre = centre, .repeats = 1, .centres = 1};
    struct effects all;
    effects_of(&design, &responses, &all);
    CHECK_NEAR(effects_word(&design, &responses, 1), 0.0225, 1e-15);
    CHECK_NEAR(effects_word(&design, &responses, 2), 0.0215, 1e-15);
    CHECK_NEAR(effects_word(&design, &responses, 4), 0.0245, 1e-15);
    CHECK_NEAR(all.factorial_mean, 0.08475, 1e-15);
    CHECK_NEAR(all.curvature, -0.00525, 1e-15);
    CHECK(isnan(all.deviation) && isnan(all.curvature_error));
}

int main(void) {
    test_filtration();
    test_half_filtration();
    test_repetitions();
    test_centre();
    test_pooled();
    test_note();
    return CHECK_END();
}
