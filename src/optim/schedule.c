/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/schedule.h"

#include <math.h>

static double progress(const struct schedule *schedule, int64_t done) {
    const int64_t length = schedule->steps - schedule->warmup_steps;
    const double p = (double)(done - schedule->warmup_steps) / (double)(length > 1 ? length : 1);
    return p < 1 ? p : 1;
}

static double factor(const struct schedule *schedule, int64_t done) {
    if (done < schedule->warmup_steps)
        return (double)done / (double)schedule->warmup_steps;
    const double p = progress(schedule, done);
    switch (schedule->kind) {
    case SCHEDULE_LINEAR:
        return 1 - p;
    case SCHEDULE_COSINE:
        return 0.5 * (1 + cos(3.14159265358979323846 * p));
    case SCHEDULE_CONSTANT:
        break;
    }
    return 1;
}

double schedule_rate(const struct schedule *schedule, int64_t t) {
    return schedule->learning_rate * factor(schedule, t - 1);
}
