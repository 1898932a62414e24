/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/kmeans.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* Centres stand in blocks of LANES, [k / LANES rounded up][d][LANES], so that the distances of a point
 * to the centres of a block are found side by side. A sum of squares only grows: where after some
 * stretch of coordinates all of a block are farther than the nearest so far, the rest is left out, which
 * comes early where the first coordinates vary most, as principal components do. Who wins, and his
 * distance, have the same bits as if nothing had been left out. */
enum { LANES = 8, STRETCH = 16 };

struct blocks {
    double *centres;  /* the last block's spare lanes take no part */
    int32_t *numbers; /* of the centres */
    int64_t count;
};

/* One start. */
struct search {
    const struct kmeans_args *args;
    uint32_t restart;
    struct blocks all;   /* centres */
    struct blocks moved; /* copies of those that are not where they were at the last assignment */
    bool *has_moved;     /* (k): which these are */
    double *sums;        /* (k, d) */
    int64_t *sizes;      /* (k) */
    int32_t *labels, *before; /* (n) */
    double *distances;        /* (n): squared, to the own centre */
    int64_t *order;           /* (n): a permutation of the points */
    bool *taken;              /* (n) */
    int64_t empty;
    uint32_t draws; /* random numbers used so far */
};

static int64_t block_count(int64_t k) {
    return (k + LANES - 1) / LANES;
}

static double *lane_of(const struct blocks *blocks, int64_t i, int64_t d) {
    return blocks->centres + i / LANES * d * LANES + i % LANES;
}

static double coordinate(const struct search *s, int64_t c, int64_t j) {
    return lane_of(&s->all, c, s->args->d)[j * LANES];
}

static void set_coordinate(struct search *s, int64_t c, int64_t j, double value) {
    double *const x = lane_of(&s->all, c, s->args->d) + j * LANES;
    s->has_moved[c] = s->has_moved[c] || *x != value;
    *x = value;
}

static double uniform(struct search *s) {
    return random_uniform(s->args->seed, RANDOM_CLUSTER, s->restart, s->draws++, 0, 0);
}

/* --- the parts of an iteration --- */

static bool all_above(const double sums[LANES], double least) {
    int above = 0;
    for (int l = 0; l < LANES; l++)
        above += sums[l] > least;
    return above == LANES;
}

/* Squared distances of a point to the centres of a block; false where all are above `least`. */
static bool distances_to_block(const float *point, const double *block, int64_t d, double least,
                               double out[LANES]) {
    double sums[LANES] = {0.0};
    for (int64_t j = 0, end = 0; j < d;) {
        for (end = end + STRETCH < d ? end + STRETCH : d; j < end; j++) {
            const double x = point[j];
#pragma omp simd
            for (int l = 0; l < LANES; l++) {
                const double difference = x - block[j * LANES + l];
                sums[l] += difference * difference;
            }
        }
        if (all_above(sums, least))
            return false;
    }
    memcpy(out, sums, sizeof sums);
    return true;
}

static double distance_to(const struct search *s, int64_t i, int64_t c) {
    const double *const centre = lane_of(&s->all, c, s->args->d);
    double sum = 0.0;
    for (int64_t j = 0; j < s->args->d; j++) {
        const double difference = s->args->points[i * s->args->d + j] - centre[j * LANES];
        sum += difference * difference;
    }
    return sum;
}

/* The point goes to one of these centres where that is nearer than its own, or as near and a lower one. */
static void look_through(struct search *s, int64_t i, const struct blocks *blocks) {
    const int64_t d = s->args->d;
    double least = s->distances[i], found[LANES];
    int32_t best = s->labels[i];
    for (int64_t b = 0; b < block_count(blocks->count); b++) {
        if (!distances_to_block(s->args->points + i * d, blocks->centres + b * d * LANES, d, least,
                                found))
            continue;
        for (int64_t l = 0; l < LANES && b * LANES + l < blocks->count; l++) {
            const int32_t c = blocks->numbers[b * LANES + l];
            if (found[l] < least || (found[l] == least && c < best)) {
                least = found[l];
                best = c;
            }
        }
    }
    s->distances[i] = least;
    s->labels[i] = best;
}

static void pack_moved(struct search *s) {
    const int64_t d = s->args->d;
    s->moved.count = 0;
    for (int64_t c = 0; c < s->args->k; c++) {
        if (!s->has_moved[c])
            continue;
        double *const to = lane_of(&s->moved, s->moved.count, d);
        for (int64_t j = 0; j < d; j++)
            to[j * LANES] = coordinate(s, c, j);
        s->moved.numbers[s->moved.count++] = (int32_t)c;
    }
}

/* Every point to its nearest centre, the lower at a tie; returns the sum of squared distances. A point
 * whose own centre stays was nearest to it among all that stay, and looks at the others alone. */
static double assign(struct search *s) {
    const int64_t n = s->args->n;
    double sum = 0.0;
    pack_moved(s);
#pragma omp parallel for schedule(static) num_threads(s->args->threads)
    for (int64_t i = 0; i < n; i++) {
        const bool stays = !s->has_moved[s->labels[i]];
        if (!stays)
            s->distances[i] = distance_to(s, i, s->labels[i]);
        look_through(s, i, stays ? &s->moved : &s->all);
    }
    for (int64_t i = 0; i < n; i++)
        sum += s->distances[i];
    return sum;
}

static void set_centre(struct search *s, int64_t c, int64_t point) {
    for (int64_t j = 0; j < s->args->d; j++)
        set_coordinate(s, c, j, s->args->points[point * s->args->d + j]);
}

/* The empty centre c goes to the point that is farthest from its own, which no other one takes. */
static void move_empty(struct search *s, int64_t c) {
    int64_t farthest = -1;
    for (int64_t i = 0; i < s->args->n; i++)
        if (!s->taken[i] && (farthest < 0 || s->distances[i] > s->distances[farthest]))
            farthest = i;
    s->taken[farthest] = true;
    set_centre(s, c, farthest);
}

/* A cluster of m points is drawn with probability by m − 1. There is one of 2 or more where one is empty,
 * as there are as many points as centres. */
static int64_t draw_by_size(struct search *s) {
    const double left = (double)(s->args->n - s->args->k);
    for (int64_t c = 0;; c = (c + 1) % s->args->k)
        if (s->sizes[c] > 1 && uniform(s) * left < (double)(s->sizes[c] - 1))
            return c;
}

/* The empty centre c and that of another cluster step apart from each other; until the next assignment
 * each counts for half of the points. */
static void split_another(struct search *s, int64_t c) {
    const double step = 1.0 / 1024.0;
    const int64_t other = draw_by_size(s);
    for (int64_t j = 0; j < s->args->d; j++) {
        const double x = coordinate(s, other, j), sign = j % 2 == 0 ? 1.0 : -1.0;
        set_coordinate(s, c, j, x * (1.0 + sign * step));
        set_coordinate(s, other, j, x * (1.0 - sign * step));
    }
    s->sizes[c] = s->sizes[other] / 2;
    s->sizes[other] -= s->sizes[c];
}

/* Every centre to the mean of its points. */
static void move_centres(struct search *s) {
    const int64_t n = s->args->n, d = s->args->d, k = s->args->k;
    memset(s->sums, 0, (size_t)(k * d) * sizeof *s->sums);
    memset(s->sizes, 0, (size_t)k * sizeof *s->sizes);
    memset(s->taken, 0, (size_t)n * sizeof *s->taken);
    memset(s->has_moved, 0, (size_t)k * sizeof *s->has_moved);
    for (int64_t i = 0; i < n; i++) {
        double *sum = s->sums + s->labels[i] * d;
        s->sizes[s->labels[i]]++;
        for (int64_t j = 0; j < d; j++)
            sum[j] += s->args->points[i * d + j];
    }
    for (int64_t c = 0; c < k; c++)
        for (int64_t j = 0; j < d && s->sizes[c] > 0; j++)
            set_coordinate(s, c, j, s->sums[c * d + j] / (double)s->sizes[c]);
    for (int64_t c = 0; c < k; c++) {
        if (s->sizes[c] > 0)
            continue;
        s->empty++;
        if (s->args->start == KMEANS_PERMUTATION)
            split_another(s, c);
        else
            move_empty(s, c);
    }
}

/* --- starts --- */

/* The first k of the points in a random order (Fisher and Yates). */
static void start_permutation(struct search *s) {
    const int64_t n = s->args->n;
    for (int64_t i = 0; i < n; i++)
        s->order[i] = i;
    for (int64_t c = 0; c < s->args->k; c++) {
        const int64_t at = c + (int64_t)(uniform(s) * (double)(n - c));
        const int64_t point = s->order[at];
        s->order[at] = s->order[c];
        s->order[c] = point;
        set_centre(s, c, point);
    }
}

/* The point in which a uniform number falls when each has the length of its squared distance; where all
 * are 0, as of identical points, the c-th point. */
static int64_t draw_by_distance(struct search *s, int64_t c, double sum) {
    double left = uniform(s) * sum;
    int64_t last = c;
    if (!(sum > 0.0))
        return c;
    for (int64_t i = 0; i < s->args->n; i++) {
        if (s->distances[i] > 0.0)
            last = i;
        left -= s->distances[i];
        if (left < 0.0)
            return i;
    }
    return last;
}

static void start_plus_plus(struct search *s) {
    const int64_t n = s->args->n;
    int64_t point = (int64_t)(uniform(s) * (double)n);
    for (int64_t i = 0; i < n; i++)
        s->distances[i] = INFINITY;
    for (int64_t c = 0;; c++) {
        set_centre(s, c, point);
        if (c + 1 == s->args->k)
            return;
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++) {
            s->distances[i] = fmin(s->distances[i], distance_to(s, i, c));
            sum += s->distances[i];
        }
        point = draw_by_distance(s, c + 1, sum);
    }
}

/* --- the whole --- */

static struct kmeans_result run(struct search *s) {
    const size_t bytes = (size_t)s->args->n * sizeof *s->labels;
    struct kmeans_result result = {.labels = s->labels, .best = s->restart};
    s->empty = 0;
    s->draws = 0;
    if (s->args->start == KMEANS_PERMUTATION)
        start_permutation(s);
    else
        start_plus_plus(s);
    memset(s->has_moved, true, (size_t)s->args->k * sizeof *s->has_moved);
    for (result.iterations = 1;; result.iterations++) {
        memcpy(s->before, s->labels, bytes);
        result.inertia = assign(s);
        const bool still = result.iterations > 1 && memcmp(s->before, s->labels, bytes) == 0;
        result.empty = s->empty;
        if (still || result.iterations > s->args->iterations)
            return result;
        move_centres(s);
    }
}

static enum status reserve_blocks(struct blocks *blocks, int64_t k, int64_t d) {
    TRY(memory_new(&blocks->centres, block_count(k) * d * LANES, "centres of clusters"));
    TRY(memory_new(&blocks->numbers, k, "centres of clusters"));
    for (int64_t c = 0; c < k; c++)
        blocks->numbers[c] = (int32_t)c;
    blocks->count = k;
    return STATUS_OK;
}

static enum status reserve(struct search *s) {
    const int64_t n = s->args->n, d = s->args->d, k = s->args->k;
    TRY(reserve_blocks(&s->all, k, d));
    TRY(reserve_blocks(&s->moved, k, d));
    TRY(memory_new(&s->has_moved, k, "centres that have moved"));
    TRY(memory_new(&s->sums, k * d, "sums of clusters"));
    TRY(memory_new(&s->sizes, k, "sizes of clusters"));
    TRY(memory_new(&s->labels, n, "clusters of points"));
    TRY(memory_new(&s->before, n, "clusters of points"));
    TRY(memory_new(&s->distances, n, "distances of points"));
    TRY(memory_new(&s->order, n, "order of points"));
    return memory_new(&s->taken, n, "points taken");
}

static void release(struct search *s) {
    memory_release(&s->all.centres);
    memory_release(&s->all.numbers);
    memory_release(&s->moved.centres);
    memory_release(&s->moved.numbers);
    memory_release(&s->has_moved);
    memory_release(&s->sums);
    memory_release(&s->sizes);
    memory_release(&s->labels);
    memory_release(&s->before);
    memory_release(&s->distances);
    memory_release(&s->order);
    memory_release(&s->taken);
}

enum status kmeans(const struct kmeans_args *args, struct kmeans_result *result) {
    ASSERT(args->n >= args->k && args->k >= 1 && args->d >= 1 && args->n <= INT32_MAX);
    ASSERT(args->restarts >= 1 && args->iterations >= 1 && args->threads >= 1);
    struct search search = {.args = args};
    int32_t *labels = result->labels;
    const enum status status = reserve(&search);
    for (int64_t r = 0; status == STATUS_OK && r < args->restarts; r++) {
        search.restart = (uint32_t)r;
        const struct kmeans_result found = run(&search);
        if (r > 0 && !(found.inertia < result->inertia))
            continue;
        *result = found;
        result->labels = labels;
        memcpy(labels, search.labels, (size_t)args->n * sizeof *labels);
    }
    release(&search);
    return status;
}
