/* SPDX-License-Identifier: Apache-2.0
 *
 * From settings to a run: each setting reaches the part that it is for; a run that cannot be opened
 * leaves nothing behind.
 */
#include "unit/run/scene.h"

#include "base/memory.h"

static void test_loss(void) {
    struct scene scene;
    scene_open(&scene, "objective.gate=softsign objective.tau_pos=3 objective.tau_neg=4 "
                       "objective.clip_low=0.125 objective.clip_high=0.25 objective.clip_dual=5 "
                       "objective.level=sequence objective.aggregation=constant "
                       "objective.kl_coef=0.5 objective.kl_estimator=k2 "
                       "objective.entropy_coef=0.75");
    const struct loss_settings *loss = &scene.run.loss;
    CHECK_TEXT(loss->gate->name, "softsign");
    CHECK_NEAR(loss->gate_settings.tau_pos, 3, 0);
    CHECK_NEAR(loss->gate_settings.tau_neg, 4, 0);
    CHECK_NEAR(loss->gate_settings.clip_low, 0.125, 0);
    CHECK_NEAR(loss->gate_settings.clip_high, 0.25, 0);
    CHECK_NEAR(loss->gate_settings.clip_dual, 5, 0);
    CHECK_EQ(loss->level, LEVEL_SEQUENCE);
    CHECK_EQ(loss->aggregation, AGGREGATE_CONSTANT);
    CHECK_NEAR(loss->kl_coef, 0.5, 0);
    CHECK_EQ(loss->kl_estimator, KL_K2);
    CHECK_NEAR(loss->entropy_coef, 0.75, 0);
    CHECK_EQ(loss->max_new_tokens, 20);
    CHECK(!loss->likelihood && scene.run.reference != NULL);
    scene_close(&scene);
    scene_open(&scene, "objective.kl_coef=0.5 objective.kl_in=reward");
    CHECK_NEAR(scene.run.loss.kl_coef, 0, 0);
    CHECK(scene.run.reference != NULL);
    scene_close(&scene);
    scene_open(&scene, "run.method=sft");
    CHECK(scene.run.loss.likelihood && scene.run.reference == NULL);
    CHECK_EQ(scene.run.lm.model != NULL, 1);
    scene_close(&scene);
}

/* Matrices decay; biases and norms do not. */
static void test_layout(void) {
    struct scene scene;
    int64_t matrices = 0;
    scene_open(&scene, "optimizer.beta1=0.5 optimizer.beta2=0.75 optimizer.epsilon=0.125 "
                       "optimizer.weight_decay=0.25");
    const struct run *run = &scene.run;
    const struct parameter_set *trained = model_trained(run->lm.model);
    CHECK_EQ(run->layout->count, trained->count);
    for (int64_t i = 0; i < trained->count; i++) {
        const char *name = trained->items[i].name;
        const bool vector = strstr(name, "norm") != NULL || strstr(name, ".bias") != NULL;
        CHECK_EQ(run->layout->parts[i].decay, !vector);
        CHECK_EQ(run->layout->parts[i].offset, trained->items[i].offset);
        matrices += !vector;
    }
    CHECK(matrices > 0 && matrices < trained->count);
    CHECK_NEAR(run->optimizer->settings.beta1, 0.5, 0);
    CHECK_NEAR(run->optimizer->settings.beta2, 0.75, 0);
    CHECK_NEAR(run->optimizer->settings.epsilon, 0.125, 0);
    CHECK_NEAR(run->optimizer->settings.weight_decay, 0.25, 0);
    CHECK_EQ(run->gradient->reduction, GRADIENT_EXACT);
    scene_close(&scene);
}

static void test_pieces(void) {
    struct scene scene;
    scene_open(&scene, "update.iterations=3 update.mini_batches=2 parallel.groups_per_tile=1 "
                       "parallel.reduction=fast parallel.threads=2 run.device=check");
    CHECK_EQ(scene.run.step.pass_room, 6);
    CHECK_EQ(scene.run.tiles.count, 4);
    CHECK_EQ(scene.run.tiles.mini_batches, 2);
    CHECK_EQ(scene.run.gradient->reduction, GRADIENT_FAST);
    CHECK_EQ(scene.run.lm.backend.threads, 2);
    CHECK_TEXT(scene.run.lm.backend.ops->name, "check");
    CHECK_EQ(stream_kept(scene.run.stream, 0), SCENE_ROWS);
    scene_close(&scene);
    scene_open(&scene, "prompt.max_tokens=2");
    CHECK_EQ(stream_kept(scene.run.stream, 0), 10); /* "10=" and "11=" are longer */
    CHECK_EQ(stream_left_out(scene.run.stream, 0), 2);
    scene_close(&scene);
}

static void test_form(void) {
    struct scene scene;
    scene_open(&scene, "prompt.chat=chatml prompt.system=\"Add.\" prompt.template=\"Q{prompt}\" "
                       "prompt.thinking=false prompt.date=\"1.May\"");
    const struct prompt_form *form = &scene.run.lm.form;
    CHECK_TEXT(form->system, "Add.");
    CHECK_TEXT(form->template_text, "Q{prompt}");
    CHECK_TEXT(form->date, "1.May");
    CHECK(!form->thinking);
    CHECK_EQ(form->style->form, CHAT_CHATML);
    scene_close(&scene);
}

static void refuse(const char *more, const char *words) {
    struct scene scene;
    const int64_t before = memory_totals().bytes;
    comm_self_open(&scene.comm);
    CHECK_OK(scene_settings(&scene.settings, more));
    CHECK_STATUS(run_open(&scene.run, &scene.settings, &scene.comm), STATUS_INPUT, words);
    settings_release(&scene.settings);
    CHECK_EQ(memory_totals().bytes, before);
}

int main(void) {
    scene_make();
    test_loss();
    test_layout();
    test_pieces();
    test_form();
    refuse("rollout.max_new_tokens=64", "64 positions");
    refuse("rollout.temperature=0", "rollout.temperature = 0");
    refuse("prompt.max_tokens=1", "all 12 prompts are too long");
    refuse("model.path=nowhere", "nowhere");
    folder_remove();
    return CHECK_END();
}
