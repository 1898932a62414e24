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
    advantage_compute(ADVANTAGE_GROUP, rewards, 2, 3, a);
    CHECK_NEAR(a[0], -1 / 1.0001, 1e-15);
    CHECK_NEAR(a[5], 2 / (sqrt(3) + 1e-4), 1e-15);
    advantage_compute(ADVANTAGE_GROUP_MEAN, rewards, 2, 3, a);
    CHECK_NEAR(a[2], 1, 0);
    CHECK_NEAR(a[3], -1, 0);
    advantage_compute(ADVANTAGE_LEAVE_ONE_OUT, rewards, 2, 3, a);
    CHECK_NEAR(a[0], 0 - 1.5, 1e-15);
    CHECK_NEAR(a[5], 8 - 5, 1e-15);
    advantage_compute(ADVANTAGE_BATCH, rewards, 2, 3, a);
    CHECK_NEAR(a[5], 2 / (sqrt(45.5 / 5) + 1e-4), 1e-14); /* Σ (R − 3.5)² = 45.5 */
}

/* Each kind is centred in its group, and a flat group gives 0 although 3 × 0.1 / 3 is not 0.1. */
static void test_flat(void) {
    const double flat[] = {0.1, 0.1, 0.1, 0.1, 0.7, 0.3};
    for (int kind = ADVANTAGE_GROUP; kind <= ADVANTAGE_BATCH; kind++) {
        double a[6];
        advantage_compute((enum advantage_kind)kind, flat, 2, 3, a);
        for (int i = 0; i < 3; i++)
            CHECK(a[i] == 0);
        CHECK(a[4] > 0 && a[3] < 0);
        CHECK_NEAR(a[3] + a[4] + a[5], 0, 1e-14);
        advantage_compute((enum advantage_kind)kind, flat, 6, 1, a);
        for (int i = 0; i < 6; i++)
            CHECK(a[i] == 0);
    }
}

int main(void) {
    test_by_hand();
    test_flat();
    return CHECK_END();
}
