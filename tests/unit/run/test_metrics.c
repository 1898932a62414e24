/* SPDX-License-Identifier: Apache-2.0
 *
 * Names stand once and make no group of a dataset; lines are JSON with a checksum over what stands
 * before it; a torn line does not spoil the next.
 */
#include "run/metrics.h"

#include "base/memory.h"
#include "check.h"
#include "file/bytes.h"
#include "file/json.h"
#include "unit/file/folder.h"

static void test_names(void) {
    for (int i = 0; i < METRIC_COUNT; i++)
        for (int j = 0; j < METRIC_COUNT; j++) {
            const char *a = metric_table[i].path, *b = metric_table[j].path;
            const size_t n = strlen(a);
            if (i != j && strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/'))
                CHECK_FAILED("%s and %s cannot stand in one file", a, b);
        }
    CHECK_TEXT(metric_table[METRIC_CLIP_HIGH].path, "clip_ratio/high_mean");
    CHECK(metric_table[METRIC_EUR].per_pass && !metric_table[METRIC_REWARD].per_pass);
}

static void fill(struct metrics *metrics) {
    metrics_clear(metrics);
    metrics->step[METRIC_REWARD] = 0.1;
    metrics->step[METRIC_TIME_STEP] = 1.0 / 3.0;
    metrics->step[METRIC_MISMATCH_MAX] = INFINITY;
    metrics_pass(metrics, METRIC_EUR)[0] = 1.0;
    metrics_pass(metrics, METRIC_EUR)[1] = 0.5;
    metrics_pass(metrics, METRIC_RATIO_MAX)[0] = 1.0;
    metrics_pass(metrics, METRIC_RATIO_MAX)[1] = 3.0;
    metrics_pass(metrics, METRIC_KL)[1] = 0.25;
    metrics_average(metrics);
}

static void test_average(const struct metrics *metrics) {
    CHECK_NEAR(metrics->step[METRIC_EUR], 0.75, 0);
    CHECK_NEAR(metrics->step[METRIC_KL], 0.25, 0);
    CHECK_NEAR(metrics->step[METRIC_RATIO_MAX], 3.0, 0);
    CHECK(isnan(metrics->step[METRIC_ENTROPY]));
    CHECK_NEAR(metrics->step[METRIC_REWARD], 0.1, 0);
}

/* A line without its infinite number, which jansson does not read. */
static void check_line(const char *line, size_t length, int64_t step) {
    json_t *root;
    const char *mark = strstr(line, ", \"crc32\": \"");
    char sum[9];
    CHECK(mark != NULL);
    snprintf(sum, sizeof sum, "%08x", (unsigned)bytes_crc32(line, (size_t)(mark - line)));
    CHECK(strncmp(mark + 12, sum, 8) == 0);
    CHECK_OK(json_parse(line, length, "line", 1, &root));
    CHECK_EQ(json_integer_value(json_object_get(root, "step")), step);
    CHECK_NEAR(json_real_value(json_object_get(root, "reward")), 0.1, 0);
    CHECK_NEAR(json_real_value(json_object_get(root, "time/step")), 1.0 / 3.0, 0);
    CHECK(json_object_get(root, "entropy") == NULL);
    const json_t *kl = json_object_get(json_object_get(root, "pass"), "kl");
    CHECK_EQ(json_array_size(kl), 2);
    CHECK(json_is_null(json_array_get(kl, 0)));
    CHECK_NEAR(json_real_value(json_array_get(kl, 1)), 0.25, 0);
    json_decref(root);
}

static void test_lines(struct metrics *metrics) {
    const char *path = folder_file("metrics.jsonl");
    struct strbuf all = STRBUF_EMPTY;
    CHECK_OK(metrics_format(metrics, 7, &all));
    CHECK(strstr(strbuf_text(&all), "\"mismatch/logprob_max\": 1e999") != NULL);
    strbuf_clear(&all);
    metrics->step[METRIC_MISMATCH_MAX] = 0.0;
    CHECK_OK(metrics_log(metrics, 1, path));
    FILE *stream = fopen(path, "a");
    fputs("{\"step\": 2, \"rew", stream); /* killed here */
    fclose(stream);
    CHECK_OK(metrics_log(metrics, 2, path));
    CHECK_OK(metrics_log(metrics, 3, path));
    CHECK_OK(bytes_read_file(path, 1 << 20, &all));
    int lines = 0;
    for (char *at = all.text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, lines++) {
        *end = '\0';
        if (lines != 1)
            check_line(at, (size_t)(end - at), lines == 0 ? 1 : lines);
    }
    CHECK_EQ(lines, 4);
    strbuf_release(&all);
    CHECK_STATUS(metrics_log(metrics, 1, folder_path), STATUS_IO, "cannot be opened");
}

static void test_places(void) {
    static const struct {
        int64_t token;
        int bin;
    } cases[] = {{0, 0},       {15, 15},   {16, 16},
                 {31, 16},     {32, 17},   {63, 17},
                 {64, 18},     {1023, 21}, {(1 << 20) - 1, 31},
                 {1 << 20, 31}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(position_bin(cases[i].token), cases[i].bin);
}

int main(void) {
    struct metrics metrics;
    folder_make();
    CHECK_OK(metrics_init(&metrics, 2));
    fill(&metrics);
    test_names();
    test_places();
    test_average(&metrics);
    test_lines(&metrics);
    metrics_release(&metrics);
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
