/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/mauve.h"

#include <inttypes.h>
#include <math.h>

#include "base/memory.h"
#include "mauve/pca.h"

/* Of labels that are given; more are a mistake. */
#define BUCKETS_MAX ((int64_t)1 << 24)

/* --- histograms --- */

static enum status count_labels(const char *sample, const int64_t *labels, int64_t n, int64_t k,
                                int64_t *counts) {
    for (int64_t i = 0; i < n; i++) {
        if (labels[i] < 0 || labels[i] >= k)
            return FAIL(STATUS_INPUT,
                        "label %" PRId64 " of %s is %" PRId64 "; labels are from 0 to %" PRId64, i,
                        sample, labels[i], k - 1);
        counts[labels[i]]++;
    }
    return STATUS_OK;
}

static enum status score_labels(const struct mauve_labels *labels, int64_t k, double scaling,
                                struct mauve_report *report) {
    int64_t *counts = NULL; /* (2, k) */
    TRY(memory_new(&counts, 2 * k, "histograms"));
    enum status status = count_labels("p", labels->p, labels->p_n, k, counts);
    if (status == STATUS_OK)
        status = count_labels("q", labels->q, labels->q_n, k, counts + k);
    if (status == STATUS_OK)
        status = divergence_of_counts(counts, counts + k, k, scaling, &report->score);
    report->buckets = k;
    memory_release(&counts);
    return status;
}

static int64_t largest(const int64_t *values, int64_t n, int64_t most) {
    for (int64_t i = 0; i < n; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

static enum status check_samples(int64_t p_n, int64_t q_n) {
    if (p_n < 1 || q_n < 1)
        return FAIL(STATUS_INPUT, "%s has no texts: there is nothing to compare",
                    p_n < 1 ? "p" : "q");
    if (p_n + q_n > INT32_MAX)
        return FAIL(STATUS_INPUT, "p and q have %" PRId64 " texts together, more than %d",
                    p_n + q_n, INT32_MAX);
    return STATUS_OK;
}

enum status mauve_of_labels(const struct mauve_labels *labels,
                            const struct mauve_settings *settings, struct mauve_report *report) {
    TRY(check_samples(labels->p_n, labels->q_n));
    *report = (struct mauve_report){.buckets = settings->buckets};
    int64_t k = settings->buckets;
    if (k == 0) {
        const int64_t most = largest(labels->q, labels->q_n, largest(labels->p, labels->p_n, 0));
        if (most >= BUCKETS_MAX)
            return FAIL(STATUS_INPUT,
                        "the largest label is %" PRId64 ": labels are numbers of buckets, below "
                        "%" PRId64,
                        most, BUCKETS_MAX);
        k = most + 1;
    }
    return score_labels(labels, k, settings->scaling, report);
}

/* --- features --- */

/* A row of length 1 behind one another, in double; a row of zeros stays one. */
static enum status normalise(const char *sample, const float *rows, int64_t n, int64_t d,
                             double *out) {
    for (int64_t i = 0; i < n; i++) {
        double square = 0.0;
        for (int64_t j = 0; j < d; j++) {
            const double x = rows[i * d + j];
            if (!isfinite(x))
                return FAIL(STATUS_INPUT, "number %" PRId64 " of feature %" PRId64 " of %s is %g",
                            j, i, sample, x);
            square += x * x;
        }
        const double length = square > 0.0 ? sqrt(square) : 1.0;
        for (int64_t j = 0; j < d; j++)
            out[i * d + j] = rows[i * d + j] / length;
    }
    return STATUS_OK;
}

/* Both samples in the coordinates that are clustered; q first, as the original stacks them. */
static enum status project(const struct mauve_features *f, double variance, float **points,
                           int64_t *m) {
    double *rows = NULL;
    TRY(memory_new(&rows, (f->q_n + f->p_n) * f->d, "features in double"));
    enum status status = normalise("q", f->q, f->q_n, f->d, rows);
    if (status == STATUS_OK)
        status = normalise("p", f->p, f->p_n, f->d, rows + f->q_n * f->d);
    if (status == STATUS_OK)
        status = pca_project(rows, f->q_n + f->p_n, f->d, variance, points, m);
    memory_release(&rows);
    return status;
}

int64_t mauve_buckets(const struct mauve_features *f, const struct mauve_settings *settings) {
    const int64_t n = f->p_n < f->q_n ? f->p_n : f->q_n;
    const int64_t tenth = (int64_t)nearbyint((double)n / 10.0);
    if (settings->buckets > 0)
        return settings->buckets;
    return tenth > 2 ? tenth : 2;
}

/* Labels of both samples in one array, q first. */
static enum status cluster(const float *points, int64_t n, int64_t d, int64_t k,
                           const struct mauve_settings *settings, int64_t *labels,
                           double *inertia) {
    const struct kmeans_args args = {.points = points,
                                     .n = n,
                                     .d = d,
                                     .k = k,
                                     .restarts = settings->restarts,
                                     .iterations = settings->iterations,
                                     .start = settings->start,
                                     .seed = settings->seed,
                                     .threads = settings->threads};
    struct kmeans_result result = {.labels = NULL};
    TRY(memory_new(&result.labels, n, "buckets of texts"));
    const enum status status = kmeans(&args, &result);
    for (int64_t i = 0; status == STATUS_OK && i < n; i++)
        labels[i] = result.labels[i];
    *inertia = result.inertia;
    memory_release(&result.labels);
    return status;
}

enum status mauve_of_features(const struct mauve_features *f, const struct mauve_settings *settings,
                              struct mauve_report *report) {
    TRY(check_samples(f->p_n, f->q_n));
    const int64_t n = f->p_n + f->q_n, k = mauve_buckets(f, settings);
    float *points = NULL;
    int64_t *labels = NULL;
    enum status status;
    *report = (struct mauve_report){.buckets = k};
    if (n < k)
        return FAIL(STATUS_INPUT,
                    "p and q have %" PRId64 " texts together, which do not fill %" PRId64
                    " buckets: give more texts or fewer buckets",
                    n, k);
    TRY_ELSE(status, done, memory_new(&labels, n, "buckets of texts"));
    TRY_ELSE(status, done, project(f, settings->variance, &points, &report->components));
    TRY_ELSE(status, done,
             cluster(points, n, report->components, k, settings, labels, &report->inertia));
    status = score_labels(
        &(struct mauve_labels){.p = labels + f->q_n, .q = labels, .p_n = f->p_n, .q_n = f->q_n}, k,
        settings->scaling, report);
done:
    memory_release(&points);
    memory_release(&labels);
    return status;
}
