/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a whole batch is the derivative of its loss: with beta1 = 0 the first moments are
 * the gradient, and along a direction the loss changes as it says. What a pass reports, and that the
 * first pass alone sets π_old.
 */
#include "unit/run/scene.h"

#include "base/memory.h"
#include "base/random.h"

/* The batch's loss at the present parameters, without a step; lr is 0. */
static double loss_of(struct scene *scene) {
    double loss = 0;
    CHECK_OK(run_update(&scene->run));
    for (int64_t g = 0; g < scene->run.step.passes[0].end - scene->run.step.passes[0].begin; g++)
        loss += scene->run.step.passes[0].groups[g].loss;
    return loss;
}

/* master = start + distance × direction */
static void move(struct run *run, const float *start, const float *direction, float distance) {
    for (int64_t i = 0; i < run->layout->elements; i++)
        run->master[i] = start[i] + distance * direction[i];
    CHECK_OK(language_model_refresh(&run->lm, run->master));
}

static void test_slope(const char *settings) {
    struct scene scene;
    struct collect_report report;
    char words[1024];
    float *start, *direction;
    double slope = 0;
    snprintf(words, sizeof words,
             "optimizer.learning_rate=0 optimizer.beta1=0 "
             "optimizer.max_grad_norm=0 %s",
             settings);
    scene_open(&scene, words);
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements;
    CHECK_OK(memory_new(&start, n, "parameters"));
    CHECK_OK(memory_new(&direction, n, "parameters"));
    scene_collect(&scene, 1, &report);
    memcpy(start, run->master, (size_t)n * sizeof *start);
    for (int64_t i = 0; i < n; i++)
        direction[i] = (float)random_normal(3, RANDOM_TEST, (uint32_t)i, 0, 0, 0);
    /* Away from π_old, so that the ratios are not 1: the first pass here keeps it. */
    (void)loss_of(&scene);
    run->step.rollout.logprob_known = true;
    move(run, start, direction, 0.01f);
    memcpy(start, run->master, (size_t)n * sizeof *start);
    const double loss = loss_of(&scene);
    for (int64_t i = 0; i < n; i++)
        slope += (double)run->optimizer->exp_avg[i] * (double)direction[i];
    const float h = 3e-4f;
    move(run, start, direction, h);
    const double above = loss_of(&scene);
    move(run, start, direction, -h);
    const double below = loss_of(&scene);
    CHECK_NEAR((above - below) / (2 * (double)h), slope, 0.01 * fabs(slope) + 2e-4);
    CHECK(fabs(slope) > 1e-3 && isfinite(loss));
    memory_release(&start);
    memory_release(&direction);
    scene_close(&scene);
}

/* Both losses of the game: the generator's at fixed rewards, and the discriminator's. */
static void test_game(const char *settings) {
    char words[512];
    snprintf(words, sizeof words,
             "run.method=adversarial data.train=() data.corpus=({path=\"%s\";text=\"answer\";}) "
             "adversarial.window_tokens=7 adversarial.completion_tokens=3 "
             "adversarial.length_rule=none adversarial.d_scale=2 prompt.template={prompt}: %s",
             folder_file("data.jsonl"), settings);
    test_slope(words);
}

static void test_passes(void) {
    struct scene scene;
    struct collect_report report;
    scene_open(&scene,
               "update.iterations=2 optimizer.learning_rate=1e-2 rollout.prompts_per_step=5 "
               "update.mini_batches=2 objective.gate=erf objective.entropy_coef=0.01");
    scene_collect(&scene, 1, &report);
    float *old;
    struct rollout_answer *answer = &scene.run.step.rollout.answers[12];
    CHECK_OK(memory_new(&old, answer->n, "numbers"));
    memcpy(old, answer->logprob, (size_t)answer->n * sizeof *old);
    CHECK_OK(run_update(&scene.run));
    const struct backward_pass *passes = scene.run.step.passes;
    for (int p = 0; p < 4; p++) {
        CHECK_EQ(passes[p].begin, p % 2 == 0 ? 0 : 3);
        CHECK_EQ(passes[p].end, p % 2 == 0 ? 3 : 5);
        CHECK(passes[p].grad_norm > 0);
        CHECK_EQ(passes[p].groups[0].answers, 3);
    }
    for (int64_t t = 0; t < answer->n; t++)
        CHECK_NEAR(answer->logprob[t], old[t], 0);
    CHECK(answer->ratio[0] != 1.0f);
    CHECK_NEAR(passes[0].groups[0].ratio_max, 1, 1e-6);
    CHECK_EQ(scene.run.counters.backward_passes, 4);
    CHECK_EQ(scene.run.counters.optimizer_steps, 4);
    CHECK_EQ(scene.run.optimizer->steps, 4);
    memory_release(&old);
    scene_close(&scene);
}

/* The learning rate is that of the step, the same in each of its passes. */
static void test_rate(void) {
    struct scene scene;
    struct collect_report report;
    scene_open(&scene,
               "optimizer.schedule=linear optimizer.learning_rate=1e-3 update.iterations=3");
    for (int64_t step = 1; step <= 3; step++) {
        scene_collect(&scene, step, &report);
        CHECK_OK(run_update(&scene.run));
        CHECK_NEAR(scene.run.step.learning_rate, 1e-3 * (1 - (double)(step - 1) / 4), 1e-15);
        scene.run.counters.step++;
    }
    scene_close(&scene);
}

int main(void) {
    scene_make();
    test_slope(
        "objective.gate=sigmoid objective.tau_pos=1 objective.tau_neg=2 objective.kl_coef=0.5");
    test_slope("objective.gate=none objective.level=sequence objective.entropy_coef=0.1 "
               "rollout.temperature=0.7 objective.aggregation=token_mean");
    test_slope("objective.gate=none objective.aggregation=constant parallel.tokens_per_pass=30 "
               "objective.kl_coef=0.2 objective.kl_estimator=k2 model.recompute=true "
               "parallel.reduction=fast");
    test_slope("run.method=sft rollout.temperature=0.3");
    test_game("objective.kl_coef=0.2");
    test_game("adversarial.pooling=mean adversarial.input=prompt parallel.tokens_per_pass=30");
    test_game("adversarial.reward=value lora.rank=2 lora.alpha=4 objective.kl_coef=0.2");
    test_passes();
    test_rate();
    folder_remove();
    return CHECK_END();
}
