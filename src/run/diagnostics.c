/* SPDX-License-Identifier: Apache-2.0 */
#include "run/diagnostics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/bytes.h"

enum { NAME_BYTES = 128, ROOM_BYTES = 1 << 26 };

#define VALID_PATH "/step/valid"

/* "/step/distill/position/divergence" */
static const char *position_name(char out[NAME_BYTES], int metric) {
    snprintf(out, NAME_BYTES, "/step/%s", position_table[metric].path);
    return out;
}

static const char *dataset_name(char out[NAME_BYTES], const char *group, enum metric metric) {
    snprintf(out, NAME_BYTES, "/%s/%s", group, metric_table[metric].path);
    return out;
}

/* --- making the file --- */

static enum status describe_dataset(struct h5 *h5, const char *path, const struct metric_info *info,
                                    const char *reduction) {
    TRY(h5_describe(h5, path, info->unit, info->sentence));
    return h5_put_attribute(h5, path, "reduction", reduction);
}

/* A file in the making, and the one whose first rows it takes over. */
struct making {
    struct h5 *h5;
    const struct h5 *before; /* NULL: none */
    int64_t steps, rows, passes, kept;
    const struct diagnostics_tensors *tensors; /* NULL: none */
    bool positions;
    const struct diagnostics_sets *sets; /* NULL: none */
};

static int64_t row_bytes(const struct diagnostics *diagnostics) {
    const struct diagnostics_tensors *tensors = diagnostics->tensors;
    int64_t numbers = diagnostics->positions ? POSITION_METRICS * POSITION_BINS : 0;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        numbers += metric_table[metric].per_pass ? 1 + diagnostics->passes : 1;
    if (tensors != NULL)
        numbers += 1 + 2 * tensors->count * DIAGNOSTICS_BINS / tensors->every;
    return 8 * numbers;
}

int64_t diagnostics_rows(const struct diagnostics *diagnostics, int64_t kept) {
    const int64_t first = ROOM_BYTES / row_bytes(diagnostics) + 1,
                  rows = 2 * kept > first ? 2 * kept : first;
    return rows < diagnostics->steps ? rows : diagnostics->steps;
}

/* A dataset of numbers in rows of that width, rank 1 or 2; the first `kept` are taken over. */
struct column {
    int rank;
    int64_t rows, width, kept;
};

/* The rows of `before` that the file takes over; a dataset that it lacks, or has with another width,
 * leaves NaN. */
static enum status take_over(const struct making *making, const char *path,
                             const struct column *column, double *values) {
    struct h5_shape shape;
    if (making->before == NULL || !h5_has(making->before, path))
        return STATUS_OK;
    TRY(h5_shape(making->before, path, &shape));
    const int64_t rows = shape.sizes[0] < column->kept ? shape.sizes[0] : column->kept;
    if (shape.is_text || shape.kind != H5_KIND_F64 || shape.rank != column->rank ||
        (column->rank == 2 && shape.sizes[1] != column->width))
        return STATUS_OK;
    return h5_get(making->before, path, H5_KIND_F64, 0, rows, values);
}

static enum status put_column(const struct making *making, const char *path,
                              const struct column *column) {
    const int64_t n = column->rows * column->width;
    const int64_t sizes[2] = {column->rows, column->width};
    double *values;
    TRY(memory_new(&values, n, "values of a metric"));
    for (int64_t i = 0; i < n; i++)
        values[i] = (double)NAN;
    enum status status = take_over(making, path, column, values);
    if (status == STATUS_OK)
        status =
            h5_put(making->h5, path, H5_KIND_F64, H5_STORAGE_PLAIN, column->rank, sizes, values);
    memory_release(&values);
    return status;
}

static enum status put_metric(const struct making *making, enum metric metric) {
    const struct metric_info *info = &metric_table[metric];
    char path[NAME_BYTES], reduction[160];
    const char *over_passes = metric == METRIC_RATIO_MAX ? "maximum" : "mean";
    snprintf(reduction, sizeof reduction, "%s%s%s", info->reduction,
             info->per_pass ? "; of the passes the " : "", info->per_pass ? over_passes : "");
    dataset_name(path, "step", metric);
    TRY(put_column(
        making, path,
        &(struct column){.rank = 1, .rows = making->rows, .width = 1, .kept = making->kept}));
    TRY(describe_dataset(making->h5, path, info, reduction));
    if (!info->per_pass)
        return STATUS_OK;
    dataset_name(path, "pass", metric);
    TRY(put_column(
        making, path,
        &(struct column){
            .rank = 2, .rows = making->rows, .width = making->passes, .kept = making->kept}));
    return describe_dataset(making->h5, path, info, info->reduction);
}

/* --- by place in the answer --- */

/* "0 1 … 15 16-31 32-63 …" */
static void list_places(char out[512]) {
    int n = 0;
    for (int bin = 0; bin < POSITION_FIRST; bin++)
        n += snprintf(out + n, (size_t)(512 - n), "%d ", bin);
    for (int bin = POSITION_FIRST; bin < POSITION_BINS; bin++) {
        const long first = (long)POSITION_FIRST << (bin - POSITION_FIRST);
        n += snprintf(out + n, (size_t)(512 - n), "%ld-%ld%s", first, 2 * first - 1,
                      bin + 1 < POSITION_BINS ? " " : "");
    }
}

static enum status put_positions(const struct making *making) {
    char path[NAME_BYTES], places[512];
    list_places(places);
    for (int metric = 0; metric < POSITION_METRICS; metric++) {
        const struct metric_info *info = &position_table[metric];
        position_name(path, metric);
        TRY(put_column(
            making, path,
            &(struct column){
                .rank = 2, .rows = making->rows, .width = POSITION_BINS, .kept = making->kept}));
        TRY(describe_dataset(making->h5, path, info, info->reduction));
        TRY(h5_put_attribute(making->h5, path, "places", places));
    }
    return STATUS_OK;
}

/* --- counts of tensors --- */

static enum status put_edges(struct h5 *h5, const char *path, const double *edges,
                             const char *sentence) {
    const int64_t n = DIAGNOSTICS_BINS + 1;
    TRY(h5_put(h5, path, H5_KIND_F64, H5_STORAGE_PLAIN, 1, &n, edges));
    return h5_describe(h5, path, "1", sentence);
}

static enum status put_rows(const struct making *making, const char *path, int rank, int64_t width,
                            const char *unit, const char *sentence) {
    const int64_t every = making->tensors->every;
    TRY(put_column(making, path,
                   &(struct column){.rank = rank,
                                    .rows = making->rows / every,
                                    .width = width,
                                    .kept = making->kept / every}));
    return h5_describe(making->h5, path, unit, sentence);
}

static enum status put_tensors(const struct making *making) {
    const struct diagnostics_tensors *tensors = making->tensors;
    struct h5 *h5 = making->h5;
    const int64_t width = tensors->count * DIAGNOSTICS_BINS;
    TRY(h5_put_texts(h5, "/tensor/name", tensors->names, tensors->count));
    TRY(h5_describe(h5, "/tensor/name", "1", "trained tensors, in the order of the histograms"));
    TRY(put_edges(h5, "/tensor/ratio_edges", tensors->ratio_edges,
                  "borders of the bins of ratio_histogram"));
    TRY(put_edges(h5, "/tensor/scale_edges", tensors->scale_edges,
                  "borders of the bins of scale_histogram"));
    TRY(put_rows(making, "/tensor/step", 1, 1, "steps", "step that was diagnosed; NaN: not yet"));
    TRY(put_rows(making, "/tensor/ratio_histogram", 2, width, "coordinates",
                 "active coordinates by retention ratio: for each tensor its bins"));
    return put_rows(making, "/tensor/scale_histogram", 2, width, "coordinates",
                    "coordinates by scale: for each tensor its bins");
}

static enum status fill_file(const struct making *making, const struct provenance *provenance) {
    struct h5 *h5 = making->h5;
    char steps[24];
    TRY(h5_put_integer(h5, VALID_PATH, making->kept));
    TRY(h5_describe(h5, VALID_PATH, "steps",
                    "how many rows hold a finished step; the others are NaN"));
    TRY(h5_put_attribute(h5, VALID_PATH, "reduction", "value"));
    snprintf(steps, sizeof steps, "%lld", (long long)making->steps);
    TRY(h5_put_attribute(h5, VALID_PATH, "steps", steps));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        TRY(put_metric(making, metric));
    if (making->positions)
        TRY(put_positions(making));
    if (making->tensors != NULL && making->rows >= making->tensors->every)
        TRY(put_tensors(making));
    if (making->sets != NULL)
        TRY(diagnostics_put_sets(h5, making->before, making->sets, making->kept));
    return provenance_write(h5, provenance);
}

/* The file that is there, where steps of it are kept. One that cannot be read, which no kill leaves,
 * costs its numbers and not the run. */
static void open_before(const char *path, struct making *making, struct h5 **before) {
    *before = NULL;
    if (making->kept == 0 && (making->sets == NULL || !bytes_is_file(path)))
        return;
    if (h5_open(before, path) != STATUS_OK) {
        if (making->kept > 0)
            log_warning("diagnostics", "the numbers of the first %lld steps are lost: %s",
                        (long long)making->kept, status_sentence());
        status_clear();
    }
    making->before = *before;
}

enum status diagnostics_create(const struct diagnostics *diagnostics, int64_t kept) {
    struct making making = {.steps = diagnostics->steps,
                            .rows = diagnostics_rows(diagnostics, kept),
                            .passes = diagnostics->passes,
                            .kept = kept,
                            .tensors = diagnostics->tensors,
                            .sets = diagnostics->sets,
                            .positions = diagnostics->positions};
    struct h5 *before;
    ASSERT(making.steps > 0 && making.passes > 0 && kept >= 0 && kept <= making.steps);
    TRY(h5_create(&making.h5, H5_FORMAT_LIVE));
    open_before(diagnostics->path, &making, &before);
    const enum status status = fill_file(&making, diagnostics->provenance);
    (void)h5_close(&before);
    if (status == STATUS_OK)
        return h5_save(&making.h5, diagnostics->path);
    (void)h5_close(&making.h5);
    return status;
}

/* --- adding a step --- */

/* Where a step's numbers go. */
struct row {
    struct place {
        int64_t offset;
        const double *values;
        int n;
    } places[2 * METRIC_COUNT + POSITION_METRICS];
    int count;
    int64_t valid_offset;
};

static enum status fail_shape(const char *path, const char *name) {
    return FAIL(STATUS_INPUT,
                "%s: %s has no room for this step; the file belongs to a run of other settings",
                path, name);
}

/* Adds the place of row `index` of one dataset, whose rows must hold at least n values. */
static enum status add_place(const struct h5 *h5, const char *path, const char *name, int64_t index,
                             const double *values, int n, struct row *row) {
    struct h5_shape shape;
    int64_t offset, bytes;
    TRY(h5_shape(h5, name, &shape));
    TRY(h5_place(h5, name, &offset, &bytes));
    const int64_t width = shape.rank == 2 ? shape.sizes[1] : 1;
    if (shape.kind != H5_KIND_F64 || shape.is_text || shape.rank == 0 || index < 0 ||
        index >= shape.sizes[0] || n > width)
        return fail_shape(path, name);
    row->places[row->count++] =
        (struct place){.offset = offset + 8 * index * width, .values = values, .n = n};
    return STATUS_OK;
}

static enum status find_places(const struct h5 *h5, const char *path, int64_t index,
                               const struct metrics *metrics, bool positions, struct row *row) {
    char name[NAME_BYTES];
    int64_t bytes;
    TRY(h5_place(h5, VALID_PATH, &row->valid_offset, &bytes));
    if (bytes != (int64_t)sizeof(int64_t))
        return fail_shape(path, VALID_PATH);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        TRY(add_place(h5, path, dataset_name(name, "step", metric), index, &metrics->step[metric],
                      1, row));
        if (metric_table[metric].per_pass)
            TRY(add_place(h5, path, dataset_name(name, "pass", metric), index,
                          metrics_pass(metrics, metric), metrics->passes, row));
    }
    for (int metric = 0; positions && metric < POSITION_METRICS; metric++)
        TRY(add_place(h5, path, position_name(name, metric), index, metrics->at[metric],
                      POSITION_BINS, row));
    return STATUS_OK;
}

static enum status synchronise(int file, const char *path) {
    return fsync(file) == 0 ? STATUS_OK
                            : FAIL(STATUS_IO, "%s: writing failed: %s", path, strerror(errno));
}

static enum status write_row(int file, const char *path, const struct row *row, int64_t valid) {
    for (int i = 0; i < row->count; i++)
        TRY(bytes_write_at(file, path, row->places[i].offset, row->places[i].values,
                           8 * (int64_t)row->places[i].n));
    TRY(synchronise(file, path));
    TRY(bytes_write_at(file, path, row->valid_offset, &valid, (int64_t)sizeof valid));
    return synchronise(file, path);
}

/* A file that is all right but has no row for a step that the run has gets more. */
static enum status make_room(const struct diagnostics *diagnostics, int64_t step_index) {
    struct h5_shape shape;
    struct h5 *h5;
    char name[NAME_BYTES];
    TRY(h5_open(&h5, diagnostics->path));
    const enum status status = h5_shape(h5, dataset_name(name, "step", METRIC_LOSS), &shape);
    (void)h5_close(&h5);
    TRY(status);
    const bool full = shape.rank == 1 && step_index >= shape.sizes[0];
    return full && step_index < diagnostics->steps ? diagnostics_create(diagnostics, step_index)
                                                   : STATUS_OK;
}

enum status diagnostics_append(const struct diagnostics *diagnostics, int64_t step_index,
                               const struct metrics *metrics) {
    struct h5 *h5;
    struct row row = {.count = 0};
    const char *path = diagnostics->path;
    TRY(make_room(diagnostics, step_index));
    TRY(h5_open(&h5, path));
    enum status status = find_places(h5, path, step_index, metrics, diagnostics->positions, &row);
    (void)h5_close(&h5);
    TRY(status);
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return FAIL(STATUS_IO, "%s: the file cannot be opened: %s", path, strerror(errno));
    status = write_row(file, path, &row, step_index + 1);
    close(file);
    return status;
}

/* --- adding counts --- */

static enum status write_places(const char *path, const struct row *row) {
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    enum status status = STATUS_OK;
    if (file < 0)
        return FAIL(STATUS_IO, "%s: the file cannot be opened: %s", path, strerror(errno));
    for (int i = 0; status == STATUS_OK && i < row->count; i++)
        status = bytes_write_at(file, path, row->places[i].offset, row->places[i].values,
                                8 * (int64_t)row->places[i].n);
    if (status == STATUS_OK)
        status = synchronise(file, path);
    close(file);
    return status;
}

static enum status find_tally_places(const char *path, int64_t index, const double *step,
                                     const double *ratios, const double *scales, int width,
                                     struct row *row) {
    struct h5 *h5;
    TRY(h5_open(&h5, path));
    enum status status = add_place(h5, path, "/tensor/step", index, step, 1, row);
    if (status == STATUS_OK)
        status = add_place(h5, path, "/tensor/ratio_histogram", index, ratios, width, row);
    if (status == STATUS_OK)
        status = add_place(h5, path, "/tensor/scale_histogram", index, scales, width, row);
    (void)h5_close(&h5);
    return status;
}

enum status diagnostics_append_tally(const struct diagnostics *diagnostics, int64_t step_index,
                                     const struct diagnostics_tally *tally) {
    const struct diagnostics_tensors *tensors = diagnostics->tensors;
    const char *path = diagnostics->path;
    const int64_t n = tensors->count * DIAGNOSTICS_BINS,
                  index = (step_index + 1) / tensors->every - 1;
    const double step = (double)(step_index + 1);
    struct row row = {.count = 0};
    double *counts;
    TRY(make_room(diagnostics, step_index));
    TRY(memory_new(&counts, 2 * n, "histograms"));
    for (int64_t i = 0; i < n; i++) {
        counts[i] = (double)tally->ratios[i];
        counts[n + i] = (double)tally->scales[i];
    }
    enum status status = find_tally_places(path, index, &step, counts, counts + n, (int)n, &row);
    if (status == STATUS_OK)
        status = write_places(path, &row);
    memory_release(&counts);
    return status;
}

/* --- inspection --- */

struct table {
    const struct h5 *h5;
    struct strbuf *out;
    int64_t valid;
    size_t prefix; /* of the path, left out */
    bool passes;   /* of a metric per pass, else of a step */
};

/* Mean over the steps that have the number, and how many have it. */
static double mean_of(const double *values, int64_t n, int64_t *count) {
    double sum = 0;
    *count = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            ++*count;
        }
    return *count > 0 ? sum / (double)*count : (double)NAN;
}

/* The values of a metric at the steps that are in, of a metric per pass those of the last pass; n is
 * 0 for other datasets. */
static enum status read_column(const struct table *table, const char *path, double **values,
                               int64_t *n) {
    struct h5_shape shape;
    *n = 0;
    *values = NULL;
    TRY(h5_shape(table->h5, path, &shape));
    if (shape.rank == 0 || shape.is_text || shape.kind != H5_KIND_F64 ||
        (shape.rank == 2) != table->passes)
        return STATUS_OK;
    const int64_t rows = shape.sizes[0] < table->valid ? shape.sizes[0] : table->valid,
                  width = shape.rank == 2 ? shape.sizes[1] : 1;
    TRY(memory_new(values, rows * width, "values of a metric"));
    TRY(h5_get(table->h5, path, H5_KIND_F64, 0, rows, *values));
    for (int64_t i = 0; i < rows && width > 0; i++)
        (*values)[i] = (*values)[i * width + width - 1];
    *n = width > 0 ? rows : 0;
    return STATUS_OK;
}

static enum status describe_metric(void *context, const char *path) {
    const struct table *table = context;
    struct strbuf unit = STRBUF_EMPTY;
    double *values;
    int64_t n, count;
    enum status status = read_column(table, path, &values, &n);
    const double mean = mean_of(values, n, &count);
    if (status == STATUS_OK && count > 0)
        status = h5_get_attribute(table->h5, path, "units", &unit);
    if (status == STATUS_OK && count > 0)
        status = strbuf_append_format(table->out, "  %-36s %13.6g %13.6g %13.6g  %s\n",
                                      path + table->prefix, values[0], values[n - 1], mean,
                                      strbuf_text(&unit));
    memory_release(&values);
    strbuf_release(&unit);
    return status;
}

/* The metrics of each pass, which differ from those above when a step has several. */
static enum status describe_passes(struct table *table) {
    struct h5_shape shape;
    char name[NAME_BYTES];
    TRY(h5_shape(table->h5, dataset_name(name, "pass", METRIC_LOSS), &shape));
    if (shape.rank != 2)
        return FAIL(STATUS_INPUT, "%s has no passes", name);
    TRY(strbuf_append_format(table->out,
                             "passes: %lld a step; of the last one (above: the mean of them)\n",
                             (long long)shape.sizes[1]));
    table->passes = true;
    table->prefix = 1; /* "pass/eur", as curves.py takes it */
    return h5_walk(table->h5, "/pass", describe_metric, table);
}

enum status diagnostics_describe(const struct h5 *h5, struct strbuf *out) {
    struct table table = {.h5 = h5, .out = out, .prefix = sizeof "/step/" - 1};
    TRY(h5_get_integer(h5, VALID_PATH, &table.valid));
    if (table.valid < 0)
        table.valid = 0;
    TRY(strbuf_append_format(out, "diagnostics: %lld of ", (long long)table.valid));
    TRY(h5_get_attribute(h5, VALID_PATH, "steps", out));
    TRY(strbuf_append_text(out, " steps\n"));
    if (table.valid == 0)
        return STATUS_OK;
    TRY(strbuf_append_format(out, "  %-36s %13s %13s %13s  %s\n", "metric", "first", "last", "mean",
                             "unit"));
    TRY(h5_walk(h5, "/step", describe_metric, &table));
    return describe_passes(&table);
}
