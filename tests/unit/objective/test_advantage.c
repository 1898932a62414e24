/* SPDX-License-Identifier: Apache-2.0
 *
 * Advantages by hand, their sums, flat groups, groups of one.
 */
#include "objective/advantage.h"

#include "check.h"

/* Rewards 0 1 2 and 5 5 8: means 1 and 6, deviations 1 and √3. */
static const double rewards[] = {0, 1, 2, 5, 5, 8};

static void test_by_hand(void) {
    double a[6];
    advantage_compute(ADVANTAGE_GROUP, 99, rewards, 2, 3, a);
    CHECK_NEAR(a[0], -1 / 1.0001, 1e-15);
    CHECK_NEAR(a[5], 2 / (sqrt(3) + 1e-4), 1e-15);
    advantage_compute(ADVANTAGE_GROUP_MEAN, 99, rewards, 2, 3, a);
    CHECK_NEAR(a[2], 1, 0);
    CHECK_NEAR(a[3], -1, 0);
    advantage_compute(ADVANTAGE_LEAVE_ONE_OUT, 99, rewards, 2, 3, a);
    CHECK_NEAR(a[0], 0 - 1.5, 1e-15);
    CHECK_NEAR(a[5], 8 - 5, 1e-15);
    advantage_compute(ADVANTAGE_BATCH, 99, rewards, 2, 3, a);
    CHECK_NEAR(a[5], 2 / (sqrt(45.5 / 5) + 1e-4), 1e-14); /* Σ (R − 3.5)² = 45.5 */
}

/* Each kind is centred in its group, and a flat group gives 0 although 3 × 0.1 / 3 is not 0.1. */
static void test_flat(void) {
    const double flat[] = {0.1, 0.1, 0.1, 0.1, 0.7, 0.3};
    for (int kind = ADVANTAGE_GROUP; kind <= ADVANTAGE_BATCH; kind++) {
        double a[6];
        advantage_compute((enum advantage_kind)kind, 99, flat, 2, 3, a);
        for (int i = 0; i < 3; i++)
            CHECK(a[i] == 0);
        CHECK(a[4] > 0 && a[3] < 0);
        CHECK_NEAR(a[3] + a[4] + a[5], 0, 1e-14);
        advantage_compute((enum advantage_kind)kind, 99, flat, 6, 1, a);
        for (int i = 0; i < 6; i++)
            CHECK(a[i] == 0);
    }
}

/* The baseline alone counts, in groups of one too; it goes from 4 towards the mean, 3.5. */
static void test_baseline(void) {
    double a[6];
    advantage_compute(ADVANTAGE_EMA, 4, rewards, 6, 1, a);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(a[i], rewards[i] - 4, 0);
    CHECK_NEAR(advantage_follow(4, 0.75, 3.5), 3.875, 0);
    CHECK_NEAR(advantage_follow(4, 0, 3.5), 3.5, 0);
    CHECK_NEAR(advantage_follow(4, 1, 3.5), 4, 0);
}

int main(void) {
    test_baseline();
    test_by_hand();
    test_flat();
    return CHECK_END();
}
