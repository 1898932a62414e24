/* SPDX-License-Identifier: Apache-2.0
 *
 * Gate of the smooth sign: f = 1 + (r − 1)/√(1 + x²), f' = (1 + x²)^(−3/2), with x = τ (r − 1).
 */
#include "objective/gate.h"

#include <math.h>

static void evaluate(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope) {
    double tau;
    const double x = gate_argument(settings, ratio, advantage, &tau);
    const double length = sqrt(1 + x * x);
    *value = 1 + (ratio - 1) / length;
    *slope = 1 / (length * length * length);
}

const struct gate gate_softsign = {
    .name = "softsign",
    .text = "smooth-sign gate; its weight falls off with the cube of the distance",
    .soft = true,
    .evaluate = evaluate,
};
