/* SPDX-License-Identifier: Apache-2.0 */
#include "run/diagnostics_eval.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "file/bytes.h"
#include "run/diagnostics.h"

enum { PATH_BYTES = 128, ROOM_ROWS = 1024 };

/* The columns; `step` is not among them. */
static const struct column {
    const char *name, *unit, *sentence;
    size_t offset;
    bool figure; /* of the answers, for checkpoint.best */
} columns[] = {
#define COLUMN(member, unit, figure, sentence)                                                     \
    {#member, unit, sentence, offsetof(struct diagnostics_evaluation, member), figure},
    COLUMN(pass_at_1, "1", true,
           "share of right answers: the mean over problems of the mean over "
           "samples") COLUMN(error, "1", false, "standard error of pass_at_1, clustered by problem")
        COLUMN(backward_passes, "passes", false, "backward passes of the run before the evaluation")
            COLUMN(tokens, "tokens", false, "answer tokens that the run had trained on before it")
                COLUMN(seconds, "s", false,
                       "time of the run before it, without that of evaluations")
                    COLUMN(mean_length, "tokens", true,
                           "mean length of an answer, the stop id included")
                        COLUMN(clipped_ratio, "1", true,
                               "share of answers that were cut at eval.max_new_tokens")
#undef COLUMN
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static const char *path_of(char out[PATH_BYTES], const char *set, const char *name) {
    snprintf(out, PATH_BYTES, "/eval/%s/%s", set, name);
    return out;
}

static double *member(struct diagnostics_evaluation *evaluation, const struct column *column) {
    return (double *)(void *)((char *)evaluation + column->offset);
}

const double *diagnostics_figure(const struct diagnostics_evaluation *evaluation,
                                 const char *name) {
    for (int c = 0; c < COLUMNS; c++)
        if (columns[c].figure && strcmp(columns[c].name, name) == 0)
            return (const double *)(const void *)((const char *)evaluation + columns[c].offset);
    return NULL;
}

/* --- reading --- */

/* The rows of a set that are in, (count); none where the file has no such set. */
static enum status read_rows(const struct h5 *h5, const char *set,
                             struct diagnostics_evaluation **rows, int64_t *count) {
    char path[PATH_BYTES];
    double *values = NULL;
    int64_t n;
    enum status status;
    *rows = NULL;
    *count = 0;
    if (!h5_has(h5, path_of(path, set, "step")))
        return STATUS_OK;
    TRY(h5_get_list(h5, path, H5_KIND_F64, &values, &n));
    while (*count < n && values[*count] >= 0.0)
        ++*count;
    TRY_ELSE(status, done, memory_new(rows, *count, "evaluations"));
    for (int64_t i = 0; i < *count; i++)
        (*rows)[i].step = (int64_t)values[i];
    for (int c = 0; c < COLUMNS; c++) {
        TRY_ELSE(status, done,
                 h5_get(h5, path_of(path, set, columns[c].name), H5_KIND_F64, 0, *count, values));
        for (int64_t i = 0; i < *count; i++)
            *member(&(*rows)[i], &columns[c]) = values[i];
    }
done:
    memory_release(&values);
    if (status != STATUS_OK)
        memory_release(rows);
    return status;
}

enum status diagnostics_find_evaluation(const struct diagnostics *diagnostics, int64_t set,
                                        int64_t step, bool *found,
                                        struct diagnostics_evaluation *out) {
    struct diagnostics_evaluation *rows = NULL;
    struct h5 *h5;
    int64_t count;
    *found = false;
    TRY(h5_open(&h5, diagnostics->path));
    const enum status status = read_rows(h5, diagnostics->sets->names[set], &rows, &count);
    (void)h5_close(&h5);
    TRY(status);
    for (int64_t i = 0; i < count; i++)
        if (rows[i].step == step) {
            *found = true;
            *out = rows[i];
        }
    memory_release(&rows);
    return STATUS_OK;
}

/* The step's own time holds no writing of it; NaN counts as no time. */
static enum status sum_column(const struct h5 *h5, const char *path, int64_t n, double *sum) {
    double *values;
    TRY(memory_new(&values, n, "times of steps"));
    const enum status status = h5_get(h5, path, H5_KIND_F64, 0, n, values);
    for (int64_t i = 0; status == STATUS_OK && i < n; i++)
        *sum += isnan(values[i]) ? 0.0 : values[i];
    memory_release(&values);
    return status;
}

enum status diagnostics_training_s(const struct diagnostics *diagnostics, int64_t steps,
                                   double *seconds) {
    struct h5 *h5;
    *seconds = 0.0;
    TRY(h5_open(&h5, diagnostics->path));
    enum status status = sum_column(h5, "/step/time/step", steps, seconds);
    if (status == STATUS_OK)
        status = sum_column(h5, "/step/time/write", steps, seconds);
    (void)h5_close(&h5);
    return status;
}

/* --- making --- */

static enum status put_column(struct h5 *h5, const char *path, int64_t n, const double *values,
                              const char *unit, const char *sentence) {
    TRY(h5_put(h5, path, H5_KIND_F64, H5_STORAGE_PLAIN, 1, &n, values));
    return h5_describe(h5, path, unit, sentence);
}

/* The datasets of a set, the first `count` of n rows filled. */
static enum status put_set(struct h5 *h5, const char *set, struct diagnostics_evaluation *rows,
                           int64_t count, int64_t n) {
    char path[PATH_BYTES];
    double *values;
    TRY(memory_new(&values, n, "evaluations"));
    for (int64_t i = 0; i < n; i++)
        values[i] = i < count ? (double)rows[i].step : (double)NAN;
    enum status status = put_column(h5, path_of(path, set, "step"), n, values, "steps",
                                    "finished steps before the evaluation; NaN: not yet");
    for (int c = 0; c < COLUMNS && status == STATUS_OK; c++) {
        for (int64_t i = 0; i < n; i++)
            values[i] = i < count ? *member(&rows[i], &columns[c]) : (double)NAN;
        status = put_column(h5, path_of(path, set, columns[c].name), n, values, columns[c].unit,
                            columns[c].sentence);
    }
    memory_release(&values);
    return status;
}

static int64_t room_for(const struct diagnostics_sets *sets, int64_t kept) {
    const int64_t room = 2 * kept > ROOM_ROWS ? 2 * kept : ROOM_ROWS,
                  most = sets->rows > kept + 1 ? sets->rows : kept + 1;
    return room < most ? room : most;
}

enum status diagnostics_put_sets(struct h5 *h5, const struct h5 *before,
                                 const struct diagnostics_sets *sets, int64_t kept) {
    for (int64_t s = 0; s < sets->count; s++) {
        struct diagnostics_evaluation *rows = NULL;
        int64_t count = 0;
        if (before != NULL && read_rows(before, sets->names[s], &rows, &count) != STATUS_OK) {
            log_warning("diagnostics", "earlier evaluations of %s are lost: %s", sets->names[s],
                        status_sentence());
            status_clear();
            count = 0;
        }
        while (count > 0 && rows[count - 1].step > kept)
            count--;
        const enum status status = put_set(h5, sets->names[s], rows, count, room_for(sets, count));
        memory_release(&rows);
        TRY(status);
    }
    return STATUS_OK;
}

/* --- adding --- */

/* Where the next row's numbers go. */
struct places {
    int64_t step, columns[COLUMNS]; /* offsets in the file */
    int64_t row, rows;
};

static enum status find_place(const struct h5 *h5, const char *path, int64_t *offset,
                              int64_t *rows) {
    struct h5_shape shape;
    int64_t bytes;
    TRY(h5_shape(h5, path, &shape));
    if (shape.is_text || shape.kind != H5_KIND_F64 || shape.rank != 1)
        return FAIL(STATUS_INPUT, "%s is no column of a run's evaluations", path);
    *rows = shape.sizes[0];
    return h5_place(h5, path, offset, &bytes);
}

static enum status find_places(const struct h5 *h5, const char *set, struct places *places) {
    struct diagnostics_evaluation *rows;
    char path[PATH_BYTES];
    int64_t n;
    TRY(read_rows(h5, set, &rows, &places->row));
    memory_release(&rows);
    TRY(find_place(h5, path_of(path, set, "step"), &places->step, &places->rows));
    for (int c = 0; c < COLUMNS; c++) {
        TRY(find_place(h5, path_of(path, set, columns[c].name), &places->columns[c], &n));
        if (n != places->rows)
            return FAIL(STATUS_INPUT, "%s has another length than its neighbours", path);
    }
    return STATUS_OK;
}

static enum status look_for_places(const char *path, const char *set, struct places *places) {
    struct h5 *h5;
    TRY(h5_open(&h5, path));
    const enum status status = find_places(h5, set, places);
    (void)h5_close(&h5);
    return status;
}

static enum status write_number(int file, const char *path, int64_t offset, int64_t row,
                                double value) {
    return bytes_write_at(file, path, offset + 8 * row, &value, 8);
}

static enum status synchronise(int file, const char *path) {
    return fsync(file) == 0 ? STATUS_OK
                            : FAIL(STATUS_IO, "%s: writing failed: %s", path, strerror(errno));
}

static enum status write_places(int file, const char *path, const struct places *places,
                                const struct diagnostics_evaluation *evaluation) {
    struct diagnostics_evaluation row = *evaluation;
    for (int c = 0; c < COLUMNS; c++)
        TRY(write_number(file, path, places->columns[c], places->row, *member(&row, &columns[c])));
    TRY(synchronise(file, path));
    TRY(write_number(file, path, places->step, places->row, (double)row.step));
    return synchronise(file, path);
}

enum status diagnostics_append_evaluation(const struct diagnostics *diagnostics, int64_t set,
                                          const struct diagnostics_evaluation *evaluation) {
    const char *path = diagnostics->path, *name = diagnostics->sets->names[set];
    struct places places;
    TRY(look_for_places(path, name, &places));
    if (places.row >= places.rows) {
        TRY(diagnostics_create(diagnostics, evaluation->step));
        TRY(look_for_places(path, name, &places));
    }
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return FAIL(STATUS_IO, "%s: the file cannot be opened: %s", path, strerror(errno));
    const enum status status = write_places(file, path, &places, evaluation);
    close(file);
    return status;
}
