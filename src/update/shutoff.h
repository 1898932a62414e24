/* SPDX-License-Identifier: Apache-2.0
 *
 * When a rule that looks ahead had better stop: a z-score of one number a step (gxpo: the norm of the
 * corrective gradient before clipping; sfpo: the entropy) against the steps before it.
 *
 *     z = (x − mean) / (max(deviation, std_floor |mean|) + 1e-9)
 *
 * with mean and population deviation of the last `window` numbers, the newest among them where the
 * test is inclusive. No score is taken before there are `warmup` of them, and two. `patience` scores
 * in a row at the threshold or above end the rule, all against the mean and deviation of the first;
 * every number enters the window once it has been scored.
 */
#ifndef UPDATE_SHUTOFF_H
#define UPDATE_SHUTOFF_H

#include <stdbool.h>
#include <stdint.h>

enum { SHUTOFF_WINDOW_MAX = 1000 };

struct shutoff_settings {
    int64_t window, warmup;
    double threshold; /* 0: never */
    int64_t patience;
    double std_floor;
    bool two_sided; /* |z| instead of z */
    bool inclusive;
    int64_t rearm; /* steps of rest; 0: for ever */
};

/* From step to step; zeros at first. All of it is kept in checkpoints. */
struct shutoff {
    double values[SHUTOFF_WINDOW_MAX]; /* number i at place i mod window */
    int64_t count;                     /* numbers so far */
    int64_t streak;                    /* scores in a row at the threshold or above */
    double mean, deviation;            /* what the streak is scored against */
    bool off;                          /* the rule rests */
    int64_t rested;                    /* steps that it has */
};

/* Takes the number of a step of the rule; gives its score, NaN where there is none yet. */
double shutoff_observe(struct shutoff *shutoff, const struct shutoff_settings *settings,
                       double value);

/* Counts a step of rest; behind the last of `rearm` the rule is on again, its window as it was. */
void shutoff_rest(struct shutoff *shutoff, const struct shutoff_settings *settings);

#endif
