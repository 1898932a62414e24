/* SPDX-License-Identifier: Apache-2.0
 *
 * Means and deviations against numbers known by hand; equal numbers have no spread at all, and a
 * large mean does not hide a small one.
 */
#include "base/statistics.h"
#include "check.h"

static void test_by_hand(void) {
    const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    const struct statistics s = statistics_of(values, 8);
    CHECK_EQ(s.n, 8);
    CHECK_NEAR(s.mean, 5, 0);
    CHECK_NEAR(s.deviation, sqrt(32.0 / 7.0), 1e-15);
    CHECK_NEAR(s.least, 2, 0);
    CHECK_NEAR(s.most, 9, 0);
}

/* Three times 0.1, divided by 3, is not 0.1; a difference of squares would leave 1e-9. */
static void test_equal(void) {
    double values[1000];
    const double numbers[] = {0.1, 0.7, 1.0 / 3.0, -1e-5, 12345.678, 1e15 / 7};
    for (int i = 0; i < 6; i++)
        for (int64_t n = 1; n <= 1000; n = 3 * n / 2 + 1) {
            for (int64_t k = 0; k < n; k++)
                values[k] = numbers[i];
            const struct statistics s = statistics_of(values, n);
            CHECK_NEAR(s.mean, numbers[i], 0);
            CHECK_NEAR(s.deviation, 0, 0);
            CHECK(statistics_flat(values, n));
        }
    values[0] = nextafter(values[1], 0);
    CHECK(!statistics_flat(values, 3));
}

/* A deviation of 1 around 1e9 keeps its digits: one-pass sums of squares give 0 or 16 for it. */
static void test_far_from_zero(void) {
    const double values[] = {1e9 - 1, 1e9, 1e9 + 1};
    CHECK_NEAR(statistics_of(values, 3).deviation, 1, 1e-15);
}

static void test_few(void) {
    const double odd[] = {1, NAN, 3};
    CHECK(isnan(statistics_of(odd, 0).mean));
    CHECK_NEAR(statistics_of(odd, 0).deviation, 0, 0);
    CHECK_NEAR(statistics_of(odd, 1).mean, 1, 0);
    CHECK_NEAR(statistics_of(odd, 1).deviation, 0, 0);
    CHECK(isnan(statistics_of(odd, 3).mean) && isnan(statistics_of(odd, 3).deviation));
    CHECK(statistics_flat(odd, 0) && statistics_flat(odd, 1) && !statistics_flat(odd, 2));
}

int main(void) {
    test_by_hand();
    test_equal();
    test_far_from_zero();
    test_few();
    return CHECK_END();
}
