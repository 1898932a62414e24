/* SPDX-License-Identifier: Apache-2.0
 *
 * The scale S_K(r) / S_2(r) against long double, and what becomes of a coordinate in the cases that
 * algorithms.md, 1.9, calls dangerous.
 */
#include "toy.h"

/* Where r is −1 but for a part that double does not hold, an odd K has its pole; else Σ r^k by Horner
 * divided by 1 + r, and for even K the sum over pairs, in long double. */
static double expected(double ratio, int steps) {
    const long double r = (long double)ratio;
    long double sum = 0, pairs = 0;
    for (int k = 0; k < steps; k++)
        sum = sum * r + 1;
    for (int k = 0; k < steps / 2; k++)
        pairs = pairs * r * r + 1;
    if (steps % 2 == 0)
        return (double)pairs;
    return fabsl(1 + r) <= 1e-8L ? 1.0 : (double)(sum / (1 + r));
}

static double scale_of(double ratio, int steps) {
    double scale;
    extrapolation_scales(steps, 1, &ratio, &scale);
    return scale;
}

static void check_scale(double r, int K) {
    const double have = scale_of(r, K), want = expected(r, K);
    if (!(fabs(have - want) <= 1e-13 * fmax(1, fabs(want))))
        CHECK_FAILED("K = %d, r = %.17g: scale %.17g, in long double %.17g", K, r, have, want);
}

static void test_scale(void) {
    for (int K = 2; K <= 16; K++) {
        for (int i = -30000; i <= 30000; i++)
            check_scale(i * 1e-4, K);
        for (int e = 0; e <= 52; e++)
            for (int side = -1; side <= 1; side += 2) {
                check_scale(1 + side * ldexp(1, -e), K);
                check_scale(-1 + side * ldexp(1, -e), K);
                check_scale(side * ldexp(1, -e), K);
            }
        CHECK_NEAR(scale_of(1, K), K / 2.0, 0); /* where the closed form is 0 / 0 */
        CHECK_NEAR(scale_of(-1, K), K % 2 == 0 ? K / 2.0 : 1, 0);
        CHECK_NEAR(scale_of(0, K), 1, 0);
    }
    /* algorithms.md, 1.10 */
    CHECK_NEAR(scale_of(-0.5, 5), 1.375, 1e-15);
    CHECK_NEAR(scale_of(0.9, 5), 2.155316, 1e-6);
    CHECK_NEAR(scale_of(1.5, 5), 5.275, 1e-14);
    CHECK_NEAR(scale_of(0.5, 10), 1.332031, 1e-6);
    CHECK_NEAR(scale_of(0.9, 10), 3.428008, 1e-6);
    CHECK_NEAR(scale_of(1.05, 10), 6.135557, 1e-6);
}

/* A vector of the row is a coordinate by itself. */
static void test_row(void) {
    for (int K = 2; K <= 7; K++) {
        double ratios[EXTRAPOLATION_ROW], scales[EXTRAPOLATION_ROW];
        for (int i = 0; i < EXTRAPOLATION_ROW; i++)
            ratios[i] = 3 * toy_number(5, (uint32_t)K, (uint32_t)i);
        extrapolation_scales(K, EXTRAPOLATION_ROW, ratios, scales);
        for (int i = 0; i < EXTRAPOLATION_ROW; i++)
            CHECK_NEAR(scales[i], scale_of(ratios[i], K), 0);
    }
}

static const struct extrapolation usual = {.steps = 5,
                                           .reposition = 0.5,
                                           .ratio_least = -2,
                                           .ratio_most = 3,
                                           .scale_least = 1,
                                           .scale_most = 3.5};

/* θ0 = 1, θ2 = 0.8. */
static struct extrapolation_row compute(struct extrapolation how, double before, double after) {
    struct extrapolation_row row = {
        .start = {1}, .end = {0.8}, .before = {before}, .after = {after}, .size = {fabs(before)}};
    extrapolation_row_compute(&how, 1e-8, 1, &row);
    CHECK_NEAR(row.place[0], 1 + how.reposition * row.scale[0] * (0.8 - 1), 1e-15);
    return row;
}

static void check_row(struct extrapolation_row row, double ratio, double scale, double active) {
    CHECK_NEAR(row.ratio[0], ratio, 1e-15);
    CHECK_NEAR(row.scale[0], scale, 1e-15);
    CHECK_NEAR(row.active[0], active, 0);
}

static void test_cases(void) {
    struct extrapolation guarded = usual, wide = usual;
    guarded.guarded = true;
    wide.ratio_least = -1e30;
    wide.ratio_most = wide.scale_most = 1e30;
    check_row(compute(usual, 2, 2), 1, 2.5, 1);                         /* r = 1 exactly: K / 2 */
    check_row(compute(usual, 2, -2), -1, 1, 1);                         /* the pole of odd K */
    check_row(compute(usual, 2, -2 * (1 - 1e-6)), -(1 - 1e-6), 3.5, 1); /* above it: +∞, clamped */
    check_row(compute(usual, 2, -2 * (1 + 1e-6)), -(1 + 1e-6), 1, 1);   /* below it: −∞ */
    check_row(compute(usual, 0, 0.5), 1, 1, 0);      /* LoRA's A at first: no gradient */
    check_row(compute(usual, 1e-8, 0.5), 1, 1, 0);   /* at the bound */
    check_row(compute(usual, 1e-6, 1e3), 3, 3.5, 1); /* clamped before it is raised to powers */
    check_row(compute(usual, 1e-6, -1e3), -2, 1, 1);
    check_row(compute(wide, 1e-6, 1e300), 1e30, 1e30, 1);
    wide.ratio_most = 1e200;
    check_row(compute(wide, 1e-6, 1e300), 1e200, 1, 1); /* r² beyond double: the scale is 1 */
    CHECK_NEAR(compute(usual, 1, (double)NAN).scale[0], 2.5, 0); /* NaN: r = 1 */
    guarded.steps = 4;
    check_row(compute(guarded, 1, -1.5), -1.5, 1, 1);
    guarded.guarded = false;
    check_row(compute(guarded, 1, -1.5), -1.5, 3.25, 1);
}

int main(void) {
    test_scale();
    test_row();
    test_cases();
    return CHECK_END();
}
