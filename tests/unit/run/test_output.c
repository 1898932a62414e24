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
}

#define SETS "eval.every=2 eval.sets=({name=\"a.b\";path=\"d\";prompt=\"p\";answer=\"a\";}) "

static enum status check_best(const char *words) {
    struct settings settings;
    CHECK_OK(scene_settings(&settings, words));
    const struct run run = {.settings = &settings};
    const enum status status = run_checkpoint_check_best(&run);
    settings_release(&settings);
    return status;
}

static void test_best_names(void) {
    CHECK_STATUS(check_best("checkpoint.best=rewrd"), STATUS_INPUT, "rewrd is no metric");
    CHECK_OK(check_best("checkpoint.best=-loss"));
    CHECK_OK(check_best(SETS "checkpoint.best=eval/a.b/pass_at_1"));
    CHECK_OK(check_best(SETS "checkpoint.best=-eval/a.b/mean_length"));
    CHECK_STATUS(check_best(SETS "checkpoint.best=eval/a.b/seconds"), STATUS_INPUT, "is no metric");
    CHECK_STATUS(check_best(SETS "checkpoint.best=eval/a/pass_at_1"), STATUS_INPUT, "is no metric");
    CHECK_STATUS(check_best(SETS "eval.every=0 checkpoint.best=eval/a.b/pass_at_1"), STATUS_INPUT,
                 "is no metric");
}

/* A run whose evaluation after step `step` gave `value`, and whose best so far is `best` at step 2 (0:
 * none): whether a checkpoint is due for it, and then the best step. */
static int64_t rated(const char *words, int64_t step, int64_t evaluated, double value, double best,
                     bool *due) {
    struct settings settings;
    struct diagnostics_evaluation figures = {.step = evaluated, .pass_at_1 = value};
    CHECK_OK(scene_settings(&settings, words));
    struct run run = {.settings = &settings,
                      .counters = {.step = step},
                      .best = {.step = best > 0 ? 2 : 0, .value = best},
                      .evaluation = {.on = true, .step = evaluated, .figures = &figures}};
    run.files.checkpoint_s = clock_now_s();
    *due = run_checkpoint_is_due(&run, NULL, false);
    run_checkpoint_rate(&run, NULL);
    settings_release(&settings);
    return run.best.step;
}

static void test_best_evaluation(void) {
    static const char most[] = SETS "checkpoint.best=eval/a.b/pass_at_1",
                      least[] = SETS "checkpoint.best=-eval/a.b/pass_at_1";
    bool due;
    CHECK(rated(most, 4, 4, 0.5, 0.4, &due) == 4 && due);
    CHECK(rated(most, 4, 4, 0.4, 0.4, &due) == 2 && !due); /* as good as before */
    CHECK(rated(most, 4, 4, 0.1, 0, &due) == 4 && due);    /* the first */
    CHECK(rated(most, 5, 4, 0.5, 0.4, &due) == 2 && !due); /* of the step before */
    CHECK(rated(least, 4, 4, 0.3, 0.4, &due) == 4 && due);
    CHECK(rated(least, 4, 4, 0.5, 0.4, &due) == 2 && !due);
    CHECK(rated(most, 0, 0, 0.5, 0, &due) == 0); /* there is no checkpoint of before step 1 */
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
    return run_checkpoint_is_due(&run, NULL, last);
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
    test_best_names();
    test_best_evaluation();
    test_failure();
    folder_remove();
    return CHECK_END();
}
