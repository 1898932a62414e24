/* SPDX-License-Identifier: Apache-2.0
 *
 * No gate, f(r) = r: the plain importance-weighted policy gradient (REINFORCE in the first pass,
 * where every ratio is 1).
 */
#include "objective/gate.h"

static void evaluate(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope) {
    (void)settings;
    (void)advantage;
    *value = ratio;
    *slope = 1;
}

const struct gate gate_none = {
    .name = "none",
    .text = "no gate: the ratio itself (REINFORCE)",
    .soft = false,
    .evaluate = evaluate,
};
