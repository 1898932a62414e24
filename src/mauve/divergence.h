/* SPDX-License-Identifier: Apache-2.0
 *
 * How far two histograms are from each other, by the mixtures between them (Pillutla et al., "MAUVE",
 * NeurIPS 2021, and "MAUVE scores for generative models", JMLR 2023; Liu et al., "Divergence frontiers
 * for generative models", NeurIPS 2021). Pure functions of numbers.
 */
#ifndef MAUVE_DIVERGENCE_H
#define MAUVE_DIVERGENCE_H

#include <stdint.h>

#include "base/status.h"

/* The points of mixtures r = w p + (1 − w) q, w from 1e-6 to 1 − 1e-6 in equal steps, between the two
 * ends (1, 0) and (0, 1), so that x falls and y rises along the curve. */
enum { DIVERGENCE_MIXTURES = 25, DIVERGENCE_POINTS = DIVERGENCE_MIXTURES + 2 };
struct divergence_point {
    double x, y; /* exp(−c KL(q‖r)), exp(−c KL(p‖r)): 1 where p and q are equal */
};

/* The curve of two histograms p, q (k), each of sum 1, with scaling c > 0. */
void divergence_curve(const double *p, const double *q, int64_t k, double c,
                      struct divergence_point points[DIVERGENCE_POINTS]);

/* The area under a curve: 1 for equal histograms, near 0 for histograms that share nothing. */
double divergence_area(const struct divergence_point points[DIVERGENCE_POINTS]);

/* 2 ∫ (w KL(p‖r) + (1 − w) KL(q‖r)) dw: 0 for equal histograms, 1 for those that share nothing. */
double frontier_integral(const double *p, const double *q, int64_t k);

/* MAUVE and frontier integral of two histograms of counts; the starred ones are of the counts with ½
 * added to each (Krichevsky and Trofimov), so that a bucket which a sample happens to miss is not
 * taken for impossible. */
struct divergence_score {
    double mauve, frontier_integral, mauve_star, frontier_integral_star;
};

/* Of counts p, q (k ≥ 1), none negative and neither all zero. */
enum status divergence_of_counts(const int64_t *p, const int64_t *q, int64_t k, double c,
                                 struct divergence_score *out) MUST_USE;

#endif
