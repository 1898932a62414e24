/* SPDX-License-Identifier: Apache-2.0
 *
 * Principal components: numpy's variances and counts, and the identities that make them what they are.
 */
#include "mauve/pca.h"

#include <stdlib.h>

#include "base/memory.h"
#include "check.h"
#include "sets.h"

/* q above p, rows of length 1. */
static double *normalised(const struct feature_set *set) {
    const int64_t n = set->p_n + set->q_n, d = set->d;
    double *rows = malloc((size_t)(n * d) * sizeof *rows);
    float *p = features_p(set), *q = features_q(set);
    for (int64_t i = 0; i < n; i++) {
        const float *from = i < set->q_n ? q + i * d : p + (i - set->q_n) * d;
        double square = 0.0;
        for (int64_t j = 0; j < d; j++)
            square += (double)from[j] * from[j];
        for (int64_t j = 0; j < d; j++)
            rows[i * d + j] = from[j] / sqrt(square);
    }
    free(p);
    free(q);
    return rows;
}

static float *project(const struct feature_set *set, double variance, int64_t *m) {
    double *rows = normalised(set);
    float *out = NULL;
    CHECK_OK(pca_project(rows, set->p_n + set->q_n, set->d, variance, &out, m));
    free(rows);
    return out;
}

static double squares(const float *y, int64_t n, int64_t m, int64_t c, int64_t e) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)y[i * m + c] * y[i * m + e];
    return sum;
}

static double distance(const float *y, int64_t m, int64_t a, int64_t b) {
    double sum = 0.0;
    for (int64_t c = 0; c < m; c++)
        sum += ((double)y[a * m + c] - y[b * m + c]) * ((double)y[a * m + c] - y[b * m + c]);
    return sum;
}

/* Columns are centred and do not correlate; their squares are numpy's. With the whole variance the
 * distances of rows are those of the rows that went in. */
static void check_set(const struct feature_set *set, const int *counts, const double *want) {
    static const double shares[] = {0.5, 0.9, 0.99};
    const int64_t n = set->p_n + set->q_n;
    int64_t m;
    for (int s = 0; s < 3; s++) {
        float *y = project(set, shares[s], &m);
        CHECK_EQ(m, counts[s]);
        for (int64_t c = 0; y != NULL && c < m && c < 4; c++)
            CHECK_NEAR(squares(y, n, m, c, c), want[c], 1e-5 * want[0]);
        for (int64_t c = 1; y != NULL && c < m; c++)
            CHECK_NEAR(squares(y, n, m, c, c - 1), 0.0, 1e-5 * want[0]);
        memory_release(&y);
    }
    float *y = project(set, 1.0, &m);
    double *rows = normalised(set);
    for (int64_t i = 1; y != NULL && i < n; i++) {
        double far = 0.0;
        for (int64_t j = 0; j < set->d; j++)
            far += (rows[i * set->d + j] - rows[j]) * (rows[i * set->d + j] - rows[j]);
        CHECK_NEAR(distance(y, m, 0, i), far, 1e-5);
    }
    memory_release(&y);
    free(rows);
}

static void check_peer(void) {
    char row[512], name[32];
    int counts[3], rows = 0;
    double want[4];
    FILE *file = fopen(DATA "pca.tsv", "r");
    CHECK(file != NULL);
    while (file != NULL && fgets(row, sizeof row, file) != NULL) {
        if (row[0] == '#')
            continue;
        CHECK_EQ(sscanf(row, "%31s %d %d %d %lf %lf %lf %lf", name, &counts[0], &counts[1],
                        &counts[2], &want[0], &want[1], &want[2], &want[3]),
                 8);
        CHECK_TEXT(name, feature_sets[rows].name);
        check_set(&feature_sets[rows++], counts, want);
    }
    CHECK_EQ(rows, FEATURE_SETS);
    if (file != NULL)
        fclose(file);
}

/* Points on a line in 3 dimensions, away from the origin, come out as their places on it. */
static void check_line(void) {
    double x[4 * 3];
    static const double places[] = {-3.0, -1.0, 0.0, 4.0};
    float *y = NULL;
    int64_t m;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            x[i * 3 + j] = 7.0 + places[i] * (j == 0 ? 2.0 / 3.0 : j == 1 ? -2.0 / 3.0 : 1.0 / 3.0);
    CHECK_OK(pca_project(x, 4, 3, 0.9, &y, &m));
    CHECK_EQ(m, 1);
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(fabs((double)y[i]), fabs(places[i]), 1e-6);
    memory_release(&y);
}

/* Rows that are all the same, and one alone, have no variance: one component, all zeros. */
static void check_flat(void) {
    double x[5 * 8];
    for (int64_t n = 1; n <= 5; n += 4) {
        for (int i = 0; i < 40; i++)
            x[i] = 0.25 * (i % 8);
        float *y = NULL;
        int64_t m = 0;
        CHECK_OK(pca_project(x, n, 8, 0.9, &y, &m));
        CHECK_EQ(m, 1);
        for (int64_t i = 0; y != NULL && i < n; i++)
            CHECK_NEAR(y[i], 0.0, 1e-12);
        memory_release(&y);
    }
}

int main(void) {
    check_peer();
    check_line();
    check_flat();
    return CHECK_END();
}
