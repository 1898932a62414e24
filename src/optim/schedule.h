/* SPDX-License-Identifier: Apache-2.0
 *
 * The learning rate of a step. A step is one rollout batch; all its passes share the rate.
 */
#ifndef OPTIM_SCHEDULE_H
#define OPTIM_SCHEDULE_H

#include <stdint.h>

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE };

struct schedule {
    enum schedule_kind kind;
    double learning_rate; /* the largest */
    int64_t warmup_steps, steps;
};

/* The rate of step t = 1 … steps. With s = t − 1 steps done, as transformers' schedules have it:
 * learning_rate s / warmup_steps during the warm-up, so the first step of a warm-up has rate 0;
 * behind it learning_rate × 1 (constant), 1 − p (linear), (1 + cos π p)/2 (cosine) with the
 * progress p = (s − warmup_steps) / (steps − warmup_steps). Without warm-up linear is
 * learning_rate (1 − (t − 1)/steps). */
double schedule_rate(const struct schedule *schedule, int64_t t);

#endif
