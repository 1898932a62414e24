/* SPDX-License-Identifier: Apache-2.0 */
#include "run/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/memory.h"
#include "file/bytes.h"
#include "file/lines.h"

const struct metric_info metric_table[METRIC_COUNT] = {
#define METRIC(identifier, path, unit, reduction, per_pass, sentence)                              \
    [METRIC_##identifier] = {path, unit, reduction, sentence, per_pass},
#include "run/metrics.def"
};

const struct metric_info position_table[POSITION_METRICS] = {
#define METRIC_AT(identifier, path, unit, sentence)                                                \
    [POSITION_##identifier] = {path, unit, "mean over tokens of the place", sentence, false},
#include "run/metrics.def"
};

int position_bin(int64_t token) {
    int bin = (int)token;
    if (token < POSITION_FIRST)
        return bin;
    for (bin = POSITION_FIRST; token >= 2 * POSITION_FIRST && bin < POSITION_BINS - 1; bin++)
        token /= 2;
    return bin;
}

enum metric metric_find(const char *path) {
    enum metric metric = 0;
    while (metric < METRIC_COUNT && strcmp(metric_table[metric].path, path) != 0)
        metric++;
    return metric;
}

enum status metrics_init(struct metrics *metrics, int passes) {
    ASSERT(passes > 0);
    metrics->passes = passes;
    TRY(memory_new(&metrics->pass, METRIC_COUNT * passes, "metrics"));
    metrics_clear(metrics);
    return STATUS_OK;
}

void metrics_release(struct metrics *metrics) {
    memory_release(&metrics->pass);
}

void metrics_clear(struct metrics *metrics) {
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics->step[i] = (double)NAN;
    for (int i = 0; i < METRIC_COUNT * metrics->passes; i++)
        metrics->pass[i] = (double)NAN;
    for (int i = 0; i < POSITION_METRICS; i++)
        for (int bin = 0; bin < POSITION_BINS; bin++)
            metrics->at[i][bin] = (double)NAN;
}

double *metrics_pass(const struct metrics *metrics, enum metric metric) {
    return metrics->pass + (ptrdiff_t)metric * metrics->passes;
}

static double average(const double *values, int n) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            count++;
        }
    return count > 0 ? sum / count : (double)NAN;
}

static double largest(const double *values, int n) {
    double most = (double)NAN;
    for (int i = 0; i < n; i++)
        most = fmax(most, values[i]);
    return most;
}

void metrics_average(struct metrics *metrics) {
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        if (metric_table[metric].per_pass)
            metrics->step[metric] = average(metrics_pass(metrics, metric), metrics->passes);
    metrics->step[METRIC_RATIO_MAX] =
        largest(metrics_pass(metrics, METRIC_RATIO_MAX), metrics->passes);
}

/* --- metrics.jsonl --- */

static enum status append_number(struct strbuf *out, double value) {
    if (isnan(value))
        return strbuf_append_text(out, "null");
    if (isinf(value))
        return strbuf_append_text(out, value > 0 ? "1e999" : "-1e999");
    return strbuf_append_format(out, "%.17g", value);
}

static enum status append_passes(struct strbuf *out, const struct metrics *metrics,
                                 enum metric metric, const char *separator) {
    const double *values = metrics_pass(metrics, metric);
    TRY(strbuf_append_format(out, "%s\"%s\": [", separator, metric_table[metric].path));
    for (int i = 0; i < metrics->passes; i++) {
        TRY(strbuf_append_text(out, i > 0 ? ", " : ""));
        TRY(append_number(out, values[i]));
    }
    return strbuf_append_text(out, "]");
}

static enum status append_all_passes(struct strbuf *out, const struct metrics *metrics) {
    const char *separator = "";
    TRY(strbuf_append_text(out, ", \"pass\": {"));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (isnan(average(metrics_pass(metrics, metric), metrics->passes)))
            continue;
        TRY(append_passes(out, metrics, metric, separator));
        separator = ", ";
    }
    return strbuf_append_text(out, "}");
}

enum status metrics_format(const struct metrics *metrics, int64_t step, struct strbuf *out) {
    const size_t begin = out->length;
    TRY(strbuf_append_format(out, "{\"step\": %lld", (long long)step));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (isnan(metrics->step[metric]))
            continue;
        TRY(strbuf_append_format(out, ", \"%s\": ", metric_table[metric].path));
        TRY(append_number(out, metrics->step[metric]));
    }
    TRY(append_all_passes(out, metrics));
    const uint32_t sum = bytes_crc32(out->text + begin, out->length - begin);
    return strbuf_append_format(out, ", \"crc32\": \"%08x\"}\n", sum);
}

enum status metrics_log(const struct metrics *metrics, int64_t step, const char *path) {
    struct strbuf line = STRBUF_EMPTY;
    enum status status = metrics_format(metrics, step, &line);
    if (status == STATUS_OK)
        status = lines_append(path, strbuf_text(&line), line.length);
    strbuf_release(&line);
    return status;
}

/* Where the first line that does not stay begins. */
static int64_t find_cut(FILE *stream, int64_t step, int64_t *last) {
    char *line = NULL;
    size_t room = 0;
    int64_t at = 0;
    for (ssize_t n; (n = getline(&line, &room, stream)) > 0; at += n) {
        long long its;
        if (line[n - 1] != '\n' || sscanf(line, "{\"step\": %18lld", &its) != 1 || its > step)
            break;
        *last = its;
    }
    free(line);
    return at;
}

static enum status cut_at(const char *path, int64_t at) {
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    const bool cut = file >= 0 && ftruncate(file, (off_t)at) == 0 && fsync(file) == 0;
    const int cause = errno;
    if (file >= 0)
        close(file);
    return cut ? STATUS_OK
               : FAIL(STATUS_IO, "%s: the file cannot be cut: %s", path, strerror(cause));
}

enum status metrics_cut(const char *path, int64_t step, int64_t *last) {
    *last = 0;
    FILE *stream = bytes_is_file(path) ? fopen(path, "re") : NULL;
    if (stream == NULL)
        return STATUS_OK;
    const int64_t at = find_cut(stream, step, last);
    const bool whole = fseeko(stream, 0, SEEK_END) == 0 && (int64_t)ftello(stream) == at;
    fclose(stream);
    return whole ? STATUS_OK : cut_at(path, at);
}
