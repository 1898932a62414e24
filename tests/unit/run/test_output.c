/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a run as it goes on: what is there before the first step, what each step adds and
 * when, what the end leaves; and when a checkpoint is due.
 */
#include "unit/run/scene.h"

#include "base/clock.h"
#include "run/save.h"

static bool is_there(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "run/%s", name);
    return access(folder_file(path), F_OK) == 0;
}

static bool says(const char *name, const char *words) {
    char path[128];
    size_t n;
    snprintf(path, sizeof path, "run/%s", name);
    char *text = folder_read(folder_file(path), &n);
    const bool found = strstr(text, words) != NULL;
    if (!found)
        fprintf(stderr, "%s: %s\n", path, text);
    free(text);
    return found;
}

static int64_t lines_of(const char *name) {
    char path[128];
    size_t n;
    int64_t lines = 0;
    snprintf(path, sizeof path, "run/%s", name);
    char *text = folder_read(folder_file(path), &n);
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    free(text);
    return lines;
}

static void one_step(struct scene *scene, struct metrics *metrics, bool last) {
    struct collect_report report;
    struct run *run = &scene->run;
    scene_collect(scene, run->counters.step + 1, &report);
    CHECK_OK(run_update(run));
    run->counters.step++;
    CHECK_OK(run_measure(run, metrics));
    CHECK_OK(run_output_step(run, metrics, last));
}

static void test_files(void) {
    struct scene scene;
    struct metrics metrics;
    scene_open(&scene, "output.rollouts_every=2 checkpoint.every=3 checkpoint.keep=9");
    struct run *run = &scene.run;
    CHECK_OK(metrics_init(&metrics, run->step.pass_room));
    CHECK_OK(run_output_open(run, &(struct restart){.fresh = false}));
    CHECK(says("status.json", "\"state\": \"running\""));
    CHECK(says("settings.cfg", "rollouts_every = 2"));
    CHECK(is_there("diagnostics.h5") && !is_there("metrics.jsonl") && !is_there("model"));
    for (int step = 1; step <= 4; step++) {
        one_step(&scene, &metrics, step == 4);
        CHECK_EQ(lines_of("metrics.jsonl"), step);
        CHECK_EQ(is_there("rollouts/step-000002.h5"), step >= 2);
        CHECK_EQ(is_there("rollouts/step-000004.h5"), step >= 4);
        CHECK_EQ(is_there("checkpoints/step-000003.h5.gradus.part"), step == 3); /* in the making */
        CHECK_EQ(is_there("checkpoints/step-000003.h5"), step >= 4);
        CHECK_EQ(is_there("checkpoints/step-000004.h5"), step >= 4);
    }
    CHECK(!is_there("rollouts/step-000001.h5") && !is_there("rollouts/step-000003.h5"));
    CHECK(says("status.json", "\"step\": 4"));
    CHECK_OK(run_output_finish(run));
    CHECK(says("status.json", "\"state\": \"finished\""));
    CHECK(is_there("model/model.safetensors") && is_there("model/config.json"));
    metrics_release(&metrics);
    scene_close(&scene);
}

/* The newest and the best stay; a restart remembers which that was. */
static void test_best(void) {
    static const double rewards[] = {0.5, 0.9, 0.7, 0.2};
    struct scene scene;
    struct metrics metrics;
    char words[512];
    struct restart restart = {.fresh = false};
    snprintf(words, sizeof words, "run.directory=%s checkpoint.every=1 checkpoint.keep=1 %s",
             folder_file("best"), "checkpoint.best=reward output.rollouts_every=0");
    for (int half = 0; half < 2; half++) {
        scene_open(&scene, words);
        struct run *run = &scene.run;
        CHECK_OK(metrics_init(&metrics, run->step.pass_room));
        CHECK_OK(restart_choose(&scene.settings, &scene.comm, &restart));
        CHECK_OK(restart_load(run, &restart));
        CHECK_OK(run_output_open(run, &restart));
        CHECK_EQ(run->counters.step, 2 * half);
        for (int i = 0; i < 2; i++) {
            metrics.step[METRIC_REWARD] = rewards[run->counters.step++];
            CHECK_OK(run_output_step(run, &metrics, i == 1));
        }
        CHECK_EQ(run->best.step, 2);
        metrics_release(&metrics);
        scene_close(&scene);
    }
    CHECK_EQ(folder_entries(folder_file("best/checkpoints")), 2);
    CHECK(access(folder_file("best/checkpoints/step-000002.h5"), F_OK) == 0);
    CHECK(access(folder_file("best/checkpoints/step-000004.h5"), F_OK) == 0);
    CHECK_OK(scene_settings(&scene.settings, "checkpoint.best=rewrd"));
    CHECK_STATUS(run_checkpoint_check_best(&scene.settings), STATUS_INPUT, "rewrd is no metric");
    settings_release(&scene.settings);
    CHECK_OK(scene_settings(&scene.settings, "checkpoint.best=-loss"));
    CHECK_OK(run_checkpoint_check_best(&scene.settings));
    settings_release(&scene.settings);
}

static void test_failure(void) {
    struct scene scene;
    char words[512];
    snprintf(words, sizeof words, "run.directory=%s", folder_file("failing"));
    scene_open(&scene, words);
    CHECK_OK(run_output_open(&scene.run, &(struct restart){.fresh = true}));
    run_output_fail(&scene.run, FAIL(STATUS_IO, "the disk is full"));
    CHECK(strstr(status_sentence(), "the disk is full") != NULL);
    scene_close(&scene);
}

/* due(every, every_s, step, seconds since the last, last) of a run of 4 steps. */
static bool due(int64_t every, int64_t every_s, int64_t step, double seconds, bool last) {
    const struct settings settings = {.run = {.steps = 4},
                                      .checkpoint = {.every = every, .every_s = every_s}};
    struct run run = {.settings = &settings, .counters = {.step = step}};
    run.files.checkpoint_s = clock_now_s() - seconds;
    return run_checkpoint_is_due(&run, last);
}

static void test_due(void) {
    CHECK(!due(0, 0, 2, 1e6, false));
    CHECK(due(2, 0, 2, 0, false) && !due(2, 0, 3, 0, false));
    CHECK(due(3, 0, 4, 0, true) && due(0, 60, 4, 0, true) && due(0, 0, 4, 0, true)); /* the last */
    CHECK(due(0, 60, 1, 61, false) && !due(0, 60, 1, 50, false));
    CHECK(due(0, 0, 3, 0, true)); /* asked to stop before the last step */
}

int main(void) {
    scene_make();
    test_due();
    test_files();
    test_best();
    test_failure();
    folder_remove();
    return CHECK_END();
}
