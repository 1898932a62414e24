/* SPDX-License-Identifier: Apache-2.0 */
#include "objective/advantage.h"

#include "base/statistics.h"

/* Keeps the quotient finite where rewards hardly differ; TRL's value. */
#define STD_FLOOR 1e-4

/* What R − group mean is multiplied by. Leave-one-out:
 * R − (S − R)/(n − 1) = (R − S/n) n/(n − 1). */
static double group_factor(enum advantage_kind kind, const struct statistics *group,
                           double batch_deviation) {
    switch (kind) {
    case ADVANTAGE_GROUP:
        return 1 / (group->deviation + STD_FLOOR);
    case ADVANTAGE_LEAVE_ONE_OUT:
        return (double)group->n / (double)(group->n - 1);
    case ADVANTAGE_BATCH:
        return 1 / (batch_deviation + STD_FLOOR);
    case ADVANTAGE_GROUP_MEAN:
    case ADVANTAGE_EMA: /* not here */
        break;
    }
    return 1;
}

static void group_compute(enum advantage_kind kind, const double *rewards, int64_t group_size,
                          double batch_deviation, double *advantages) {
    const bool flat = statistics_flat(rewards, group_size);
    const struct statistics group = statistics_of(rewards, group_size);
    const double factor = flat ? 0 : group_factor(kind, &group, batch_deviation);
    for (int64_t i = 0; i < group_size; i++)
        advantages[i] = flat ? 0 : (rewards[i] - group.mean) * factor;
}

double advantage_follow(double baseline, double decay, double reward_mean) {
    return decay * baseline + (1 - decay) * reward_mean;
}

void advantage_compute(enum advantage_kind kind, double baseline, const double *rewards,
                       int64_t groups, int64_t group_size, double *advantages) {
    if (kind == ADVANTAGE_EMA) {
        for (int64_t i = 0; i < groups * group_size; i++)
            advantages[i] = rewards[i] - baseline;
        return;
    }
    const double batch_deviation = statistics_of(rewards, groups * group_size).deviation;
    for (int64_t g = 0; g < groups; g++)
        group_compute(kind, rewards + g * group_size, group_size, batch_deviation,
                      advantages + g * group_size);
}
