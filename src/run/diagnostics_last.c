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

/* Rows that are in: of evaluations those whose step is written. */
static enum status count_rows(const struct h5 *h5, const char *metric, bool evaluation,
                              int64_t *rows) {
    char path[PATH_BYTES];
    double *steps;
    int64_t n;
    if (!evaluation)
        return diagnostics_valid(h5, rows);
    steps_path(path, metric);
    TRY(h5_get_list(h5, path, H5_KIND_F64, &steps, &n));
    for (*rows = 0; *rows < n && steps[*rows] >= 0.0;)
        ++*rows;
    memory_release(&steps);
    return STATUS_OK;
}

static int64_t sum_last(const double *values, int64_t rows, int64_t last, double *sum) {
    int64_t count = 0;
    *sum = 0;
    for (int64_t i = rows - 1; i >= 0 && count < last; i--)
        if (!isnan(values[i])) {
            *sum += values[i];
            count++;
        }
    return count;
}

enum status diagnostics_valid(const struct h5 *h5, int64_t *steps) {
    return h5_get_integer(h5, "/step/valid", steps);
}

enum status diagnostics_last(const struct h5 *h5, const char *metric, int64_t last, double *mean) {
    const bool evaluation = strncmp(metric, "eval/", 5) == 0;
    char path[PATH_BYTES], quoted[STATUS_QUOTE_MAX];
    double *values, sum;
    int64_t rows, n;
    snprintf(path, sizeof path, "%s/%s", evaluation ? "" : "/step", metric);
    if (strcmp(metric, "valid") == 0 || !h5_has(h5, path))
        return FAIL(STATUS_INPUT, "it has no metric %s; gradus inspect lists what there is",
                    status_quote(quoted, metric, SIZE_MAX));
    TRY(count_rows(h5, metric, evaluation, &rows));
    TRY(h5_get_list(h5, path, H5_KIND_F64, &values, &n));
    last = last > 0 ? last : evaluation ? LAST_EVALUATIONS : LAST_STEPS;
    const int64_t count = sum_last(values, rows < n ? rows : n, last, &sum);
    memory_release(&values);
    if (count == 0)
        return FAIL(STATUS_INPUT, "it has no value of %s yet",
                    status_quote(quoted, metric, SIZE_MAX));
    *mean = sum / (double)count;
    return STATUS_OK;
}
