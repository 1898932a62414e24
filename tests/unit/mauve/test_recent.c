/* SPDX-License-Identifier: Apache-2.0
 *
 * The newest groups of texts, whatever has gone before, compare as the same features in a row: real ones and written ones each in
 * their order, those without a token left out; nothing is compared as long as they do not fill the buckets.
 */
#include "mauve/recent.h"

#include <math.h>
#include <stdbool.h>

#include "check.h"
#include "sets.h"

enum { D = 6, GROUP = 3, WRITTEN = 40, ALL = 35, KEPT = 14 }; /* 40 written texts take 14 groups */

/* Of text i of group g; every 7th written one has no token, nor has the real one of every 5th group. */
static bool is_none(int64_t g, int64_t i) {
    return i > 0 ? (g * GROUP + i) % 7 == 0 : g % 5 == 0;
}

static void fill(int64_t g, int64_t i, float *out) {
    for (int64_t j = 0; j < D; j++)
        out[j] = hashed((uint64_t)(50 + (i > 0 ? g % 4 : g % 3)), j) +
                 hashed((uint64_t)(100 + g * 10 + i), j);
}

/* The features [first, last) of the groups [from, to), as they come; returns how many. */
static int64_t in_a_row(int64_t from, int64_t to, int64_t first, int64_t last, float *out) {
    int64_t n = 0;
    for (int64_t g = from; g < to; g++)
        for (int64_t i = first; i < last; i++)
            if (!is_none(g, i))
                fill(g, i, out + n++ * D);
    return n;
}

static void check_same(const struct mauve_recent *recent, int64_t from, int64_t to,
                       const struct mauve_settings *settings) {
    static float p[ALL * D], q[ALL * GROUP * D];
    struct mauve_report have = {.buckets = 0}, want;
    const struct mauve_features features = {.p = p,
                                            .q = q,
                                            .p_n = in_a_row(from, to, 0, 1, p),
                                            .q_n = in_a_row(from, to, 1, 1 + GROUP, q),
                                            .d = D};
    int64_t written;
    CHECK_OK(mauve_recent_compare(recent, settings, &have, &written));
    if (features.p_n == 0 || features.p_n + features.q_n < mauve_buckets(&features, settings)) {
        CHECK_EQ(written, 0);
        return;
    }
    CHECK_EQ(written, features.q_n);
    CHECK_OK(mauve_of_features(&features, settings, &want));
    CHECK_EQ(have.buckets, want.buckets);
    CHECK(have.score.mauve == want.score.mauve);
    CHECK(have.score.frontier_integral == want.score.frontier_integral);
    CHECK(have.score.mauve_star == want.score.mauve_star);
    CHECK(have.score.frontier_integral_star == want.score.frontier_integral_star);
}

int main(void) {
    struct mauve_settings settings = MAUVE_DEFAULTS;
    struct mauve_recent recent;
    float group[(1 + GROUP) * D];
    settings.buckets = 9;
    CHECK_OK(mauve_recent_init(&recent, WRITTEN, GROUP, D));
    CHECK_EQ(recent.groups, KEPT);
    CHECK_EQ(mauve_recent_size(&recent), KEPT * (1 + GROUP) * D);
    for (int64_t g = 0; g < ALL; g++) {
        for (int64_t i = 0; i <= GROUP; i++) {
            fill(g, i, group + i * D);
            group[i * D] = is_none(g, i) ? NAN : group[i * D];
        }
        mauve_recent_add(&recent, group);
        check_same(&recent, g + 1 > KEPT ? g + 1 - KEPT : 0, g + 1, &settings);
    }
    settings.buckets = 0; /* a tenth of the smaller sample */
    check_same(&recent, ALL - KEPT, ALL, &settings);
    settings.buckets = 1000;
    check_same(&recent, ALL - KEPT, ALL, &settings);
    mauve_recent_release(&recent);
    return CHECK_END();
}
