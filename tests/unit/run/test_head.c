/* SPDX-License-Identifier: Apache-2.0
 *
 * A discriminator at the end of what a run trains: it moves by a learning rate of its own and
 * counts in the clipping norm; a checkpoint brings it back to the bit, moments included, and serves
 * a model without it; the files of a run and of gradus export have it, and a later run begins with
 * it.
 */
#include "unit/run/scene.h"

#include "base/memory.h"
#include "base/random.h"
#include "file/bytes.h"
#include "run/checkpoint_read.h"
#include "run/head_file.h"
#include "run/rule.h"
#include "run/save.h"
#include "run/saving.h"

enum { ROWS = 4, C = 16, HEAD = 4 * C + 2 };
#define HEAD_RATE                                                                                  \
    "optimizer.weight_decay=0 optimizer.max_grad_norm=0 adversarial.head_learning_rate=0.01 "
#define ADAPTER "lora.rank=2 lora.alpha=4 "

static struct method with_head;

/* The same run, of a method with a discriminator. */
static void scene_open_head(struct scene *scene, const char *more) {
    scene_open(scene, more);
    struct run *run = &scene->run;
    with_head = *run->method;
    with_head.discriminates = true;
    run_unreserve(run);
    run->method = &with_head;
    CHECK_OK(run_reserve(run));
    if (check_failures > 0)
        exit(1);
}

static int64_t model_elements(const struct run *run) {
    return model_trained(run->lm.model)->elements;
}

/* --- one step along a gradient that is drawn --- */

struct told {
    float states[ROWS * C], d_states[ROWS * C];
    struct discriminator_sequence sequences[ROWS];
};

static void judge(struct run *run, struct told *told, uint32_t step) {
    *told = (struct told){.states = {0}};
    for (uint32_t i = 0; i < ROWS * C; i++)
        told->states[i] = (float)random_normal(1, RANDOM_TEST, step, i, 0, 0);
    for (int i = 0; i < ROWS; i++)
        told->sequences[i] = (struct discriminator_sequence){
            .begin = i, .end = i + 1, .label = i % 2, .weight = 1.0 / ROWS};
    discriminator_forward(run->lm.discriminator, told->states, told->sequences, ROWS);
}

/* The model's gradient is of small numbers, the head's its own. */
static void step_along(struct run *run, uint32_t step) {
    const int64_t n = model_elements(run);
    enum gradient_outcome outcome;
    struct gradient_piece piece;
    struct told told;
    float *values;
    double squares = 0;
    CHECK_OK(memory_new(&values, n, "gradient"));
    for (int64_t i = 0; i < n; i++)
        values[i] = 1e-3f * (float)random_normal(2, RANDOM_TEST, step, (uint32_t)i, 0, 0);
    judge(run, &told, step);
    CHECK_OK(discriminator_backward(run->lm.discriminator, told.states, ROWS, told.sequences, ROWS,
                                    told.d_states, &piece));
    CHECK_EQ(piece.offset, n);
    CHECK_EQ(piece.n, HEAD);
    for (int64_t i = 0; i < n; i++)
        squares += (double)values[i] * (double)values[i];
    for (int64_t i = 0; i < piece.n; i++)
        squares += (double)piece.values[i] * (double)piece.values[i];
    CHECK_OK(gradient_begin(run->gradient, 2));
    CHECK_OK(gradient_add(run->gradient, &(struct exchange_piece){.n = n, .values = values}));
    CHECK_OK(gradient_add(
        run->gradient,
        &(struct exchange_piece){.offset = piece.offset, .n = piece.n, .values = piece.values}));
    CHECK_OK(gradient_finish(run->gradient, &outcome));
    CHECK_NEAR(run->gradient->norm, sqrt(squares), 1e-6 * sqrt(squares));
    CHECK_OK(rule_step(run));
    run->counters.step++;
    memory_release(&values);
}

static void test_step(void) {
    struct scene scene;
    struct told before, after;
    float *master;
    scene_open_head(&scene, HEAD_RATE);
    struct run *run = &scene.run;
    const int64_t n = model_elements(run), all = language_model_trained(&run->lm)->elements;
    CHECK_EQ(all, n + HEAD);
    CHECK_EQ(run->layout->elements, all);
    CHECK_TEXT(language_model_trained(&run->lm)->items[run->layout->count - 1].name,
               "discriminator.linear.bias");
    CHECK_OK(memory_new(&master, all, "master"));
    memcpy(master, run->master, (size_t)all * sizeof *master);
    CHECK(master[n] == 1.0f && master[n + C] == 0.0f && master[n + 2 * C] != 0.0f);
    judge(run, &before, 1);
    run->step.learning_rate = 0;
    run->step.head_learning_rate = 0.01;
    step_along(run, 1);
    CHECK(memcmp(master, run->master, (size_t)n * sizeof *master) == 0);
    for (int64_t i = n; i < all; i++) /* the first step of AdamW: its rate, and the sign */
        CHECK_NEAR(fabs((double)run->master[i] - (double)master[i]), 0.01, 1e-4);
    judge(run, &after, 1);
    for (int i = 0; i < ROWS; i++)
        CHECK(after.sequences[i].cross_entropy < before.sequences[i].cross_entropy);
    memory_release(&master);
    scene_close(&scene);
}

/* The two rates of a step follow one schedule. */
static void test_schedule(void) {
    struct scene scene;
    struct collect_report report;
    scene_open_head(
        &scene, HEAD_RATE
        "optimizer.schedule=linear optimizer.learning_rate=1e-3 adversarial.grad_norms=false");
    with_head.discriminates = false; /* nothing is read to the head that is there */
    for (int step = 0; step < 3; step++) {
        scene_collect(&scene, step + 1, &report);
        CHECK_OK(run_update(&scene.run));
        CHECK_NEAR(scene.run.step.learning_rate, 1e-3 * (1 - step / 4.0), 1e-12);
        CHECK_NEAR(scene.run.step.head_learning_rate, 0.01 * (1 - step / 4.0), 1e-12);
        scene.run.counters.step++;
    }
    scene_close(&scene);
}

/* --- checkpoints --- */

static struct restart at_step(const char *name, int64_t step) {
    struct restart restart = {.step = step};
    snprintf(restart.path, sizeof restart.path, "%s", folder_file(name));
    return restart;
}

static void same_bits(const struct run *a, const struct run *b) {
    const size_t bytes = (size_t)a->layout->elements * sizeof(float);
    CHECK_EQ(a->layout->elements, b->layout->elements);
    CHECK(memcmp(a->master, b->master, bytes) == 0);
    CHECK(memcmp(a->optimizer->exp_avg, b->optimizer->exp_avg, bytes) == 0);
    CHECK(memcmp(a->optimizer->exp_avg_sq, b->optimizer->exp_avg_sq, bytes) == 0);
    CHECK_EQ(a->optimizer->steps, b->optimizer->steps);
}

/* A model without a head takes its own tensors; a head that the checkpoint lacks is refused. */
static void test_without(const struct run *with, const char *more) {
    static const char path[] = "run/checkpoints/step-000002.h5";
    struct scene scene;
    scene_open(&scene, more);
    struct run *run = &scene.run;
    CHECK_OK(restart_load_parameters(&run->lm, folder_file(path), run->master));
    CHECK(memcmp(run->master, with->master, (size_t)run->layout->elements * sizeof(float)) == 0);
    CHECK_OK(run_output_open(run, &(struct restart){.fresh = true}));
    run->counters.step = 1;
    CHECK_OK(saving_begin(run));
    CHECK_OK(saving_finish(run));
    scene_close(&scene);
    scene_open_head(&scene, more);
    const struct restart none = at_step("run/checkpoints/step-000001.h5", 1);
    CHECK_STATUS(restart_load(&scene.run, &none), STATUS_INPUT, "it is of another run");
    scene_close(&scene);
}

static void test_restart(const char *more) {
    struct scene first, second;
    scene_open_head(&first, more);
    struct run *run = &first.run;
    CHECK_OK(run_output_open(run, &(struct restart){.fresh = true}));
    run->step.learning_rate = 1e-3;
    run->step.head_learning_rate = 0.01;
    step_along(run, 1);
    step_along(run, 2);
    CHECK_OK(saving_begin(run));
    CHECK_OK(saving_finish(run));
    scene_open_head(&second, more);
    const struct restart restart = at_step("run/checkpoints/step-000002.h5", 2);
    CHECK(memcmp(run->master, second.run.master, sizeof(float)) != 0);
    CHECK_OK(restart_load(&second.run, &restart));
    same_bits(run, &second.run);
    second.run.step.learning_rate = 1e-3;
    second.run.step.head_learning_rate = 0.01;
    step_along(run, 3);
    step_along(&second.run, 3);
    same_bits(run, &second.run);
    scene_close(&second);
    CHECK_OK(restart_load(run, &restart)); /* back to step 2 */
    run_output_close(run);
    test_without(run, more);
    scene_close(&first);
}

/* --- files --- */

static bool same_file(const char *a, const char *b) {
    struct strbuf bytes[2] = {STRBUF_EMPTY, STRBUF_EMPTY};
    const char *names[2] = {a, b};
    for (int i = 0; i < 2; i++)
        CHECK_OK(bytes_read_file(folder_file(names[i]), 1 << 20, &bytes[i]));
    const bool same = bytes[0].length == bytes[1].length && bytes[0].length > 0 &&
                      memcmp(strbuf_text(&bytes[0]), strbuf_text(&bytes[1]), bytes[0].length) == 0;
    strbuf_release(&bytes[0]);
    strbuf_release(&bytes[1]);
    return same;
}

static void export_checkpoint(const char *output, char *merge) {
    char path[512], folder[512];
    snprintf(path, sizeof path, "%s", folder_file("run/checkpoints/step-000001.h5"));
    snprintf(folder, sizeof folder, "%s", folder_file(output));
    char *words[] = {"gradus", "export", path, "--output", folder, merge, NULL};
    const struct cli_host host = {
        .comm_open = scene_comm_open, .job_abort = scene_abort, .version = "test"};
    CHECK_EQ(cli_main(merge != NULL ? 6 : 5, words, &host), 0);
}

/* What begins with the files of this run has its head, unless it asks for more than they hold. */
static void check_begins(const struct run *with, const char *beside) {
    struct scene scene;
    char words[1024];
    snprintf(words, sizeof words, HEAD_RATE "%s=%s", beside,
             folder_file(strcmp(beside, "lora.adapter") == 0 ? "run/adapter" : "run/model"));
    scene_open_head(&scene, words);
    CHECK(memcmp(scene.run.master, with->master, (size_t)with->layout->elements * sizeof(float)) ==
          0);
    scene_close(&scene);
    snprintf(words + strlen(words), sizeof words - strlen(words), " adversarial.reward=value");
    scene_open(&scene, words);
    with_head.discriminates = true;
    run_unreserve(&scene.run);
    scene.run.method = &with_head;
    CHECK_STATUS(run_reserve(&scene.run), STATUS_INPUT,
                 "discriminator.value.weight\" is missing: a value head is trained where");
    scene_close(&scene);
}

static void test_files(const char *more, const char *result) {
    struct scene scene;
    char ours[128], theirs[128];
    bool found = true;
    scene_open_head(&scene, more);
    struct run *run = &scene.run;
    CHECK_OK(run_output_open(run, &(struct restart){.fresh = true}));
    run->step.learning_rate = 1e-3;
    run->step.head_learning_rate = 0.01;
    step_along(run, 1);
    CHECK_OK(saving_begin(run));
    CHECK_OK(saving_finish(run));
    CHECK_OK(run_model_save(run));
    CHECK_OK(head_file_load(folder_file("model"), &run->lm.hparams, run->lm.discriminator,
                            &run->lm.backend, run->master, &found));
    CHECK(!found);
    snprintf(ours, sizeof ours, "run/%s/" HEAD_FILE_NAME, result);
    snprintf(theirs, sizeof theirs, "exported-%s/" HEAD_FILE_NAME, result);
    snprintf(theirs, strchr(theirs, '/') - theirs + 1, "exported-%s", result);
    export_checkpoint(theirs, NULL);
    snprintf(theirs, sizeof theirs, "exported-%s/" HEAD_FILE_NAME, result);
    CHECK(same_file(ours, theirs));
    if (strcmp(result, "adapter") == 0) {
        export_checkpoint("merged", "--merge");
        CHECK(same_file(ours, "merged/" HEAD_FILE_NAME));
    }
    check_begins(run, strcmp(result, "adapter") == 0 ? "lora.adapter" : "model.path");
    scene_close(&scene);
}

int main(void) {
    scene_make();
    test_step();
    test_schedule();
    test_restart(HEAD_RATE);
    test_restart(HEAD_RATE ADAPTER);
    test_files(HEAD_RATE, "model");
    test_files(HEAD_RATE ADAPTER, "adapter");
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
