/* SPDX-License-Identifier: Apache-2.0
 *
 * MAUVE of two samples: features in, numbers out. As the original computes it (mauve-text): rows to
 * length 1, principal components for 90 % of the variance without whitening, k-means of both samples
 * together, two histograms over the clusters, and their divergence. Numbers of this kind can be compared
 * only where features, buckets and scaling are the same.
 */
#ifndef MAUVE_MAUVE_H
#define MAUVE_MAUVE_H

#include "mauve/divergence.h"
#include "mauve/kmeans.h"

struct mauve_settings {
    int64_t buckets; /* 0: a tenth of the smaller sample, rounded to even at halves, at least 2 */
    double scaling;  /* c of exp(−c KL) */
    double variance; /* the share of it that the components keep, above 0, at most 1 */
    int64_t restarts, iterations;
    enum kmeans_start start;
    uint64_t seed;
    int threads;
};

/* The original's values. */
#define MAUVE_DEFAULTS                                                                             \
    ((struct mauve_settings){.scaling = 5.0,                                                       \
                             .variance = 0.9,                                                      \
                             .restarts = 5,                                                        \
                             .iterations = 500,                                                    \
                             .start = KMEANS_PERMUTATION,                                          \
                             .threads = 1})

struct mauve_report {
    struct divergence_score score;
    int64_t buckets;
    int64_t components; /* principal components; 0 where labels were given */
    double inertia;     /* of the clusters; 0 likewise */
};

struct mauve_features {
    const float *p, *q; /* (p_n, d), (q_n, d) */
    int64_t p_n, q_n, d;
};

/* The buckets that these settings give them. */
int64_t mauve_buckets(const struct mauve_features *features, const struct mauve_settings *settings);

/* STATUS_INPUT, naming sample, row and column, where a feature is not finite, and where there are fewer
 * texts than buckets. */
enum status mauve_of_features(const struct mauve_features *features,
                              const struct mauve_settings *settings,
                              struct mauve_report *report) MUST_USE;

/* Labels, the buckets of texts that somebody else has sorted: from 0 to below settings->buckets, or,
 * where that is 0, below the number of the largest label + 1. */
struct mauve_labels {
    const int64_t *p, *q;
    int64_t p_n, q_n;
};
enum status mauve_of_labels(const struct mauve_labels *labels,
                            const struct mauve_settings *settings,
                            struct mauve_report *report) MUST_USE;

#endif
