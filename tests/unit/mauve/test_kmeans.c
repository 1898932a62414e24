/* SPDX-License-Identifier: Apache-2.0
 *
 * What k-means must do whatever the data: its sum never rises, its answer is a fixed point, groups that lie apart are found,
 * no centre stays empty where there are points for it, and threads change nothing.
 */
#include "mauve/kmeans.h"

#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "sets.h"

enum { N = 240, D = 5 };

static struct kmeans_result cluster(const struct kmeans_args *args, int32_t *labels) {
    struct kmeans_result result = {.labels = labels};
    CHECK_OK(kmeans(args, &result));
    return result;
}

/* Sum of squared distances to the means of the labels' points, and how many labels are in use. */
static double sum_of_labels(const struct kmeans_args *args, const int32_t *labels, int64_t *used) {
    double *means = calloc((size_t)(args->k * args->d), sizeof *means), sum = 0.0;
    int64_t *sizes = calloc((size_t)args->k, sizeof *sizes);
    for (int64_t i = 0; i < args->n; i++) {
        sizes[labels[i]]++;
        for (int64_t j = 0; j < args->d; j++)
            means[labels[i] * args->d + j] += args->points[i * args->d + j];
    }
    *used = 0;
    for (int64_t c = 0; c < args->k; c++)
        *used += sizes[c] > 0;
    for (int64_t i = 0; i < args->n; i++)
        for (int64_t j = 0; j < args->d; j++) {
            const int64_t c = labels[i];
            const double x =
                args->points[i * args->d + j] - means[c * args->d + j] / (double)sizes[c];
            sum += x * x;
        }
    free(means);
    free(sizes);
    return sum;
}

/* Cut short after 1, 2, … iterations of one start. */
static void check_falls(const float *points) {
    static const enum kmeans_start starts[] = {KMEANS_PERMUTATION, KMEANS_PLUS_PLUS};
    int32_t labels[N];
    for (int s = 0; s < 2; s++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct kmeans_args args = {points, N, D, 17, 1, 1, starts[s], seed, 1};
            double before = INFINITY;
            int64_t used, iterations = 0;
            for (; args.iterations < 60; args.iterations++) {
                const struct kmeans_result found = cluster(&args, labels);
                CHECK(found.inertia <= before * (1.0 + 1e-12));
                CHECK_EQ(found.empty, 0);
                before = found.inertia;
                iterations = found.iterations;
            }
            CHECK(iterations > 3 && iterations < 60);
            /* It came to rest: centres are the means of their points. */
            CHECK_NEAR(sum_of_labels(&args, labels, &used), before, 1e-9 * before);
            CHECK_EQ(used, 17);
        }
}

/* Groups of points far from each other: from every start of k-means++ the right answer, all of a group together. */
static void check_groups(void) {
    enum { GROUPS = 6 };
    float points[N * D];
    int32_t labels[N];
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < D; j++)
            points[i * D + j] =
                40.0f * hashed(5, (i % GROUPS) * D + j) + 0.1f * hashed(6, i * D + j);
    for (uint64_t seed = 0; seed < 10; seed++) {
        const struct kmeans_args args = {points, N, D, GROUPS, 5, 50, KMEANS_PLUS_PLUS, seed, 1};
        const struct kmeans_result found = cluster(&args, labels);
        bool taken[GROUPS] = {false};
        for (int64_t i = 0; i < N; i++)
            CHECK_EQ(labels[i], labels[i % GROUPS]);
        for (int64_t g = 0; g < GROUPS; g++) {
            CHECK(!taken[labels[g]]);
            taken[labels[g]] = true;
        }
        CHECK(found.inertia < N * D * 0.01 / 12.0 * 1.2);
    }
}

/* Half of the points are one and the same: starts draw it more than once, and those centres are moved. By the
 * farthest point at once to one of the others, and the sum still falls; by splits of a cluster in the end. */
static void check_empty(void) {
    static const enum kmeans_start starts[] = {KMEANS_PERMUTATION, KMEANS_PLUS_PLUS};
    float points[N * D];
    int32_t labels[N];
    for (int64_t i = 0; i < N * D; i++)
        points[i] = i / D < N / 2 ? 1.0f : 4.0f * hashed(7, i);
    for (int s = 0; s < 2; s++) {
        int64_t moved = 0, used, most = 0;
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct kmeans_args args = {points, N, D, 12, 1, 100, starts[s], seed, 1};
            const struct kmeans_result found = cluster(&args, labels);
            CHECK_NEAR(sum_of_labels(&args, labels, &used), found.inertia,
                       s == 0 ? 1e-3 * found.inertia : 1e-9 * found.inertia);
            most = used > most ? used : most;
            moved += found.empty;
        }
        CHECK_EQ(most, 12);
        CHECK(s == 0 ? moved > 0 : moved == 0);
    }
}

/* A centre of k-means++ that loses its points, as one in some thousand starts on few points does, goes to the farthest
 * point, so that the sum falls all the same and every centre has points in the end. */
static void check_farthest(void) {
    enum { FEW = 14, K = 6 };
    float points[FEW * 2];
    int32_t labels[FEW];
    int64_t moved = 0, used;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct kmeans_args args = {points, FEW, 2, K, 1, 50, KMEANS_PLUS_PLUS, seed, 1};
        for (int64_t i = 0; i < FEW * 2; i++)
            points[i] = hashed(seed + 9, i);
        const struct kmeans_result whole = cluster(&args, labels);
        (void)sum_of_labels(&args, labels, &used);
        CHECK_EQ(used, K);
        moved += whole.empty;
        double before = INFINITY;
        for (args.iterations = 1; whole.empty > 0 && args.iterations < 20; args.iterations++) {
            const double sum = cluster(&args, labels).inertia;
            CHECK(sum <= before * (1.0 + 1e-12));
            before = sum;
        }
    }
    CHECK(moved > 0);
}

/* At rest every point is with the nearest of the means, of many coordinates whose first ones vary most, and of which most are
 * left out on the way. */
static void check_nearest(void) {
    enum { WIDE = 40, K = 21 };
    static float points[N * WIDE];
    static double means[K * WIDE];
    int32_t labels[N];
    for (int64_t i = 0; i < N * WIDE; i++)
        points[i] = (hashed(31, i) + hashed(32, i)) / (float)(1 + i % WIDE);
    for (uint64_t seed = 0; seed < 20; seed++) {
        const struct kmeans_args args = {points, N, WIDE, K, 1, 100, KMEANS_PERMUTATION, seed, 1};
        const struct kmeans_result found = cluster(&args, labels);
        int64_t sizes[K] = {0};
        CHECK(found.iterations < 100 && found.empty == 0);
        memset(means, 0, sizeof means);
        for (int64_t i = 0; i < N; i++) {
            sizes[labels[i]]++;
            for (int64_t j = 0; j < WIDE; j++)
                means[labels[i] * WIDE + j] += points[i * WIDE + j];
        }
        for (int64_t i = 0; i < N; i++) {
            double distance[K], least = INFINITY;
            for (int64_t c = 0; c < K; c++) {
                distance[c] = 0.0;
                for (int64_t j = 0; j < WIDE; j++) {
                    const double x = points[i * WIDE + j] - means[c * WIDE + j] / (double)sizes[c];
                    distance[c] += x * x;
                }
                least = fmin(least, distance[c]);
            }
            CHECK_NEAR(distance[labels[i]], least, 1e-12 * least);
        }
    }
}

/* Fewer different points than centres, one centre, and as many centres as points. */
static void check_corners(const float *points) {
    static const enum kmeans_start starts[] = {KMEANS_PERMUTATION, KMEANS_PLUS_PLUS};
    float same[N * D];
    int32_t labels[N];
    int64_t used;
    for (int64_t i = 0; i < N * D; i++)
        same[i] = 0.3f;
    for (int s = 0; s < 2; s++) {
        struct kmeans_args args = {same, N, D, 7, 2, 20, starts[s], 1, 1};
        /* A split cluster's centre may stand a 1024th beside. */
        CHECK_NEAR(cluster(&args, labels).inertia, 0.0, s == 0 ? N * D * 1e-6 : 1e-20);
        for (int64_t i = 0; i < N; i++)
            CHECK_EQ(labels[i], labels[0]);
        args = (struct kmeans_args){points, N, D, 1, 1, 20, starts[s], 1, 1};
        const double whole = cluster(&args, labels).inertia;
        CHECK_NEAR(whole, sum_of_labels(&args, labels, &used), 1e-9 * whole);
        args = (struct kmeans_args){points, 30, D, 30, 1, 20, starts[s], 1, 1};
        CHECK_NEAR(cluster(&args, labels).inertia, 0.0, 1e-20);
        (void)sum_of_labels(&args, labels, &used);
        CHECK_EQ(used, 30);
    }
}

/* Seeds and restarts: other starts for other seeds, the best of them kept, and the same bits for threads. */
static void check_choice(const float *points) {
    int32_t labels[N], again[N];
    double least = INFINITY;
    int different = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct kmeans_args args = {points, N, D, 17, 1, 50, KMEANS_PERMUTATION, seed, 1};
        const double one = cluster(&args, labels).inertia;
        args.restarts = 5;
        const struct kmeans_result best = cluster(&args, labels);
        CHECK(best.inertia <= one);
        different += best.best != 0;
        args.threads = 3;
        CHECK(cluster(&args, again).inertia == best.inertia);
        CHECK(memcmp(labels, again, sizeof labels) == 0);
        CHECK(one != least);
        least = one;
    }
    CHECK(different > 2);
}

int main(void) {
    float points[N * D];
    for (int64_t i = 0; i < N * D; i++)
        points[i] = hashed(1, i) + hashed(2, i);
    check_falls(points);
    check_groups();
    check_empty();
    check_farthest();
    check_nearest();
    check_corners(points);
    check_choice(points);
    return CHECK_END();
}
