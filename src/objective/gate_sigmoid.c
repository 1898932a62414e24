/* SPDX-License-Identifier: Apache-2.0
 *
 * SAPO's own gate: f = (4/τ) σ(x), f' = 4 σ(x) (1 − σ(x)) = sech²(x/2), with x = τ (r − 1). It
 * passes through (1, 2/τ), not (1, 1). Both come from e = exp(−|x|), so that neither overflows nor
 * cancels: σ(|x|) = 1/(1 + e) and sech²(x/2) = 4e/(1 + e)².
 */
#include "objective/gate.h"

#include <math.h>

static void evaluate(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope) {
    double tau;
    const double x = gate_argument(settings, ratio, advantage, &tau);
    const double e = exp(-fabs(x));
    *value = 4 / tau * (x < 0 ? e : 1) / (1 + e);
    *slope = 4 * e / ((1 + e) * (1 + e));
}

const struct gate gate_sigmoid = {
    .name = "sigmoid",
    .text = "logistic gate of SAPO; its weight falls off exponentially",
    .soft = true,
    .evaluate = evaluate,
};
