/* SPDX-License-Identifier: Apache-2.0 */
#include "run/diagnostics_last.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { PATH_BYTES = 256, LAST_STEPS = 10, LAST_EVALUATIONS = 1 };

/* "eval/NAME/COLUMN" to /eval/NAME/step. */
static void steps_path(char out[PATH_BYTES], const char *metric) {
    const char *const slash = strrchr(metric, '/');
    snprintf(out, PATH_BYTES, "/%.*s/step", (int)(slash - metric), metric);
}

/* A metric against steps, as far as the run has come. */
struct curve {
    double *values, *steps; /* (rows); a value may be NaN */
    int64_t rows, finished; /* steps of the run */
};

static void curve_release(struct curve *curve) {
    memory_release(&curve->values);
    memory_release(&curve->steps);
}

/* Of evaluations those are in whose step is written. */
static enum status read_evaluated(const struct h5 *h5, const char *metric, struct curve *curve) {
    char path[PATH_BYTES];
    int64_t n;
    steps_path(path, metric);
    TRY(h5_get_list(h5, path, H5_KIND_F64, &curve->steps, &n));
    n = n < curve->rows ? n : curve->rows;
    for (curve->rows = 0; curve->rows < n && curve->steps[curve->rows] >= 0.0;)
        ++curve->rows;
    return STATUS_OK;
}

static enum status read_stepwise(struct curve *curve) {
    curve->rows = curve->finished < curve->rows ? curve->finished : curve->rows;
    TRY(memory_new(&curve->steps, curve->rows, "steps"));
    for (int64_t i = 0; i < curve->rows; i++)
        curve->steps[i] = (double)(i + 1);
    return STATUS_OK;
}

static enum status read_curve(const struct h5 *h5, const char *metric, bool evaluation,
                              struct curve *curve) {
    char path[PATH_BYTES], quoted[STATUS_QUOTE_MAX];
    snprintf(path, sizeof path, "%s/%s", evaluation ? "" : "/step", metric);
    if (strcmp(metric, "valid") == 0 || !h5_has(h5, path))
        return FAIL(STATUS_INPUT, "it has no metric %s; gradus inspect lists what there is",
                    status_quote(quoted, metric, SIZE_MAX));
    TRY(diagnostics_valid(h5, &curve->finished));
    TRY(h5_get_list(h5, path, H5_KIND_F64, &curve->values, &curve->rows));
    return evaluation ? read_evaluated(h5, metric, curve) : read_stepwise(curve);
}

/* Both return how many values there are. */
static int64_t mean_of(const struct curve *curve, int64_t last, double *mean) {
    int64_t count = 0;
    double sum = 0;
    for (int64_t i = curve->rows - 1; i >= 0 && count < last; i--)
        if (!isnan(curve->values[i])) {
            sum += curve->values[i];
            count++;
        }
    *mean = sum / (double)count;
    return count;
}

static int64_t area_of(const struct curve *curve, int64_t last, double *area) {
    const double from = last > 0 ? (double)(curve->finished - last) : -1.0;
    int64_t count = 0, before = 0;
    *area = 0;
    for (int64_t i = 0; i < curve->rows; i++) {
        if (isnan(curve->values[i]) || curve->steps[i] <= from)
            continue;
        if (count++ > 0)
            *area += (curve->steps[i] - curve->steps[before]) *
                     (curve->values[i] + curve->values[before]) / 2.0;
        before = i;
    }
    return count;
}

enum status diagnostics_valid(const struct h5 *h5, int64_t *steps) {
    return h5_get_integer(h5, "/step/valid", steps);
}

enum status diagnostics_last(const struct h5 *h5, const char *metric, enum diagnostics_form form,
                             int64_t last, double *out) {
    const bool evaluation = strncmp(metric, "eval/", 5) == 0, area = form == DIAGNOSTICS_AREA;
    const int64_t values = last > 0 ? last : evaluation ? LAST_EVALUATIONS : LAST_STEPS;
    char quoted[STATUS_QUOTE_MAX];
    struct curve curve = {.values = NULL};
    int64_t count = 0;
    const enum status status = read_curve(h5, metric, evaluation, &curve);
    if (status == STATUS_OK)
        count = area ? area_of(&curve, last, out) : mean_of(&curve, values, out);
    curve_release(&curve);
    TRY(status);
    status_quote(quoted, metric, SIZE_MAX);
    if (count == 0)
        return FAIL(STATUS_INPUT, "it has no value of %s yet", quoted);
    if (area && count == 1)
        return FAIL(STATUS_INPUT, "it has one value of %s in these steps, and an area takes two",
                    quoted);
    return STATUS_OK;
}
