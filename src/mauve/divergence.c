/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/divergence.h"

#include <math.h>

#include "base/memory.h"

/* KL(p ‖ w p + (1 − w) q), which is finite for 0 < w. What rounding leaves below 0 is 0, so that no
 * point of a curve lies beyond its ends. */
static double divergence_from_mixture(const double *p, const double *q, int64_t k, double w) {
    double sum = 0.0;
    for (int64_t i = 0; i < k; i++)
        if (p[i] > 0.0)
            sum += p[i] * log(p[i] / (w * p[i] + (1.0 - w) * q[i]));
    return sum > 0.0 ? sum : 0.0;
}

void divergence_curve(const double *p, const double *q, int64_t k, double c,
                      struct divergence_point points[DIVERGENCE_POINTS]) {
    const double first = 1e-6, last = 1.0 - 1e-6;
    points[0] = (struct divergence_point){1.0, 0.0};
    for (int i = 0; i < DIVERGENCE_MIXTURES; i++) {
        const double w = first + (last - first) * i / (DIVERGENCE_MIXTURES - 1);
        points[i + 1] = (struct divergence_point){
            .x = exp(-c * divergence_from_mixture(q, p, k, 1.0 - w)),
            .y = exp(-c * divergence_from_mixture(p, q, k, w)),
        };
    }
    points[DIVERGENCE_POINTS - 1] = (struct divergence_point){0.0, 1.0};
}

/* MAUVE is the mean of the areas below y(x) and below x(y), by trapezoids. These differ by Σ (x y)ᵢ −
 * (x y)ᵢ₊₁ over the pieces, which is that of the ends, 0: so one of them serves. Taken along the curve
 * nothing is sorted, and points of equal x, of which equal histograms have many, cannot come in a wrong
 * order. */
double divergence_area(const struct divergence_point points[DIVERGENCE_POINTS]) {
    double area = 0.0;
    for (int i = 0; i + 1 < DIVERGENCE_POINTS; i++)
        area += 0.5 * (points[i].y + points[i + 1].y) * (points[i].x - points[i + 1].x);
    return area;
}

/* Σ (p + q)/2 − p q (ln p − ln q)/(p − q), the integral in closed form. log1p, as the two terms nearly
 * cancel where p and q are nearly equal. */
double frontier_integral(const double *p, const double *q, int64_t k) {
    double sum = 0.0;
    for (int64_t i = 0; i < k; i++) {
        const double difference = p[i] - q[i];
        if (p[i] > 0.0 && q[i] > 0.0 && difference != 0.0)
            sum += 0.5 * (p[i] + q[i]) - p[i] * q[i] * log1p(difference / q[i]) / difference;
        else if (difference != 0.0)
            sum += 0.5 * (p[i] + q[i]);
    }
    return sum > 0.0 ? sum : 0.0;
}

/* Counts with `more` added to each, as shares of their sum. */
static enum status shares_of(const int64_t *counts, int64_t k, double more, double *shares) {
    double sum = 0.0;
    for (int64_t i = 0; i < k; i++) {
        if (counts[i] < 0)
            return FAIL(STATUS_INPUT, "bucket %lld of a histogram holds %lld texts", (long long)i,
                        (long long)counts[i]);
        sum += (double)counts[i] + more;
    }
    if (!(sum > 0.0))
        return FAIL(STATUS_INPUT, "a histogram is empty: there are no texts to compare");
    for (int64_t i = 0; i < k; i++)
        shares[i] = ((double)counts[i] + more) / sum;
    return STATUS_OK;
}

static enum status compare(const int64_t *p_counts, const int64_t *q_counts, int64_t k, double c,
                           double more, double *shares, double *mauve, double *integral) {
    struct divergence_point points[DIVERGENCE_POINTS];
    double *p = shares, *q = shares + k;
    TRY(shares_of(p_counts, k, more, p));
    TRY(shares_of(q_counts, k, more, q));
    divergence_curve(p, q, k, c, points);
    *mauve = divergence_area(points);
    *integral = frontier_integral(p, q, k);
    return STATUS_OK;
}

enum status divergence_of_counts(const int64_t *p, const int64_t *q, int64_t k, double c,
                                 struct divergence_score *out) {
    double *shares = NULL;
    ASSERT(k >= 1 && c > 0.0);
    TRY(memory_new(&shares, 2 * k, "histograms"));
    enum status status = compare(p, q, k, c, 0.0, shares, &out->mauve, &out->frontier_integral);
    if (status == STATUS_OK)
        status = compare(p, q, k, c, 0.5, shares, &out->mauve_star, &out->frontier_integral_star);
    memory_release(&shares);
    return status;
}
