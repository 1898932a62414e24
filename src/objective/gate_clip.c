/* SPDX-License-Identifier: Apache-2.0
 *
 * Hard clipping, min(r A, clip(r, 1 − low, 1 + high) A): PPO and GRPO; asymmetric as in DAPO; with
 * the dual clip of Ye et al. (arXiv 1912.09729) r is capped from above where A < 0 as well. As a
 * function of r alone: f = min(r, 1 + high) for A > 0, max(r, 1 − low) for A ≤ 0. At a bound
 * itself the gate is open, as in eq. 12 of the gate paper.
 */
#include "objective/gate.h"

static void hold(double bound, double *value, double *slope) {
    *value = bound;
    *slope = 0;
}

static void evaluate(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope) {
    const double low = 1 - settings->clip_low, high = 1 + settings->clip_high;
    *value = ratio;
    *slope = 1;
    if (advantage > 0 && ratio > high)
        hold(high, value, slope);
    else if (!(advantage > 0) && ratio < low)
        hold(low, value, slope);
    else if (advantage < 0 && settings->clip_dual > 0 && ratio > settings->clip_dual)
        hold(settings->clip_dual, value, slope);
}

const struct gate gate_clip = {
    .name = "clip",
    .text = "hard clipping of the ratio (PPO, GRPO; asymmetric and dual by its bounds)",
    .soft = false,
    .evaluate = evaluate,
};
