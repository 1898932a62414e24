/* SPDX-License-Identifier: Apache-2.0
 *
 * Every acknowledged step stays readable when the writer is killed at any moment; steps that are
 * not in are NaN; the HDF5 tools read the file.
 */
#include "run/diagnostics.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "unit/file/folder.h"

enum { STEPS = 400, PASSES = 3, TRIALS = 8 };

static const struct provenance provenance = {.hosts = "here", .settings = "run : {};"};

/* The file of a run of that many steps. */
static const struct diagnostics *file_of(const char *path, int64_t steps, int passes,
                                         const struct diagnostics_tensors *tensors) {
    static struct diagnostics file;
    file = (struct diagnostics){.path = path,
                                .steps = steps,
                                .passes = passes,
                                .tensors = tensors,
                                .provenance = &provenance};
    return &file;
}

static double expected(int64_t step, enum metric metric, int pass) {
    return (double)step + 0.01 * (double)metric + 0.25 * pass;
}

static void fill(struct metrics *metrics, int64_t step) {
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        metrics->step[metric] = expected(step, metric, 0);
        for (int pass = 0; pass < metrics->passes; pass++)
            metrics_pass(metrics, metric)[pass] = expected(step, metric, pass);
    }
}

static void append(const char *path, int64_t step, int passes) {
    struct metrics metrics;
    CHECK_OK(metrics_init(&metrics, passes));
    fill(&metrics, step);
    CHECK_OK(diagnostics_append(file_of(path, STEPS + 100, PASSES, NULL), step, &metrics));
    metrics_release(&metrics);
}

/* All finished rows hold what was written, the rows behind the next one nothing. */
static void check_rows(const char *path, int64_t least, int passes) {
    struct h5 *h5;
    int64_t valid, n;
    double *rewards, row[PASSES];
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(h5_get_integer(h5, "/step/valid", &valid));
    if (valid < least)
        CHECK_FAILED("valid = %lld, but %lld were acknowledged", (long long)valid,
                     (long long)least);
    CHECK_OK(h5_get_list(h5, "/step/completions/mean_length", H5_KIND_F64, &rewards, &n));
    CHECK(n >= valid);
    for (int64_t i = 0; i < n; i++) {
        if (i < valid)
            CHECK_NEAR(rewards[i], expected(i, METRIC_MEAN_LENGTH, 0), 0);
        else if (i > valid)
            CHECK(isnan(rewards[i]));
    }
    memory_release(&rewards);
    for (int64_t i = 0; i < valid; i++) {
        CHECK_OK(h5_get(h5, "/pass/clip_ratio/low_mean", H5_KIND_F64, i, 1, row));
        for (int pass = 0; pass < PASSES; pass++)
            if (pass < passes)
                CHECK_NEAR(row[pass], expected(i, METRIC_CLIP_LOW, pass), 0);
            else
                CHECK(isnan(row[pass]));
    }
    CHECK_OK(h5_close(&h5));
}

static void test_append(void) {
    const char *path = folder_file("diagnostics.h5");
    struct metrics metrics;
    struct strbuf text = STRBUF_EMPTY;
    struct h5 *h5;
    CHECK_OK(diagnostics_create(file_of(path, STEPS, PASSES, NULL), 0));
    check_rows(path, 0, PASSES);
    append(path, 0, 2);
    append(path, 1, 2);
    check_rows(path, 2, 2);
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(diagnostics_describe(h5, &text));
    CHECK(strstr(strbuf_text(&text), "2 of 400 steps") != NULL);
    strbuf_clear(&text);
    CHECK_OK(h5_get_attribute(h5, "/pass/eur", "units", &text));
    CHECK_TEXT(strbuf_text(&text), "1");
    strbuf_clear(&text);
    CHECK_OK(h5_get_attribute(h5, "/step/ratio/max", "reduction", &text));
    CHECK_TEXT(strbuf_text(&text), "maximum over tokens; of the passes the maximum");
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
    CHECK_OK(metrics_init(&metrics, PASSES + 1));
    CHECK_STATUS(diagnostics_append(file_of(path, STEPS, PASSES, NULL), 2, &metrics), STATUS_INPUT,
                 "no room");
    metrics_release(&metrics);
    CHECK_OK(metrics_init(&metrics, PASSES));
    CHECK_STATUS(diagnostics_append(file_of(path, STEPS, PASSES, NULL), STEPS, &metrics),
                 STATUS_INPUT, "no room");
    CHECK_STATUS(diagnostics_append(file_of(path, STEPS, PASSES, NULL), -1, &metrics), STATUS_INPUT,
                 "no room");
    CHECK_STATUS(diagnostics_append(file_of(folder_file("none"), STEPS, PASSES, NULL), 0, &metrics),
                 STATUS_INPUT, "none");
    metrics_release(&metrics);
}

/* Made again for other lengths, with the first of its steps; the others are NaN, and are written as
 * in a new file. */
static void test_kept(void) {
    const char *path = folder_file("kept.h5");
    double values[STEPS + 100];
    struct h5 *h5;
    CHECK_OK(diagnostics_create(file_of(path, STEPS, PASSES, NULL), 0));
    for (int step = 0; step < 9; step++)
        append(path, step, 2);
    CHECK_OK(diagnostics_create(file_of(path, STEPS + 100, PASSES, NULL), 5));
    check_rows(path, 5, 2);
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(h5_get(h5, "/step/loss", H5_KIND_F64, 0, STEPS + 100, values));
    CHECK_OK(h5_close(&h5));
    for (int step = 0; step < STEPS + 100; step++)
        CHECK(isnan(values[step]) == (step >= 5));
    for (int step = 5; step < 8; step++)
        append(path, step, 2);
    check_rows(path, 8, 2);
    CHECK_OK(diagnostics_create(file_of(path, 7, PASSES, NULL), 7));
    check_rows(path, 7, 2);
    CHECK_OK(diagnostics_create(file_of(folder_file("gone.h5"), 7, PASSES, NULL), 3));
    CHECK_OK(h5_open(&h5, folder_file("gone.h5")));
    CHECK_OK(h5_get(h5, "/step/loss", H5_KIND_F64, 0, 7, values));
    CHECK(isnan(values[0]) && isnan(values[6]));
    CHECK_OK(h5_close(&h5));
}

enum { TENSORS = 2, COUNTED = TENSORS * DIAGNOSTICS_BINS };

/* What row `row` of both histograms holds: base + bin, and twice that; NaN for base 0. */
static void check_tally(const char *path, int64_t row, int base) {
    double step, ratios[COUNTED], scales[COUNTED];
    struct h5 *h5;
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(h5_get(h5, "/tensor/step", H5_KIND_F64, row, 1, &step));
    CHECK_OK(h5_get(h5, "/tensor/ratio_histogram", H5_KIND_F64, row, 1, ratios));
    CHECK_OK(h5_get(h5, "/tensor/scale_histogram", H5_KIND_F64, row, 1, scales));
    CHECK_OK(h5_close(&h5));
    for (int b = 0; b < COUNTED; b++) {
        CHECK(base > 0 ? ratios[b] == base + b : isnan(ratios[b]));
        CHECK(base > 0 ? scales[b] == 2 * (base + b) : isnan(scales[b]));
    }
    CHECK(base > 0 ? step == (double)(3 * (row + 1)) : isnan(step));
}

/* Row i is of step 3 (i + 1); a file made again takes over the rows of the steps that stay. */
static void test_tally(void) {
    static const char *const names[TENSORS] = {"a", "b.weight"};
    static int64_t ratios[COUNTED], scales[COUNTED];
    const char *path = folder_file("tally.h5");
    const struct diagnostics_tensors tensors = {.names = names, .count = TENSORS, .every = 3};
    const struct diagnostics_tally tally = {.ratios = ratios, .scales = scales};
    CHECK_OK(diagnostics_create(file_of(path, 11, PASSES, &tensors), 0));
    for (int row = 0; row < 2; row++) {
        check_tally(path, row, 0);
        for (int b = 0; b < COUNTED; b++) {
            ratios[b] = 100 * (row + 1) + b;
            scales[b] = 2 * ratios[b];
        }
        CHECK_OK(diagnostics_append_tally(file_of(path, 40, PASSES, &tensors), 3 * (row + 1) - 1,
                                          &tally));
        check_tally(path, row, 100 * (row + 1));
    }
    check_tally(path, 2, 0);
    CHECK_OK(diagnostics_create(file_of(path, 40, PASSES, &tensors), 5));
    check_tally(path, 0, 100);
    check_tally(path, 1, 0);
    check_tally(path, 12, 0);
    CHECK_STATUS(diagnostics_append_tally(file_of(path, 40, PASSES, &tensors), 41, &tally),
                 STATUS_INPUT, "no room");
    CHECK_OK(diagnostics_create(file_of(path, 2, PASSES, &tensors), 0)); /* none is due */
}

/* A run of more steps than anyone makes begins with a small file, which grows as it fills. */
static void test_grow(void) {
    const char *path = folder_file("long.h5");
    const int64_t steps = 100000000;
    struct stat info;
    struct h5 *h5;
    struct h5_shape shape;
    struct metrics metrics;
    double value;
    int64_t valid;
    const struct diagnostics file = *file_of(path, steps, PASSES, NULL);
    const int64_t rows = diagnostics_rows(&file, 0);
    CHECK(rows > 10000 && rows < 1000000);
    CHECK_OK(diagnostics_create(&file, 0));
    CHECK_EQ(stat(path, &info), 0);
    CHECK(info.st_size > 60 << 20 && info.st_size < 80 << 20);
    CHECK_OK(metrics_init(&metrics, PASSES));
    for (int64_t step = rows - 2; step < rows + 2; step++) {
        fill(&metrics, step);
        CHECK_OK(diagnostics_append(&file, step, &metrics));
    }
    metrics_release(&metrics);
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(h5_shape(h5, "/step/loss", &shape));
    CHECK_EQ(shape.sizes[0], 2 * rows);
    CHECK_OK(h5_get_integer(h5, "/step/valid", &valid));
    CHECK_EQ(valid, rows + 2);
    for (int64_t step = rows - 3; step < rows + 3; step++) {
        CHECK_OK(h5_get(h5, "/step/loss", H5_KIND_F64, step, 1, &value));
        if (step < rows - 2 || step == rows + 2)
            CHECK(isnan(value));
        else
            CHECK_NEAR(value, expected(step, METRIC_LOSS, 0), 0);
    }
    CHECK_OK(h5_close(&h5));
    CHECK_EQ(diagnostics_rows(file_of(path, 500, PASSES, NULL), 0), 500);
    CHECK_EQ(diagnostics_rows(file_of(path, 500, 1000000, NULL), 0), 1);
    CHECK_EQ(diagnostics_rows(file_of(path, 500, 1000000, NULL), 300), 500);
}

/* The counts of tensors grow with it. */
static void test_grow_tally(void) {
    static const char *const names[] = {"one"};
    static int64_t counts[DIAGNOSTICS_BINS];
    const char *path = folder_file("long-tally.h5");
    const struct diagnostics_tensors tensors = {.names = names, .count = 1, .every = 3};
    const struct diagnostics_tally tally = {.ratios = counts, .scales = counts};
    const struct diagnostics file = *file_of(path, 100000000, PASSES, &tensors);
    const int64_t row = diagnostics_rows(&file, 0) / 3 + 1;
    struct h5 *h5;
    double step;
    CHECK_OK(diagnostics_create(&file, 0));
    CHECK_OK(diagnostics_append_tally(&file, 2, &tally));
    CHECK_OK(diagnostics_append_tally(&file, 3 * (row + 1) - 1, &tally));
    CHECK_OK(h5_open(&h5, path));
    for (int64_t at = 0; at <= row; at += row) {
        CHECK_OK(h5_get(h5, "/tensor/step", H5_KIND_F64, at, 1, &step));
        CHECK_NEAR(step, 3 * (at + 1), 0);
    }
    CHECK_OK(h5_close(&h5));
}

/* --- evaluations --- */

static struct diagnostics_evaluation evaluation_at(int64_t step, int set) {
    const double x = (double)step + 0.5 * set;
    return (struct diagnostics_evaluation){.step = step,
                                           .pass_at_1 = x / 1024,
                                           .error = x / 4096,
                                           .backward_passes = 3 * x,
                                           .tokens = 7 * x,
                                           .seconds = x / 8,
                                           .mean_length = 11 * x,
                                           .clipped_ratio = x / 2048};
}

static void check_evaluation(const struct diagnostics *file, int set, int64_t step, bool there) {
    const struct diagnostics_evaluation want = evaluation_at(step, set);
    struct diagnostics_evaluation got;
    bool found;
    CHECK_OK(diagnostics_find_evaluation(file, set, step, &found, &got));
    if (found != there)
        CHECK_FAILED("set %d, step %lld: found %d", set, (long long)step, found);
    if (!found || !there)
        return;
    CHECK_NEAR(got.pass_at_1, want.pass_at_1, 0);
    CHECK_NEAR(got.error, want.error, 0);
    CHECK_NEAR(got.backward_passes, want.backward_passes, 0);
    CHECK_NEAR(got.tokens, want.tokens, 0);
    CHECK_NEAR(got.seconds, want.seconds, 0);
    CHECK_NEAR(got.mean_length, want.mean_length, 0);
    CHECK_NEAR(got.clipped_ratio, want.clipped_ratio, 0);
}

static void add_evaluation(const struct diagnostics *file, int set, int64_t step) {
    const struct diagnostics_evaluation evaluation = evaluation_at(step, set);
    CHECK_OK(diagnostics_append_evaluation(file, set, &evaluation));
    check_evaluation(file, set, step, true);
}

/* A restart keeps the evaluations of the steps that stay, that before the first one included, and the
 * next ones follow them; one set may be ahead of the other. */
static void test_evaluations(void) {
    static const char *const names[] = {"gsm8k", "math-500.x"};
    const struct diagnostics_sets sets = {.names = names, .count = 2, .rows = 4};
    const char *path = folder_file("evaluations.h5");
    struct diagnostics file = *file_of(path, STEPS + 100, PASSES, NULL);
    struct strbuf text = STRBUF_EMPTY;
    struct h5 *h5;
    double *steps, seconds;
    int64_t n;
    file.sets = &sets;
    CHECK_OK(diagnostics_create(&file, 0));
    add_evaluation(&file, 0, 0);
    for (int64_t step = 0; step < 9; step++)
        append(path, step, 2);
    add_evaluation(&file, 0, 4);
    add_evaluation(&file, 0, 8);
    add_evaluation(&file, 1, 4);
    CHECK_OK(diagnostics_create(&file, 5));
    check_evaluation(&file, 0, 0, true);
    check_evaluation(&file, 0, 4, true);
    check_evaluation(&file, 0, 8, false);
    check_evaluation(&file, 1, 0, false);
    check_evaluation(&file, 1, 4, true);
    for (int64_t step = 6; step < 12; step += 2) /* the last does not fit: the file grows */
        add_evaluation(&file, 0, step);
    check_evaluation(&file, 0, 4, true);
    CHECK_OK(h5_open(&h5, path));
    CHECK_OK(h5_get_list(h5, "/eval/gsm8k/step", H5_KIND_F64, &steps, &n));
    CHECK(n >= 5 && steps[2] == 6 && steps[4] == 10 && (n == 5 || isnan(steps[5])));
    memory_release(&steps);
    CHECK_OK(h5_get_attribute(h5, "/eval/math-500.x/seconds", "units", &text));
    CHECK_TEXT(strbuf_text(&text), "s");
    CHECK_OK(h5_close(&h5));
    strbuf_release(&text);
    CHECK_OK(diagnostics_training_s(&file, 5, &seconds));
    CHECK_NEAR(seconds,
               20 + 5 * (expected(0, METRIC_TIME_STEP, 0) + expected(0, METRIC_TIME_WRITE, 0)),
               1e-12);
    CHECK_OK(diagnostics_create(&file, 0)); /* begins again, before any checkpoint */
    check_evaluation(&file, 0, 0, true);
    check_evaluation(&file, 0, 4, false);
    const struct diagnostics_evaluation evaluation = evaluation_at(3, 0);
    CHECK_NEAR(*diagnostics_figure(&evaluation, "pass_at_1"), evaluation.pass_at_1, 0);
    CHECK(diagnostics_figure(&evaluation, "seconds") == NULL);
    CHECK(diagnostics_figure(&evaluation, "nothing") == NULL);
}

/* Appends until it is killed; each finished step is acknowledged through the pipe. */
static _Noreturn void write_until_killed(const char *path, int pipe_end) {
    struct metrics metrics;
    if (metrics_init(&metrics, PASSES) != STATUS_OK)
        _exit(1);
    for (int64_t step = 0; step < STEPS; step++) {
        fill(&metrics, step);
        if (diagnostics_append(file_of(path, STEPS + 100, PASSES, NULL), step, &metrics) !=
                STATUS_OK ||
            write(pipe_end, "x", 1) != 1)
            _exit(1);
    }
    _exit(0);
}

static void test_kill(uint32_t trial) {
    const char *path = folder_file("killed.h5");
    char acknowledged[STEPS];
    int ends[2], status;
    CHECK_OK(diagnostics_create(file_of(path, STEPS, PASSES, NULL), 0));
    CHECK_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0)
        write_until_killed(path, ends[1]);
    close(ends[1]);
    const long delay = 500000 + (long)(random_bits(4, RANDOM_TEST, trial, 0, 0, 0) % 40000000);
    nanosleep(&(struct timespec){.tv_nsec = delay}, NULL);
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, &status, 0), child);
    int64_t count = 0;
    for (ssize_t got; (got = read(ends[0], acknowledged, sizeof acknowledged)) > 0;)
        count += got;
    close(ends[0]);
    check_rows(path, count, PASSES);
    append(path, count, PASSES); /* a new process goes on */
    check_rows(path, count + 1, PASSES);
}

static void test_tools(void) {
    char command[1024];
    if (system("h5dump --version >/dev/null 2>&1") != 0)
        return;
    snprintf(command, sizeof command, "h5dump -d /step/reward '%s' >/dev/null",
             folder_file("killed.h5"));
    CHECK_EQ(system(command), 0);
}

int main(void) {
    folder_make();
    test_append();
    test_kept();
    test_grow();
    test_grow_tally();
    test_tally();
    test_evaluations();
    for (uint32_t trial = 0; trial < TRIALS; trial++)
        test_kill(trial);
    test_tools();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
