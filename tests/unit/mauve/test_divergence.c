/* SPDX-License-Identifier: Apache-2.0
 *
 * MAUVE and frontier integral of histograms: mauve-text's numbers, closed forms, and what must not matter.
 */
#include "mauve/divergence.h"

#include <stdlib.h>

#include "base/random.h"
#include "check.h"
#include "sets.h"

enum { K_MAX = 256, ROW_MAX = 8192 };

/* Counts separated by blanks; returns how many. */
static int64_t read_counts(const char *text, int64_t *counts) {
    int64_t k = 0;
    char *end;
    for (const char *at = text; k < K_MAX; at = end) {
        counts[k] = strtoll(at, &end, 10);
        if (end == at)
            break;
        k++;
    }
    return k;
}

static struct divergence_score score(const int64_t *p, const int64_t *q, int64_t k, double c) {
    struct divergence_score out = {0};
    CHECK_OK(divergence_of_counts(p, q, k, c, &out));
    return out;
}

static void check_near(const struct divergence_score *have, const struct divergence_score *want,
                       double tolerance) {
    CHECK_NEAR(have->mauve, want->mauve, tolerance);
    CHECK_NEAR(have->frontier_integral, want->frontier_integral, tolerance);
    CHECK_NEAR(have->mauve_star, want->mauve_star, tolerance);
    CHECK_NEAR(have->frontier_integral_star, want->frontier_integral_star, tolerance);
}

static void check_peer(void) {
    static char row[ROW_MAX], p_text[ROW_MAX], q_text[ROW_MAX];
    int64_t p[K_MAX], q[K_MAX];
    int rows = 0;
    FILE *file = fopen(DATA "histograms.tsv", "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(row, sizeof row, file) != NULL) {
        struct divergence_score want;
        double c;
        if (row[0] == '#')
            continue;
        CHECK_EQ(sscanf(row, "%lf\t%lf\t%lf\t%lf\t%lf\t%[^\t]\t%[^\n]", &c, &want.mauve,
                        &want.frontier_integral, &want.mauve_star, &want.frontier_integral_star,
                        p_text, q_text),
                 7);
        const int64_t k = read_counts(p_text, p);
        CHECK_EQ(read_counts(q_text, q), k);
        const struct divergence_score have = score(p, q, k, c);
        check_near(&have, &want, 1e-9);
        rows++;
    }
    CHECK(rows > 10);
    if (file != NULL)
        fclose(file);
}

/* Equal histograms of any shape give 1 and 0 to rounding; none lies beyond. Disjoint ones give what the
 * curve of KL = −ln w does whatever they look like. */
static void check_ends(void) {
    int64_t p[K_MAX], q[K_MAX];
    for (int64_t k = 1; k <= 64; k *= 2) {
        for (int64_t i = 0; i < k; i++)
            p[i] = 1 + (int64_t)(random_bits(3, RANDOM_TEST, (uint32_t)k, (uint32_t)i, 0, 0) % 50);
        const struct divergence_score same = score(p, p, k, 5.0);
        check_near(&same, &(struct divergence_score){1.0, 0.0, 1.0, 0.0}, 1e-15);
        CHECK(same.mauve <= 1.0 && same.frontier_integral >= 0.0);
    }
    const int64_t left[6] = {3, 5, 9, 0, 0, 0}, right[6] = {0, 0, 0, 2, 2, 7};
    const struct divergence_score apart = score(left, right, 6, 5.0);
    CHECK_NEAR(apart.mauve, 0.0040720962619612555, 1e-15);
    CHECK_NEAR(apart.frontier_integral, 1.0, 1e-15);
    (void)q;
}

/* The integral in closed form against Simpson's rule over the mixtures. */
static double integral_by_simpson(const double *p, const double *q, int64_t k) {
    enum { PIECES = 20000 };
    double sum = 0.0;
    for (int n = 0; n <= PIECES; n++) {
        const double w = (double)n / PIECES, weight = n == 0 || n == PIECES ? 1 : n % 2 ? 4 : 2;
        double f = 0.0;
        for (int64_t i = 0; i < k; i++) {
            const double r = w * p[i] + (1 - w) * q[i];
            f += (p[i] > 0 && w > 0 ? w * p[i] * log(p[i] / r) : 0) +
                 (q[i] > 0 && w < 1 ? (1 - w) * q[i] * log(q[i] / r) : 0);
        }
        sum += weight * f;
    }
    return 2.0 * sum / (3.0 * PIECES);
}

static void check_integral(void) {
    const double p[4] = {0.1, 0.2, 0.3, 0.4}, q[4] = {0.4, 0.3, 0.2, 0.1};
    const double near[4] = {0.1 + 1e-7, 0.2, 0.3 - 1e-7, 0.4};
    CHECK_NEAR(frontier_integral(p, q, 4), integral_by_simpson(p, q, 4), 1e-9);
    /* To second order it is Σ (p − q)² / (6 p). */
    CHECK_NEAR(frontier_integral(p, near, 4), 1e-14 / 0.6 + 1e-14 / 1.8, 1e-16);
}

/* The order of the buckets does not matter, p and q may change places, and where many points of the curve
 * coincide no order of equal points gives another area. */
static void check_symmetry(void) {
    enum { K = 12 };
    int64_t p[K], q[K], p_turned[K], q_turned[K];
    for (int64_t i = 0; i < K; i++) {
        p[i] = (int64_t)(random_bits(4, RANDOM_TEST, (uint32_t)i, 0, 0, 0) % 9);
        q[i] = i % 3 == 0 ? p[i] : (int64_t)(random_bits(4, RANDOM_TEST, (uint32_t)i, 1, 0, 0) % 9);
    }
    for (int64_t i = 0; i < K; i++) {
        p_turned[(5 * i + 3) % K] = p[i];
        q_turned[(5 * i + 3) % K] = q[i];
    }
    const struct divergence_score have = score(p, q, K, 5.0);
    const struct divergence_score turned = score(p_turned, q_turned, K, 5.0);
    const struct divergence_score swapped = score(q, p, K, 5.0);
    check_near(&turned, &have, 1e-13);
    check_near(&swapped, &have, 1e-13);
    CHECK(have.mauve > 0.1 && have.mauve < 0.95);
}

static void check_curve(void) {
    const double p[3] = {0.5, 0.5, 0.0}, q[3] = {0.0, 0.25, 0.75};
    struct divergence_point points[DIVERGENCE_POINTS];
    divergence_curve(p, q, 3, 2.0, points);
    for (int i = 0; i + 1 < DIVERGENCE_POINTS; i++)
        CHECK(points[i].x > points[i + 1].x && points[i].y < points[i + 1].y);
    /* w = ½: KL(q‖r) and KL(p‖r) by hand */
    const double to_q = 0.25 * log(0.25 / 0.375) + 0.75 * log(2.0);
    const double to_p = 0.5 * log(2.0) + 0.5 * log(0.5 / 0.375);
    CHECK_NEAR(points[13].x, exp(-2.0 * to_q), 1e-14);
    CHECK_NEAR(points[13].y, exp(-2.0 * to_p), 1e-14);
}

static void check_refusals(void) {
    struct divergence_score out;
    const int64_t some[2] = {1, 2}, none[2] = {0, 0}, negative[2] = {3, -1};
    CHECK_STATUS(divergence_of_counts(none, some, 2, 5.0, &out), STATUS_INPUT, "empty");
    CHECK_STATUS(divergence_of_counts(some, negative, 2, 5.0, &out), STATUS_INPUT,
                 "bucket 1 of a histogram holds -1");
}

int main(void) {
    check_peer();
    check_ends();
    check_integral();
    check_symmetry();
    check_curve();
    check_refusals();
    return CHECK_END();
}
