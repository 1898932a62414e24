/* SPDX-License-Identifier: Apache-2.0
 *
 * Features in, numbers out: the spread of mauve-text over its seeds, on made features and on those of a real model;
 * equal samples; labels; what is refused.
 */
#include "mauve/mauve.h"

#include <stdlib.h>

#include "base/statistics.h"
#include "check.h"
#include "sets.h"

enum { SEEDS = 40, NUMBERS = 4 };

static void numbers_of(const struct divergence_score *score, double out[NUMBERS]) {
    out[0] = score->mauve;
    out[1] = score->frontier_integral;
    out[2] = score->mauve_star;
    out[3] = score->frontier_integral_star;
}

/* The means over 40 of our seeds and 100 of mauve-text's differ by chance alone: their difference has a deviation of 0.19 of
 * one seed's, and four times that are allowed. Some seeds give numbers far off, so the larger deviation of both counts. */
static void check_spread(const char *name, const struct mauve_features *features,
                         const double want[2 * NUMBERS], int64_t buckets) {
    double found[SEEDS][NUMBERS], of_one[SEEDS];
    for (int s = 0; s < SEEDS; s++) {
        struct mauve_settings settings = MAUVE_DEFAULTS;
        struct mauve_report report;
        settings.seed = (uint64_t)s;
        CHECK_OK(mauve_of_features(features, &settings, &report));
        CHECK_EQ(report.buckets, buckets);
        numbers_of(&report.score, found[s]);
    }
    for (int i = 0; i < NUMBERS; i++) {
        const double mean = want[2 * i], deviation = want[2 * i + 1];
        for (int s = 0; s < SEEDS; s++)
            of_one[s] = found[s][i];
        const struct statistics ours = statistics_of(of_one, SEEDS);
        if (!(fabs(ours.mean - mean) <= 0.75 * fmax(deviation, ours.deviation)))
            CHECK_FAILED("%s, number %d: %.6g +- %.3g over the seeds, mauve-text %.6g +- %.3g",
                         name, i, ours.mean, ours.deviation, mean, deviation);
    }
}

/* real.tsv: (240, 16), p above q. */
static float *read_real(void) {
    enum { COUNT = 240 * 16 };
    float *rows = malloc(COUNT * sizeof *rows);
    char head[256];
    int n = 0;
    FILE *file = fopen(DATA "real.tsv", "r");
    CHECK(file != NULL && fgets(head, sizeof head, file) != NULL);
    while (file != NULL && n < COUNT && fscanf(file, "%f", &rows[n]) == 1)
        n++;
    CHECK_EQ(n, COUNT);
    if (file != NULL)
        fclose(file);
    return rows;
}

static void check_line(const char *row, int number) {
    char name[32];
    double want[2 * NUMBERS];
    long long buckets;
    CHECK_EQ(sscanf(row, "%31s %lld %lf %lf %lf %lf %lf %lf %lf %lf", name, &buckets, &want[0],
                    &want[1], &want[2], &want[3], &want[4], &want[5], &want[6], &want[7]),
             10);
    if (number == FEATURE_SETS) {
        float *rows = read_real();
        const struct mauve_features features = {rows, rows + 120 * 16, 120, 120, 16};
        CHECK_TEXT(name, "real");
        check_spread(name, &features, want, buckets);
        free(rows);
        return;
    }
    const struct feature_set *set = &feature_sets[number];
    float *p = features_p(set), *q = features_q(set);
    CHECK_TEXT(name, set->name);
    check_spread(name, &(struct mauve_features){p, q, set->p_n, set->q_n, set->d}, want, buckets);
    free(p);
    free(q);
}

static void check_peer(void) {
    char row[512];
    int rows = 0;
    FILE *file = fopen(DATA "spread.tsv", "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(row, sizeof row, file) != NULL)
        if (row[0] != '#')
            check_line(row, rows++);
    CHECK_EQ(rows, FEATURE_SETS + 1);
    if (file != NULL)
        fclose(file);
}

/* A sample against itself: whatever the clusters, exactly the ends. */
static void check_same(void) {
    const struct feature_set *set = &feature_sets[0];
    float *p = features_p(set);
    for (int start = 0; start < 2; start++) {
        struct mauve_settings settings = MAUVE_DEFAULTS;
        struct mauve_report report;
        settings.start = start == 0 ? KMEANS_PERMUTATION : KMEANS_PLUS_PLUS;
        CHECK_OK(mauve_of_features(&(struct mauve_features){p, p, set->p_n, set->p_n, set->d},
                                   &settings, &report));
        CHECK_EQ(report.buckets, 16);
        CHECK_NEAR(report.score.mauve, 1.0, 1e-15);
        CHECK_NEAR(report.score.frontier_integral, 0.0, 1e-15);
        CHECK_NEAR(report.score.mauve_star, 1.0, 1e-15);
    }
    free(p);
}

/* The number of buckets: as Python rounds, at least 2. All of the text's length is taken out. */
static void check_settings(void) {
    static const int64_t sizes[][2] = {{3, 2}, {14, 2}, {25, 2}, {35, 4}, {44, 4}, {45, 4}};
    const struct feature_set *set = &feature_sets[1];
    float *p = features_p(set), *q = features_q(set);
    struct mauve_settings settings = MAUVE_DEFAULTS;
    struct mauve_report report, scaled;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct mauve_features features = {p, q, sizes[i][0], 50, set->d};
        CHECK_OK(mauve_of_features(&features, &settings, &report));
        CHECK_EQ(report.buckets, sizes[i][1]);
    }
    const struct mauve_features features = {p, q, set->p_n, set->q_n, set->d};
    CHECK_OK(mauve_of_features(&features, &settings, &report));
    for (int64_t i = 0; i < set->q_n * set->d; i++)
        q[i] *= 8.0f;
    CHECK_OK(mauve_of_features(&features, &settings, &scaled));
    CHECK(scaled.score.mauve == report.score.mauve);
    settings.scaling = 1.0;
    CHECK_OK(mauve_of_features(&features, &settings, &scaled));
    CHECK(scaled.score.mauve > report.score.mauve + 0.1);
    CHECK(scaled.score.frontier_integral == report.score.frontier_integral);
    settings.variance = 0.5;
    settings.buckets = 9;
    CHECK_OK(mauve_of_features(&features, &settings, &scaled));
    CHECK(scaled.components < report.components && scaled.buckets == 9);
    free(p);
    free(q);
}

static void check_labels(void) {
    const int64_t p[] = {0, 1, 1, 2, 2, 2}, q[] = {2, 1, 1, 0, 0, 0, 0};
    const int64_t p_counts[] = {1, 2, 3, 0}, q_counts[] = {4, 2, 1, 0};
    struct mauve_settings settings = MAUVE_DEFAULTS;
    struct mauve_labels labels = {p, q, 6, 7};
    struct mauve_report report;
    struct divergence_score want;
    for (int64_t k = 3; k <= 4; k++) {
        CHECK_OK(mauve_of_labels(&labels, &settings, &report));
        CHECK_OK(divergence_of_counts(p_counts, q_counts, k, 5.0, &want));
        CHECK_EQ(report.buckets, k);
        CHECK(memcmp(&want, &report.score, sizeof want) == 0);
        settings.buckets = 4;
    }
    settings.buckets = 2;
    CHECK_STATUS(mauve_of_labels(&labels, &settings, &report), STATUS_INPUT,
                 "label 3 of p is 2; labels are from 0 to 1");
    settings.buckets = 0;
    labels.q_n = 0;
    CHECK_STATUS(mauve_of_labels(&labels, &settings, &report), STATUS_INPUT, "q has no texts");
    labels = (struct mauve_labels){p, (const int64_t[]){INT64_MAX}, 6, 1};
    CHECK_STATUS(mauve_of_labels(&labels, &settings, &report), STATUS_INPUT, "largest label");
    labels.q = (const int64_t[]){-1};
    CHECK_STATUS(mauve_of_labels(&labels, &settings, &report), STATUS_INPUT, "label 0 of q is -1");
}

static void check_refusals(void) {
    float p[6] = {1, 2, 3, 4, 5, 6}, q[6] = {1, 0, 0, 0, NAN, 1};
    struct mauve_settings settings = MAUVE_DEFAULTS;
    struct mauve_report report;
    struct mauve_features features = {p, q, 2, 2, 3};
    CHECK_STATUS(mauve_of_features(&features, &settings, &report), STATUS_INPUT,
                 "number 1 of feature 1 of q is nan");
    q[4] = INFINITY;
    CHECK_STATUS(mauve_of_features(&features, &settings, &report), STATUS_INPUT, "of q is inf");
    q[4] = 0.0f;
    settings.buckets = 5;
    CHECK_STATUS(mauve_of_features(&features, &settings, &report), STATUS_INPUT,
                 "4 texts together, which do not fill 5 buckets");
    features.p_n = 0;
    CHECK_STATUS(mauve_of_features(&features, &settings, &report), STATUS_INPUT, "p has no texts");
    /* One text each, a row of zeros among them, is little but not wrong. */
    settings.buckets = 0;
    features = (struct mauve_features){p, q + 3, 1, 1, 3};
    q[3] = q[4] = q[5] = 0.0f;
    CHECK_OK(mauve_of_features(&features, &settings, &report));
    CHECK_NEAR(report.score.frontier_integral, 1.0, 1e-12);
}

int main(void) {
    check_peer();
    check_same();
    check_settings();
    check_labels();
    check_refusals();
    return CHECK_END();
}
