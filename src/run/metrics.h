/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of a step: which there are (metrics.def, declared once), their values, and
 * metrics.jsonl, one line a step. A number that the step does not have is NaN.
 */
#ifndef RUN_METRICS_H
#define RUN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

enum metric {
#define METRIC(identifier, path, unit, reduction, per_pass, sentence) METRIC_##identifier,
#include "run/metrics.def"
    METRIC_COUNT
};

enum position_metric {
#define METRIC_AT(identifier, path, unit, sentence) POSITION_##identifier,
#include "run/metrics.def"
    POSITION_METRICS
};

/* Places of a token in its answer: the first 16 each for itself, then from a power of two to the
 * next, as far as an answer can get. */
enum { POSITION_FIRST = 16, POSITION_BINS = 32 };
int position_bin(int64_t token); /* of an answer, from 0 */

struct metric_info {
    const char *path; /* "completions/mean_length" */
    const char *unit, *reduction, *sentence;
    bool per_pass; /* has a value for each pass of the step as well */
};

extern const struct metric_info metric_table[METRIC_COUNT];
extern const struct metric_info position_table[POSITION_METRICS];

/* The metric of a path, "rewards/format/mean"; METRIC_COUNT when there is none. */
enum metric metric_find(const char *path);

struct metrics {
    double step[METRIC_COUNT];
    int passes;
    double *pass; /* (METRIC_COUNT, passes); rows of metrics that are not per_pass stay NaN */
    double at[POSITION_METRICS][POSITION_BINS];
};

/* All NaN, with room for that many passes; metrics_release gives the room back. */
enum status metrics_init(struct metrics *metrics, int passes) MUST_USE;
void metrics_release(struct metrics *metrics);

/* All NaN again, before a step. */
void metrics_clear(struct metrics *metrics);

/* The values of the passes (metrics->passes) of a metric. */
double *metrics_pass(const struct metrics *metrics, enum metric metric);

/* The step's value of every per_pass metric becomes the mean of its passes that are not NaN, the
 * maximum for ratio/max (design, section 9, "several passes"). */
void metrics_average(struct metrics *metrics);

/* Appends {"step": 3, "reward": 0.5, …, "pass": {"eur": [1, 0.9], …}, "crc32": "0a1b2c3d"} and a
 * line feed to `out`: 17 digits, numbers that are NaN left out (null inside a list), infinite ones
 * as ±1e999. The checksum (bytes_crc32, 8 hexadecimal digits) is that of the line up to and without
 * `, "crc32"`. `step` counts from 1. */
enum status metrics_format(const struct metrics *metrics, int64_t step,
                           struct strbuf *out) MUST_USE;

/* Adds that line to the file at `path` by one write at its end; a line that a killed process left
 * unfinished is ended first. */
enum status metrics_log(const struct metrics *metrics, int64_t step, const char *path) MUST_USE;

/* Takes back the lines of steps after `step`, and one that was left unfinished; *last is the step of
 * the last line that stays, 0 when there is none. Where no regular file stands, nothing is done. */
enum status metrics_cut(const char *path, int64_t step, int64_t *last) MUST_USE;

#endif
