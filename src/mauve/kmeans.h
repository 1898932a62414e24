/* SPDX-License-Identifier: Apache-2.0
 *
 * k-means by Lloyd's algorithm: points go to the nearest centre (the lower index at a tie), centres to
 * the mean of their points, until no point changes or the iterations are used up. The sum of squared
 * distances does not rise. The best of several starts is kept.
 *
 * All sums are in double, in the order of the points, and random numbers are a function of the seed:
 * the same arguments give the same bits, whatever the number of threads. Costs n k d multiplications an
 * iteration.
 */
#ifndef MAUVE_KMEANS_H
#define MAUVE_KMEANS_H

#include <stdint.h>

#include "base/status.h"

/* Where the centres begin, and where one goes that has lost all its points. */
enum kmeans_start {
    /* At k of the points, all choices equally likely; then beside the centre of a cluster, drawn by its
     * size, with which it shares it, so that the sum may rise a little once. As faiss does, so MAUVE's
     * own; where many points are equal it finds sums that are far from the least. */
    KMEANS_PERMUTATION,
    /* One by one at points drawn by their squared distance (Arthur and Vassilvitskii); then to the
     * point that is farthest from its centre. */
    KMEANS_PLUS_PLUS,
};

struct kmeans_args {
    const float *points;          /* (n, d), finite */
    int64_t n, d, k;              /* n ≥ k ≥ 1 */
    int64_t restarts, iterations; /* at least 1 */
    enum kmeans_start start;
    uint64_t seed;
    int threads;
};

struct kmeans_result {
    int32_t *labels;           /* (n): the centre of each point; the caller's memory */
    double inertia;            /* sum of squared distances */
    int64_t best;              /* which start gave it */
    int64_t iterations, empty; /* of that start: assignments made, centres that had to be moved */
};

enum status kmeans(const struct kmeans_args *args, struct kmeans_result *result) MUST_USE;

#endif
