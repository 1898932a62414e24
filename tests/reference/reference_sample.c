/* SPDX-License-Identifier: Apache-2.0
 *
 * The distribution a draw has, by sorting: tokens in order of falling logit (lower ids first where
 * equal), then each filter keeps a first part of that order.
 */
#include "reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    double logit, probability;
    int64_t id;
};

static int by_logit(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Softmax over the first `count` entries, which stand in falling order. */
static void normalise(struct entry *entries, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += entries[i].probability = exp(entries[i].logit - entries[0].logit);
    for (int64_t i = 0; i < count; i++)
        entries[i].probability /= sum;
}

static int64_t keep_top_p(const struct entry *entries, int64_t count, double top_p) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += entries[i].probability;
        if (sum >= top_p)
            return i + 1;
    }
    return count;
}

static int64_t keep_min_p(const struct entry *entries, int64_t count, double min_p) {
    int64_t kept = 1;
    while (kept < count && entries[kept].probability >= min_p * entries[0].probability)
        kept++;
    return kept;
}

void reference_sample(const double *logits, int64_t V, const struct sample_settings *settings,
                      const int32_t *seen, int32_t seen_count, double *probabilities) {
    struct entry *entries = calloc((size_t)V, sizeof *entries);
    ASSERT(entries != NULL);
    for (int64_t v = 0; v < V; v++)
        entries[v] = (struct entry){.logit = logits[v], .id = v};
    for (int32_t i = 0; i < seen_count; i++)
        entries[seen[i]].logit = logits[seen[i]] - (double)settings->presence_penalty;
    for (int64_t v = 0; v < V && settings->temperature > 0; v++)
        entries[v].logit /= (double)settings->temperature;
    qsort(entries, (size_t)V, sizeof *entries, by_logit);
    int64_t kept = settings->temperature > 0 ? V : 1;
    if (settings->top_k > 0 && settings->top_k < kept)
        kept = settings->top_k;
    normalise(entries, kept);
    if (settings->top_p < 1)
        kept = keep_top_p(entries, kept, (double)settings->top_p);
    if (settings->min_p > 0)
        kept = keep_min_p(entries, kept, (double)settings->min_p);
    normalise(entries, kept);
    memset(probabilities, 0, (size_t)V * sizeof *probabilities);
    for (int64_t i = 0; i < kept; i++)
        probabilities[entries[i].id] = entries[i].probability;
    free(entries);
}
