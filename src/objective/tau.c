/* SPDX-License-Identifier: Apache-2.0 */
#include "objective/tau.h"

#include <math.h>

/* |x| of one step, so that a freak cannot throw τ far: 1 − EUR within 55 times the one aimed at. */
#define ERROR_MAX 4.0

static double clamp(double x, double least, double most) {
    return x < least ? least : x > most ? most : x;
}

static double log_scale_at(const struct tau_settings *settings, const struct tau *tau,
                           int64_t step) {
    switch (settings->control) {
    case TAU_FIXED:
        break;
    case TAU_SCHEDULE:
        return settings->steps > 1
                   ? (double)(step - 1) / (double)(settings->steps - 1) * log(settings->scale_end)
                   : 0;
    case TAU_EUR:
        return tau->log_scale;
    }
    return 0;
}

void tau_set(const struct tau_settings *settings, const struct tau *tau, int64_t step,
             struct gate_settings *gate) {
    const double scale = exp(log_scale_at(settings, tau, step));
    gate->tau_pos = scale * settings->tau_pos;
    gate->tau_neg = scale * settings->tau_neg;
}

void tau_observe(const struct tau_settings *settings, struct tau *tau, double eur) {
    if (settings->control != TAU_EUR || !(eur < 1))
        return;
    const double x = clamp(log((1 - eur) / (1 - settings->target)), -ERROR_MAX, ERROR_MAX);
    tau->error = settings->smoothing * tau->error + (1 - settings->smoothing) * x;
    tau->log_scale = clamp(tau->log_scale - settings->gain * tau->error / 2,
                           log(settings->scale_least), log(settings->scale_most));
}
