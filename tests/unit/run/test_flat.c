/* SPDX-License-Identifier: Apache-2.0
 *
 * The reason given for equal rewards is that of the run at hand: a run that had learned and lost it
 * has diverged, one that never had it is told how to get it.
 */
#include "run/flat.h"

#include "check.h"

/* A step of a run, with the metrics that matter. */
static void step(struct flat *flat, struct metrics *metrics, double zero_std, double format,
                 double clipped, double entropy, double tokens) {
    metrics_clear(metrics);
    metrics->step[METRIC_ADVANTAGE_MAX] = 1 - zero_std;
    metrics->step[METRIC_FORMAT_MEAN] = format;
    metrics->step[METRIC_CLIPPED_RATIO] = clipped;
    metrics->step[METRIC_ENTROPY] = entropy;
    metrics->step[METRIC_MEAN_LENGTH] = tokens;
    metrics->step[METRIC_LOSS] = 0.0;
    flat_watch(flat, metrics);
}

static void check(const struct flat *flat, const struct metrics *metrics, const char *words) {
    const char *const reason = flat_reason(flat, metrics);
    if (strstr(reason, words) == NULL)
        CHECK_FAILED("the reason is \"%s\", expected \"%s\" in it", reason, words);
}

/* From the first step on. */
static void never_learned(void) {
    struct metrics m;
    struct flat flat = {.steps = 0};
    CHECK_OK(metrics_init(&m, 1));
    step(&flat, &m, 1, 0.0, 0.2, 1.0, 60);
    check(&flat, &m, "teach it by run.method");
    step(&flat, &m, 1, NAN, 1.0, 1.0, 60);
    check(&flat, &m, "every answer is cut at rollout.max_new_tokens");
    step(&flat, &m, 1, NAN, 0.0, 1e-5, 60);
    check(&flat, &m, "raise rollout.temperature");
    step(&flat, &m, 1, NAN, 0.0, 1.0, 1);
    check(&flat, &m, "check that prompt.chat");
    step(&flat, &m, 1, 1.0, 0.0, 1.0, 60);
    check(&flat, &m, "rollout.group_size");
    step(&flat, &m, 1, 0.0, 1.0, NAN, 60);
    check(&flat, &m, "not a number, the run has diverged");
    CHECK_EQ(flat.steps, 6);
    metrics_release(&m);
}

/* After steps in which something was learned. */
static void lost(void) {
    struct metrics m;
    struct flat flat = {.steps = 0};
    CHECK_OK(metrics_init(&m, 1));
    step(&flat, &m, 0.5, 0.8, 0.1, 1.0, 60);
    step(&flat, &m, 1, 0.0, 0.1, 1.0, 60);
    check(&flat, &m, "lost the form that they had, the run has diverged");
    step(&flat, &m, 1, NAN, 1.0, 1.0, 128);
    check(&flat, &m, "no longer come to an end, the run has diverged");
    step(&flat, &m, 1, 0.0, 0.0, 0.0, 1);
    check(&flat, &m, "shrunk to nothing, the run has diverged");
    step(&flat, &m, 0.5, 0.8, 0.1, 1.0, 60);
    CHECK_EQ(flat.steps, 0);
    metrics_release(&m);
}

static void every_fifth(void) {
    struct metrics m;
    struct flat flat = {.steps = 0};
    CHECK_OK(metrics_init(&m, 1));
    m.step[METRIC_ADVANTAGE_MAX] = 0.0;
    for (int i = 1; i <= 12; i++)
        CHECK_EQ(flat_watch(&flat, &m), i % 5 == 0);
    metrics_release(&m);
}

int main(void) {
    never_learned();
    lost();
    every_fifth();
    return CHECK_END();
}
