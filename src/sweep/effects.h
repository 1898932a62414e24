/* SPDX-License-Identifier: Apache-2.0
 *
 * What the responses of a design say. The effect of a word is the mean response where its product is +1
 * less that where it is -1; with the runs of each point repeated m times, N = runs m. Curvature is the
 * mean of the factorial runs less that of the centre points: of a plane it is 0.
 *
 * Runs of one point differ by noise alone; from all points with at least two
 * s² = Σ (m_i - 1) s_i² / Σ (m_i - 1), and the standard errors are 2 s / sqrt(N) of an effect and
 * s sqrt(1 / N + 1 / centres) of the curvature. Without repetitions there are none.
 */
#ifndef SWEEP_EFFECTS_H
#define SWEEP_EFFECTS_H

#include <stdint.h>

#include "sweep/design.h"

/* Responses: of run r its repetitions at factorial[r repeats … ], (runs × repeats), and (centres). */
struct responses {
    const double *factorial, *centre;
    int repeats, centres;
};

struct effects {
    double factorial_mean, centre_mean, curvature; /* the last two NaN without centre points */
    double deviation; /* s; NaN where nothing is repeated, as the errors */
    double effect_error, curvature_error;
    int freedom; /* of s */
};

void effects_of(const struct design *design, const struct responses *responses,
                struct effects *effects);

/* The effect of a word, in which its aliases are contained. */
double effects_word(const struct design *design, const struct responses *responses,
                    uint32_t letters);

#endif
