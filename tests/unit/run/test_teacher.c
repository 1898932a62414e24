/* SPDX-License-Identifier: Apache-2.0
 *
 * Who teaches: the start, the model itself, or a moving mean of what is trained, which is a copy of it
 * after the first optimizer step and moves after each later one.
 */
#include "unit/run/scene.h"

#include "base/memory.h"
#include "run/rule.h"

#define OPSD                                                                                       \
    "run.method=opsd distill.teacher_template={prompt}={solution} rollout.group_size=1 "           \
    "rollout.prompts_per_step=2 optimizer.learning_rate=0.01 "

static void step(struct scene *scene) {
    struct run *run = &scene->run;
    struct collect_report report;
    struct method_context context = scene_context(scene);
    context.teaching = &run->teaching;
    context.teacher = teacher_model(run);
    rollout_release(&run->step.rollout);
    CHECK_OK(rollout_init(&run->step.rollout, 2, 1));
    report = (struct collect_report){.tokens = 0};
    CHECK_OK(run->method->collect(&context, run->counters.step + 1, &run->step.rollout, &report));
    CHECK_OK(run_update(run));
    run->counters.step++;
}

static void test_mean(const char *more) {
    struct scene scene;
    char words[512];
    float *want;
    snprintf(words, sizeof words, OPSD "distill.teacher=ema distill.ema_decay=0.75 %s", more);
    scene_open(&scene, words);
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements;
    CHECK_OK(memory_new(&want, n, "mean"));
    CHECK(teacher_model(run) == run->lm.model);
    step(&scene);
    CHECK(teacher_model(run) != run->lm.model);
    CHECK_EQ(run->teacher.moves, 1);
    CHECK(memcmp(run->teacher.mean, run->master, (size_t)n * sizeof *want) == 0);
    memcpy(want, run->teacher.mean, (size_t)n * sizeof *want);
    step(&scene);
    int64_t moved = 0;
    for (int64_t i = 0; i < n; i++) {
        const double now = (double)run->master[i];
        moved += run->master[i] != want[i];
        CHECK_NEAR(run->teacher.mean[i], 0.75 * (double)want[i] + 0.25 * now, 1e-6);
    }
    CHECK(moved > n / 10);
    memory_release(&want);
    scene_close(&scene);
}

static void test_others(void) {
    struct scene scene;
    scene_open(&scene, OPSD "distill.teacher=live");
    CHECK(teacher_model(&scene.run) == scene.run.lm.model);
    CHECK(scene.run.teacher.mean == NULL);
    scene_close(&scene);
    scene_open(&scene, OPSD "distill.teacher=initial");
    CHECK(teacher_model(&scene.run) != scene.run.lm.model);
    CHECK(model_weights(teacher_model(&scene.run)) != scene.run.lm.weights);
    scene_close(&scene);
    scene_open(&scene, OPSD "distill.teacher=initial lora.rank=2 lora.alpha=4");
    CHECK(teacher_model(&scene.run) != scene.run.lm.model);
    CHECK(model_weights(teacher_model(&scene.run)) == scene.run.lm.weights);
    scene_close(&scene);
}

int main(void) {
    scene_make();
    test_mean("");
    test_mean("lora.rank=2 lora.alpha=4");
    test_others();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
