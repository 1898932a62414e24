/* SPDX-License-Identifier: Apache-2.0
 *
 * Gate of the error function: f = 1 + √(π/2)/τ erf(x/√2), f' = exp(−x²/2), with x = τ (r − 1).
 */
#include "objective/gate.h"

#include <math.h>

static void evaluate(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope) {
    const double root_half = 0.70710678118654752440, root_half_pi = 1.25331413731550025121;
    double tau;
    const double x = gate_argument(settings, ratio, advantage, &tau);
    *value = 1 + root_half_pi / tau * erf(x * root_half);
    *slope = exp(-0.5 * x * x);
}

const struct gate gate_erf = {
    .name = "erf",
    .text = "error-function gate; its weight falls off like a Gaussian",
    .soft = true,
    .evaluate = evaluate,
};
