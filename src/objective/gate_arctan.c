/* SPDX-License-Identifier: Apache-2.0
 *
 * Gate of the arc tangent: f = 1 + atan(x)/τ, f' = 1/(1 + x²), with x = τ (r − 1).
 */
#include "objective/gate.h"

#include <math.h>

static void evaluate(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope) {
    double tau;
    const double x = gate_argument(settings, ratio, advantage, &tau);
    *value = 1 + atan(x) / tau;
    *slope = 1 / (1 + x * x);
}

const struct gate gate_arctan = {
    .name = "arctan",
    .text = "arc-tangent gate; its weight falls off with the square of the distance",
    .soft = true,
    .evaluate = evaluate,
};
