/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint in the making: it holds what the run was when it began, however the run goes on
 * meanwhile; one that is given up leaves nothing; a number that is not finite or a full disk is a
 * sentence, and the checkpoint before stays.
 */
#include "run/saving.h"

#include "unit/run/scene.h"

#include <math.h>

#include "base/memory.h"
#include "run/checkpoint_read.h"
#include "run/state.h"

static const char *in_checkpoints(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "run/checkpoints/%s", name);
    return folder_file(path);
}

static void open_scene(struct scene *scene) {
    scene_open(scene, "");
    CHECK_OK(run_output_open(&scene->run, &(struct restart){.fresh = true}));
}

/* The first parameter of a checkpoint's first tensor. */
static float first_number(const char *name, enum checkpoint_section section,
                          const struct parameter *parameter) {
    struct checkpoint *checkpoint;
    float value = (float)NAN;
    CHECK_OK(checkpoint_open(&checkpoint, in_checkpoints(name), true));
    CHECK_OK(checkpoint_read_block(checkpoint, section, parameter, 0, 1, &value));
    checkpoint_close(&checkpoint);
    return value;
}

/* The vectors change right after saving_release, as an optimizer step changes them. */
static void test_changes(void) {
    struct scene scene;
    open_scene(&scene);
    struct run *run = &scene.run;
    const struct parameter *first = &model_trained(run->lm.model)->items[0];
    for (int i = 1; i <= 20; i++) {
        char name[64];
        run->counters.step = i;
        for (int64_t e = 0; e < run->layout->elements; e++)
            run->master[e] = (float)i;
        CHECK_OK(saving_begin(run));
        CHECK_OK(saving_release(run));
        for (int64_t e = 0; e < run->layout->elements; e++)
            run->master[e] = -1.0f;
        CHECK_OK(saving_finish(run));
        CHECK_EQ(run->files.checkpoint_step, i);
        snprintf(name, sizeof name, "step-%06d.h5", i);
        CHECK_NEAR(first_number(name, CHECKPOINT_PARAMETERS, first), (double)i, 0);
    }
    CHECK_EQ(folder_entries(folder_file("run/checkpoints")), 2);
    CHECK(saving_stall_s(run) > 0.0);
    CHECK(saving_stall_s(run) == 0.0);
    scene_close(&scene);
}

static void test_given_up(void) {
    struct scene scene;
    open_scene(&scene);
    scene.run.counters.step = 1;
    CHECK_OK(saving_begin(&scene.run));
    saving_abandon(&scene.run);
    CHECK_EQ(folder_entries(folder_file("run/checkpoints")), 0);
    CHECK_OK(saving_poll(&scene.run));
    CHECK_OK(saving_release(&scene.run));
    CHECK_OK(saving_finish(&scene.run));
    CHECK_OK(saving_begin(&scene.run)); /* closing gives it up as well */
    scene_close(&scene);
    CHECK_EQ(folder_entries(folder_file("run/checkpoints")), 0);
}

static void test_failures(void) {
    struct scene scene;
    open_scene(&scene);
    struct run *run = &scene.run;
    run->counters.step = 1;
    CHECK_OK(saving_begin(run));
    CHECK_OK(saving_finish(run));
    run->counters.step = 2;
    run->optimizer->exp_avg_sq[5] = INFINITY;
    CHECK_OK(saving_begin(run));
    CHECK_STATUS(
        saving_finish(run), STATUS_NUMERIC,
        "after step 2, the mean of squared gradients of model.embed_tokens.weight holds inf");
    CHECK_EQ(folder_entries(folder_file("run/checkpoints")), 1);
    CHECK_EQ(run->files.checkpoint_step, 1);
    run->optimizer->exp_avg_sq[5] = 0.0f;
    CHECK_OK(saving_begin(run));
    unlink(in_checkpoints("step-000002.h5.gradus.part")); /* somebody removes it */
    CHECK_STATUS(saving_finish(run), STATUS_IO, "step-000002.h5.gradus.part");
    CHECK_OK(saving_begin(run));
    CHECK_OK(saving_finish(run));
    CHECK_EQ(run->files.checkpoint_step, 2);
    scene_close(&scene);
}

int main(void) {
    scene_make();
    test_changes();
    test_given_up();
    test_failures();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
