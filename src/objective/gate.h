/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate turns the ratio r = π/π_old of a token (or sequence) into the surrogate f(r) whose product
 * with the advantage A is maximised; the gradient of a token's term is A f'(r) r ∇log π
 * (algorithms.md, section 3). Pure functions of numbers, so a gate is host code for every backend
 * and its test is a finite difference. To add one: write gate_NAME.c, declare it below, add a line
 * to gate.c, and the registry's test covers it.
 */
#ifndef OBJECTIVE_GATE_H
#define OBJECTIVE_GATE_H

#include <stdbool.h>

struct gate_settings {
    double tau_pos, tau_neg;    /* soft gates: τ for A > 0 and for A ≤ 0 */
    double clip_low, clip_high; /* clip: bounds 1 − low and 1 + high */
    double clip_dual;           /* clip: cap of r for A < 0, above 1 + high; 0 is off */
};

struct gate {
    const char *name, *text;
    /* Has the properties (i)–(iv) of the gate paper: smooth, slope at most 1 and 1 at r = 1,
     * falling away from it, r f'(r) → 0 */
    bool soft;
    /* value f(r) and slope f'(r), for the sign of `advantage`. A ratio that is not a number comes
     * out as one in the value. */
    void (*evaluate)(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope);
};

extern const struct gate gate_clip, gate_sigmoid, gate_erf, gate_arctan, gate_softsign, gate_none;

/* All gates in help order; *count is their number. gate_find gives NULL for an unknown name. */
const struct gate *const *gate_list(int *count);
const struct gate *gate_find(const char *name);

/* x = τ (r − 1), the argument of the soft gates; *tau is τ for the sign of the advantage. */
double gate_argument(const struct gate_settings *settings, double ratio, double advantage,
                     double *tau);

#endif
