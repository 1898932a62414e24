/* SPDX-License-Identifier: Apache-2.0 */
#include "objective/advantage.h"

#include <math.h>

/* Keeps the quotient finite where rewards hardly differ; TRL's value. */
#define STD_FLOOR 1e-4

static double mean(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* Standard deviation with n − 1; 0 for a single number. */
static double deviation(const double *x, int64_t n) {
    const double centre = mean(x, n);
    double squares = 0;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - centre) * (x[i] - centre);
    return n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

bool advantage_group_is_flat(const double *rewards, int64_t group_size) {
    for (int64_t i = 1; i < group_size; i++)
        if (rewards[i] != rewards[0])
            return false;
    return true;
}

/* What R − group mean is multiplied by. Leave-one-out: R − (S − R)/(n − 1) = (R − S/n) n/(n − 1).
 */
static double group_factor(enum advantage_kind kind, const double *rewards, int64_t group_size,
                           double batch_deviation) {
    switch (kind) {
    case ADVANTAGE_GROUP:
        return 1 / (deviation(rewards, group_size) + STD_FLOOR);
    case ADVANTAGE_LEAVE_ONE_OUT:
        return (double)group_size / (double)(group_size - 1);
    case ADVANTAGE_BATCH:
        return 1 / (batch_deviation + STD_FLOOR);
    case ADVANTAGE_GROUP_MEAN:
        break;
    }
    return 1;
}

/* A flat group is told from its rewards, for the mean of equal numbers may differ from them in the
 * last bit. */
static void group_compute(enum advantage_kind kind, const double *rewards, int64_t group_size,
                          double batch_deviation, double *advantages) {
    if (advantage_group_is_flat(rewards, group_size)) {
        for (int64_t i = 0; i < group_size; i++)
            advantages[i] = 0;
        return;
    }
    const double centre = mean(rewards, group_size);
    const double factor = group_factor(kind, rewards, group_size, batch_deviation);
    for (int64_t i = 0; i < group_size; i++)
        advantages[i] = (rewards[i] - centre) * factor;
}

void advantage_compute(enum advantage_kind kind, const double *rewards, int64_t groups,
                       int64_t group_size, double *advantages) {
    const double batch_deviation =
        kind == ADVANTAGE_BATCH ? deviation(rewards, groups * group_size) : 0;
    for (int64_t g = 0; g < groups; g++)
        group_compute(kind, rewards + g * group_size, group_size, batch_deviation,
                      advantages + g * group_size);
}
