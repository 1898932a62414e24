/* SPDX-License-Identifier: Apache-2.0 */
#include "update/shutoff.h"

#include <math.h>

#include "base/status.h"

static void push(struct shutoff *shutoff, const struct shutoff_settings *settings, double value) {
    shutoff->values[shutoff->count % settings->window] = value;
    shutoff->count++;
}

static int64_t held(const struct shutoff *shutoff, const struct shutoff_settings *settings) {
    return shutoff->count < settings->window ? shutoff->count : settings->window;
}

static void measure(struct shutoff *shutoff, const struct shutoff_settings *settings) {
    const int64_t n = held(shutoff, settings);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += shutoff->values[i];
    shutoff->mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double away = shutoff->values[i] - shutoff->mean;
        squares += away * away;
    }
    shutoff->deviation = sqrt(squares / (double)n);
}

static double score(struct shutoff *shutoff, const struct shutoff_settings *settings,
                    double value) {
    if (shutoff->count < settings->warmup || shutoff->count < 2)
        return (double)NAN;
    if (shutoff->streak == 0)
        measure(shutoff, settings);
    const double deviation = fmax(shutoff->deviation, settings->std_floor * fabs(shutoff->mean));
    return (value - shutoff->mean) / (deviation + 1e-9);
}

static void judge(struct shutoff *shutoff, const struct shutoff_settings *settings, double z) {
    const double size = settings->two_sided ? fabs(z) : z;
    const bool high = settings->threshold > 0 && size >= settings->threshold;
    shutoff->streak = high ? shutoff->streak + 1 : 0;
    shutoff->off = shutoff->streak >= settings->patience;
}

double shutoff_observe(struct shutoff *shutoff, const struct shutoff_settings *settings,
                       double value) {
    ASSERT(settings->window >= 2 && settings->window <= SHUTOFF_WINDOW_MAX &&
           settings->patience > 0);
    if (settings->inclusive)
        push(shutoff, settings, value);
    const double z = score(shutoff, settings, value);
    if (!settings->inclusive)
        push(shutoff, settings, value);
    judge(shutoff, settings, z);
    return z;
}

void shutoff_rest(struct shutoff *shutoff, const struct shutoff_settings *settings) {
    shutoff->rested++;
    if (settings->rearm == 0 || shutoff->rested < settings->rearm)
        return;
    shutoff->off = false;
    shutoff->rested = shutoff->streak = 0;
}
