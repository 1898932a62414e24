/* SPDX-License-Identifier: Apache-2.0
 *
 * pass@k against all subsets of the samples and against binomials; its errors against fresh draws of
 * whole benchmarks; the vote against counting.
 */
#include "eval/estimate.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"

static double uniform(uint32_t a, uint32_t b, uint32_t c) {
    return random_uniform(11, RANDOM_TEST, a, b, c, 0);
}

/* Share of the k-subsets of n samples, the first `right` of which are right, that hold a right one. */
static double by_subsets(int n, int right, int k) {
    int64_t all = 0, hit = 0;
    for (uint32_t subset = 0; subset < 1U << n; subset++)
        if (__builtin_popcount(subset) == k) {
            all++;
            hit += (subset & ((1U << right) - 1)) != 0;
        }
    return (double)hit / (double)all;
}

static double log_choose(double n, double k) {
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

static void test_pass_at(void) {
    for (int n = 1; n <= 10; n++)
        for (int right = 0; right <= n; right++)
            for (int k = 1; k <= n; k++)
                CHECK_NEAR(estimate_pass_at(n, right, k), by_subsets(n, right, k), 1e-14);
    CHECK_NEAR(estimate_pass_at(16, 3, 1), 3.0 / 16, 1e-15);
    CHECK_NEAR(estimate_pass_at(16, 16, 4), 1.0, 0);
    CHECK_NEAR(estimate_pass_at(16, 0, 16), 0.0, 0);
    /* Where the binomials have hundreds of digits. */
    for (int right = 1; right < 2000; right += 97)
        for (int k = 1; k < 1900; k += 131)
            CHECK_NEAR(estimate_pass_at(2000, right, k),
                       right + k > 2000 ? 1.0
                                        : -expm1(log_choose(2000 - right, k) - log_choose(2000, k)),
                       1e-9);
    /* A small chance is not lost to cancellation: 1 − (1 − k/n) is k/n. */
    CHECK_NEAR(estimate_pass_at(1000000, 1, 1), 1e-6, 1e-16);
}

/* Over many benchmarks drawn anew the mean of pass@k is the truth, 1 − (1 − p)^k, and its spread is
 * what the error says. */
static void test_unbiased(void) {
    enum { PROBLEMS = 40, SAMPLES = 6, TRIALS = 3000, K = 3 };
    double truth = 0.0, mean = 0.0, squares = 0.0, errors = 0.0;
    for (int trial = 0; trial < TRIALS; trial++) {
        double values[PROBLEMS];
        for (int p = 0; p < PROBLEMS; p++) {
            /* Problems are drawn too: the error speaks of others of their kind. */
            const double chance = uniform((uint32_t)trial, (uint32_t)p, 1000);
            int64_t right = 0;
            for (int s = 0; s < SAMPLES; s++)
                right += uniform((uint32_t)trial, (uint32_t)p, (uint32_t)s) < chance;
            values[p] = estimate_pass_at(SAMPLES, right, K);
        }
        const struct estimate estimate = estimate_of(values, PROBLEMS);
        mean += estimate.mean / TRIALS;
        squares += estimate.mean * estimate.mean / TRIALS;
        errors += estimate.error * estimate.error / TRIALS;
    }
    truth = 1.0 - 1.0 / (K + 1); /* ∫ (1 − p)^K dp */
    const double spread = sqrt(squares - mean * mean);
    CHECK_NEAR(mean, truth, 4 * spread / sqrt((double)TRIALS));
    CHECK_NEAR(sqrt(errors) / spread, 1.0, 0.06); /* a standard deviation of TRIALS is that sure */
}

/* Two samples of each problem that always agree say no more than one. */
static void test_clusters(void) {
    const double problems[] = {1.0, 0.0, 0.5, 0.5, 1.0};
    const struct estimate estimate = estimate_of(problems, 5);
    CHECK_NEAR(estimate.mean, 0.6, 1e-15);
    CHECK_NEAR(estimate.error, sqrt((0.16 + 0.36 + 0.01 + 0.01 + 0.16) / (5 * 4)), 1e-15);
    CHECK(isnan(estimate_of(problems, 1).error));
    CHECK_NEAR(estimate_of(problems, 1).mean, 1.0, 0);
}

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

static int64_t chosen(const struct span *answers, int64_t k) {
    int64_t at = -1;
    CHECK_OK(estimate_majority(answers, k, &at));
    return at;
}

/* By counting: the first sample of the text with most votes, of several that which comes first. */
static int64_t by_counting(const struct span *answers, int64_t k) {
    int64_t best = 0, most = 0;
    for (int64_t i = 0; i < k; i++) {
        int64_t votes = 0;
        for (int64_t j = 0; j < k; j++)
            votes += span_equal(answers[i], answers[j]);
        if (votes > most) {
            most = votes;
            best = i;
        }
    }
    return best;
}

static void test_majority(void) {
    static const char *const words[] = {"", "1", "2", "12", "a\0b", "1 "};
    const struct span tie[] = {span_of("b"), span_of("a"), span_of("a"), span_of("b"),
                               span_of("c")};
    CHECK_EQ(chosen(tie, 5), 0);
    CHECK_EQ(chosen(tie + 1, 4), 0); /* a a b c */
    CHECK_EQ(chosen(tie + 2, 3), 0); /* a b c: all once */
    CHECK_EQ(chosen(tie, 3), 1);     /* b a a: the first of a */
    const struct span empty[] = {span_of("1"), span_of(""), span_of("")};
    CHECK_EQ(chosen(empty, 3), 1); /* an answer that is missing votes */
    for (uint32_t trial = 0; trial < 2000; trial++) {
        struct span answers[12];
        const int64_t k = 1 + (int64_t)(12 * uniform(trial, 77, 0));
        for (uint32_t i = 0; i < k; i++) {
            const int word = (int)(6 * uniform(trial, 78, i));
            answers[i] = (struct span){words[word], word == 4 ? 3 : strlen(words[word])};
        }
        CHECK_EQ(chosen(answers, k), by_counting(answers, k));
    }
}

int main(void) {
    test_pass_at();
    test_unbiased();
    test_clusters();
    test_majority();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
