/* SPDX-License-Identifier: Apache-2.0
 *
 * The sharpness τ of a soft gate in the course of a run: as given, along a schedule, or steered so
 * that the effective update ratio EUR (loss.h) stays at a set value. τ_pos and τ_neg have one factor
 * s, so their ratio stays.
 *
 * The steering: for each soft gate 1 − f' is a concave function of (s τ (r − 1))² and 0 at 0. So is,
 * as a function of s², the mean of it over tokens, 1 − EUR; its elasticity d log(1 − EUR) / d log s
 * lies in (0, 2] for whatever ratios. With the error, of which the mean moves on,
 *
 *     x = log((1 − EUR) / (1 − target))      e ← smoothing e + (1 − smoothing) x
 *
 * the step log s ← log s − gain e / 2 is that of Newton for the largest elasticity, a part of it for
 * a smaller one: for fixed ratios it converges for every gain up to 1 and smoothing below 1.
 */
#ifndef OBJECTIVE_TAU_H
#define OBJECTIVE_TAU_H

#include <stdint.h>

#include "objective/gate.h"

enum tau_control { TAU_FIXED, TAU_SCHEDULE, TAU_EUR };

struct tau_settings {
    enum tau_control control;
    double tau_pos, tau_neg; /* at s = 1 */
    /* TAU_SCHEDULE: s goes from 1 in step 1 to scale_end in step `steps`, evenly in its logarithm */
    double scale_end;
    int64_t steps;
    /* TAU_EUR: s stays in [scale_least, scale_most], which holds 1 */
    double target, gain, smoothing;
    double scale_least, scale_most;
};

/* Of TAU_EUR; all 0 before the first step. Part of the state of a run. */
struct tau {
    double log_scale;
    double error; /* e */
};

/* Sets both τ of the gate to those of a step; steps count from 1. */
void tau_set(const struct tau_settings *settings, const struct tau *tau, int64_t step,
             struct gate_settings *gate);

/* After a step: takes in the EUR of its last pass. One of exactly 1, where no ratio has moved, and
 * one that is not a number tell nothing of τ, and nothing changes. */
void tau_observe(const struct tau_settings *settings, struct tau *tau, double eur);

#endif
