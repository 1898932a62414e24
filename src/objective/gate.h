/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate turns the ratio r = π/π_old of a token (or sequence) into the surrogate f(r) whose product
 * with the advantage A is maximised; the gradient of a token's term is A f'(r) r ∇log π
 * (algorithms.md, section 3). Pure functions of numbers, so a gate is host code for every backend
 * and its test is a finite difference. To add one: write gate_NAME.c, add a line to gate.c, and the
 * registry's test covers it.
 */
#ifndef OBJECTIVE_GATE_H
#define OBJECTIVE_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct gate_settings {
    double tau_pos, tau_neg;    /* soft gates: τ for A > 0 and for A ≤ 0 */
    double clip_low, clip_high; /* clip: bounds 1 − low and 1 + high */
    double clip_dual;           /* clip: cap of r for A < 0; 0 is off */
};

struct gate {
    const char *name, *text;
    bool soft; /* has the properties (i)–(iv) of the gate paper: smooth, slope at most 1 and 1 at r
                  = 1, falling away from it, r f'(r) → 0 */
    /* value f(r) and slope f'(r), for the sign of `advantage`. */
    void (*evaluate)(const struct gate_settings *settings, double ratio, double advantage,
                     double *value, double *slope);
};

/* All gates in help order; *count is their number. gate_find gives NULL for an unknown name. */
const struct gate *const *gate_list(int *count);
const struct gate *gate_find(const char *name);

#endif
