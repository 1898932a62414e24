/* SPDX-License-Identifier: Apache-2.0
 *
 * From the rewards of a group's answers to their advantages (algorithms.md 3.1; design, section 9).
 */
#ifndef OBJECTIVE_ADVANTAGE_H
#define OBJECTIVE_ADVANTAGE_H

#include <stdint.h>

enum advantage_kind {
    ADVANTAGE_GROUP,         /* (R − group mean) / (group std (n − 1) + 1e-4): GRPO */
    ADVANTAGE_GROUP_MEAN,    /* R − group mean: Dr. GRPO */
    ADVANTAGE_LEAVE_ONE_OUT, /* R − mean of the others: RLOO */
    ADVANTAGE_BATCH,         /* (R − group mean) / (batch std (n − 1) + 1e-4) */
    ADVANTAGE_EMA,           /* R − b, a baseline that goes along from step to step */
};

/* rewards and advantages (groups × group_size), not the same memory; a group of equal rewards, so
 * every group of one answer, gives exactly 0, but for ADVANTAGE_EMA, the only one that looks at the
 * baseline. */
void advantage_compute(enum advantage_kind kind, double baseline, const double *rewards,
                       int64_t groups, int64_t group_size, double *advantages);

/* b after a step: decay b + (1 − decay) mean R. In the first step b is mean R itself. */
double advantage_follow(double baseline, double decay, double reward_mean);

#endif
