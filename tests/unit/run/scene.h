/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole run for the tests of the layers that need one: a folder with a small model of random
 * weights (`gradus init`), a file of 12 questions, and settings, opened on a single rank.
 *
 *     scene_make();
 *     scene_open(&scene, "rollout.group_size=3 update.iterations=2");
 *     … scene.run …
 *     scene_close(&scene);
 *     folder_remove();
 */
#ifndef TESTS_UNIT_RUN_SCENE_H
#define TESTS_UNIT_RUN_SCENE_H

#include "check.h"
#include "cli/cli.h"
#include "comm/comm.h"
#include "config/settings.h"
#include "run/run.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

struct scene {
    struct comm comm;
    struct settings settings;
    struct run run;
};

enum { SCENE_ROWS = 12, SCENE_WORDS_MAX = 64, SCENE_ANSWER_MOST = 7 };

static enum status scene_comm_open(struct comm *comm, int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    comm_self_open(comm);
    return STATUS_OK;
}

static void scene_abort(int exit_status) {
    exit(exit_status);
}

/* Row i asks "i=" and is answered by "aaa…", i + 1 letters. */
static inline void scene_data(void) {
    char text[4096];
    size_t n = 0;
    for (int i = 0; i < SCENE_ROWS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "{\"question\": \"%d=\", \"answer\": \"%.*s\"}\n", i, i + 1,
                              "aaaaaaaaaaaa");
    folder_write(folder_file("data.jsonl"), text, n);
}

/* With a model of these widths. */
static inline void scene_make_of(char *width, char *mlp, char *kv_heads) {
    static char path[512];
    folder_make();
    snprintf(path, sizeof path, "%s", folder_file("model"));
    char *words[] = {"gradus",  "init",     "--arch",     "qwen2",  "--layers",
                     "1",       "--width",  width,        "--mlp",  mlp,
                     "--heads", "2",        "--kv-heads", kv_heads, "--max-positions",
                     "64",      "--output", path,         NULL};
    const struct cli_host host = {
        .comm_open = scene_comm_open, .job_abort = scene_abort, .version = "test"};
    CHECK_EQ(cli_main((int)(sizeof words / sizeof *words) - 1, words, &host), 0);
    scene_data();
}

static inline void scene_make(void) {
    scene_make_of("16", "16", "2");
}

/* The settings of a small run, and `more` of them, separated by blanks. */
static inline enum status scene_settings(struct settings *settings, const char *more) {
    static const char base[] =
        "run : { directory = \"run\"; steps = 4; };\n"
        "model : { path = \"model\"; };\n"
        "data : { train = ( { path = \"data.jsonl\"; prompt = \"question\"; answer = \"answer\"; } ); "
        "shuffle = false; };\n"
        "prompt : { chat = \"none\"; };\n"
        "rollout : { prompts_per_step = 4; group_size = 3; max_new_tokens = 20; };\n"
        "reward : { parts = ( { name = \"length\"; weight = 1.0; } ); };\n"
        "parallel : { threads = 1; };\n";
    static char text[2048];
    char *words[SCENE_WORDS_MAX];
    int count = 0;
    snprintf(text, sizeof text, "%s", more);
    for (char *word = strtok(text, " "); word != NULL && count < SCENE_WORDS_MAX;
         word = strtok(NULL, " "))
        words[count++] = word;
    return settings_read_text(folder_file("input.cfg"), base, sizeof base - 1, words, count,
                              SETTINGS_FOR_TRAINING, settings);
}

static inline void scene_open(struct scene *scene, const char *more) {
    comm_self_open(&scene->comm);
    CHECK_OK(scene_settings(&scene->settings, more));
    CHECK_OK(run_open(&scene->run, &scene->settings, &scene->comm));
    if (check_failures > 0)
        exit(1);
}

static inline void scene_close(struct scene *scene) {
    run_close(&scene->run);
    settings_release(&scene->settings);
    comm_close(&scene->comm);
}

/* What the run lends to its method. */
static inline struct method_context scene_context(struct scene *scene) {
    struct run *run = &scene->run;
    return (struct method_context){.settings = run->settings,
                                   .comm = run->comm,
                                   .model = run->lm.model,
                                   .reference = run->reference,
                                   .tokenizer = run->lm.tokenizer,
                                   .rewards = run->rewards,
                                   .form = &run->lm.form,
                                   .stream = run->stream,
                                   .corpus = run->corpus,
                                   .discriminator = run->lm.discriminator,
                                   .judged = &run->step.judged,
                                   .reasoning = &run->reasoning,
                                   .tiles = &run->tiles,
                                   .stop_ids = run->lm.hparams.eos,
                                   .stop_id_count = run->lm.hparams.eos_count};
}

/* Collects a step's batch into run->step.rollout, which is emptied first. */
static inline void scene_collect(struct scene *scene, int64_t step, struct collect_report *report) {
    struct run *run = &scene->run;
    const struct method_context context = scene_context(scene);
    *report = (struct collect_report){.tokens = 0};
    CHECK_OK(run_clear_batch(run));
    CHECK_OK(run->method->collect(&context, step, &run->step.rollout, report));
}

/* Answer k of the batches that the peer programs of tests/data have: up to so many bytes as tokens, and an
 * advantage by its place in a group of 3. */
static inline void scene_answer(struct rollout_answer *answer, int k) {
    static const double advantages[] = {-1.25, 0, 1.5};
    char name[32];
    snprintf(name, sizeof name, "answer %d", k);
    CHECK_OK(rollout_answer_reserve(answer, 1 + 5 * k % SCENE_ANSWER_MOST,
                                    (struct rollout_columns){.sampler = true, .gate = true}));
    tiny_tokens(name, 256, answer->tokens, answer->n);
    answer->advantage = advantages[k % 3];
}

#endif
