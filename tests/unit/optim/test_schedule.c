/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning rates equal those of transformers 5.23.0, `get_scheduler(kind, SGD(lr = 0.5), warmup,
 * 8)`, read before each of eight steps; and the formula of design, section 9.
 */
#include "optim/schedule.h"

#include "check.h"

static const struct {
    enum schedule_kind kind;
    int64_t warmup;
    double rates[8];
} expected[] = {
    {SCHEDULE_CONSTANT, 0, {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5}},
    {SCHEDULE_CONSTANT, 3, {0, 0.5 / 3, 1.0 / 3, 0.5, 0.5, 0.5, 0.5, 0.5}},
    {SCHEDULE_LINEAR, 0, {0.5, 0.4375, 0.375, 0.3125, 0.25, 0.1875, 0.125, 0.0625}},
    {SCHEDULE_LINEAR, 3, {0, 0.5 / 3, 1.0 / 3, 0.5, 0.4, 0.3, 0.2, 0.1}},
    {SCHEDULE_COSINE,
     0,
     {0.5, 0.48096988312782168, 0.42677669529663687, 0.34567085809127246, 0.25, 0.15432914190872757,
      0.073223304703363135, 0.019030116872178315}},
    {SCHEDULE_COSINE,
     3,
     {0, 0.5 / 3, 1.0 / 3, 0.5, 0.45225424859373686, 0.32725424859373686, 0.17274575140626316,
      0.047745751406263165}},
};

static void test_transformers(void) {
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct schedule schedule = {
            .kind = expected[i].kind,
            .learning_rate = 0.5,
            .warmup_steps = expected[i].warmup,
            .steps = 8,
        };
        for (int64_t t = 1; t <= 8; t++)
            CHECK_NEAR(schedule_rate(&schedule, t), expected[i].rates[t - 1], 2e-16);
    }
}

static void test_linear(void) {
    const struct schedule schedule = {
        .kind = SCHEDULE_LINEAR, .learning_rate = 1e-6, .steps = 5000};
    for (int64_t t = 1; t <= 5000; t += 7)
        CHECK_NEAR(schedule_rate(&schedule, t), 1e-6 * (1 - (double)(t - 1) / 5000), 1e-21);
}

/* A warm-up as long as the run, and steps beyond the last, stay within [0, learning_rate]. */
static void test_ends(void) {
    for (int kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_COSINE; kind++) {
        const struct schedule schedule = {
            .kind = (enum schedule_kind)kind, .learning_rate = 1, .warmup_steps = 4, .steps = 4};
        for (int64_t t = 1; t <= 12; t++)
            CHECK(schedule_rate(&schedule, t) >= 0 && schedule_rate(&schedule, t) <= 1);
        CHECK_NEAR(schedule_rate(&schedule, 3), 0.5, 0);
    }
}

int main(void) {
    test_transformers();
    test_linear();
    test_ends();
    return CHECK_END();
}
