/* SPDX-License-Identifier: Apache-2.0
 *
 * What rl collects: the next prompts in order, answers with rewards and advantages, π_old where the
 * update needs it before, a reference that is the model of the start, noise of its own for each step
 * and each replaced prompt.
 */
#include "unit/run/scene.h"

#include "method/rl.h"

static const struct rollout_answer *answer_of(const struct scene *scene, int64_t k) {
    return &scene->run.step.rollout.answers[k];
}

static bool same_tokens(const struct rollout_answer *a, const int32_t *tokens, int64_t n) {
    return a->n == n && memcmp(a->tokens, tokens, (size_t)n * sizeof *tokens) == 0;
}

static void test_batch(void) {
    struct scene scene;
    struct collect_report report;
    scene_open(&scene, "");
    scene_collect(&scene, 1, &report);
    const struct rollout *rollout = &scene.run.step.rollout;
    double tokens = 0;
    for (int64_t g = 0; g < 4; g++) {
        double sum = 0;
        CHECK_EQ(rollout->groups[g].row, g);
        CHECK_EQ(rollout->groups[g].reference.length, g + 1);
        for (int64_t i = 0; i < 3; i++) {
            const struct rollout_answer *answer = answer_of(&scene, 3 * g + i);
            CHECK(answer->n >= 1 && answer->n <= 20);
            CHECK_EQ(answer->finish == FINISH_LENGTH, answer->n == 20);
            CHECK_NEAR(answer->reward, (double)answer->n / 20, 1e-15);
            CHECK_NEAR(answer->reward_penalised, answer->reward, 0);
            CHECK(answer->logprob_reference == NULL && answer->ratio != NULL);
            sum += answer->advantage;
            tokens += (double)answer->n;
        }
        CHECK_NEAR(sum, 0, 1e-12);
    }
    CHECK_EQ(report.tokens, tokens);
    CHECK(!rollout->logprob_known);
    scene_collect(&scene, 2, &report);
    CHECK_EQ(rollout->groups[0].row, 4);
    scene_close(&scene);
}

/* With mini-batches π_old must be known before the first step, and is what the sampler said. */
static void test_old(const char *settings) {
    struct scene scene;
    struct collect_report report;
    scene_open(&scene, settings);
    scene_collect(&scene, 1, &report);
    CHECK(scene.run.step.rollout.logprob_known);
    for (int64_t k = 0; k < 12; k++)
        for (int64_t t = 0; t < answer_of(&scene, k)->n; t++)
            CHECK_NEAR(answer_of(&scene, k)->logprob[t], answer_of(&scene, k)->logprob_sampler[t],
                       1e-6);
    scene_close(&scene);
}

/* At the start policy and reference are one model: no divergence, also at another temperature. */
static void test_reference(void) {
    struct scene scene;
    struct collect_report report;
    scene_open(&scene, "objective.kl_coef=0.5 objective.kl_in=reward rollout.temperature=0.5");
    scene_collect(&scene, 1, &report);
    for (int64_t k = 0; k < 12; k++) {
        const struct rollout_answer *answer = answer_of(&scene, k);
        for (int64_t t = 0; t < answer->n; t++)
            CHECK_NEAR(answer->logprob_reference[t], answer->logprob[t], 1e-6);
        CHECK_NEAR(answer->reward_penalised, answer->reward, 1e-5);
    }
    scene_close(&scene);
}

/* One prompt again and again, with rewards that never differ. */
#define SAME                                                                                        \
    "rollout.prompts_per_step=1 data.train=({path=\"%s\";prompt=\"question\";answer=\"answer\";}) " \
    "reward.parts=({name=\"format\";})"

static void collect_same(const char *more, int64_t step, int32_t *tokens, int64_t *n,
                         struct collect_report *report) {
    struct scene scene;
    char settings[1024];
    static const char line[] = "{\"question\": \"q\", \"answer\": \"a\"}\n";
    folder_write(folder_file("one.jsonl"), line, sizeof line - 1);
    snprintf(settings, sizeof settings, SAME " %s", folder_file("one.jsonl"), more);
    scene_open(&scene, settings);
    scene_collect(&scene, step, report);
    *n = answer_of(&scene, 0)->n;
    memcpy(tokens, answer_of(&scene, 0)->tokens, (size_t)*n * sizeof *tokens);
    CHECK(!same_tokens(answer_of(&scene, 1), tokens, *n));
    scene_close(&scene);
}

static void test_noise(void) {
    int32_t first[20], again[20], next[20], replaced[20];
    int64_t n, n_again, n_next, n_replaced;
    struct collect_report report;
    collect_same("rollout.resample=0", 1, first, &n, &report);
    CHECK_EQ(report.flat_groups, 1);
    CHECK_EQ(report.resampled, 0);
    collect_same("rollout.resample=0", 1, again, &n_again, &report);
    CHECK(n == n_again && memcmp(first, again, (size_t)n * sizeof *first) == 0);
    collect_same("rollout.resample=0", 2, next, &n_next, &report);
    CHECK(n != n_next || memcmp(first, next, (size_t)n * sizeof *first) != 0);
    collect_same("rollout.resample=1", 1, replaced, &n_replaced, &report);
    CHECK_EQ(report.resampled, 1);
    CHECK_EQ(report.flat_groups, 1);
    CHECK(n != n_replaced || memcmp(first, replaced, (size_t)n * sizeof *first) != 0);
}

static void refuse(const char *more, const char *words) {
    struct settings settings;
    CHECK_OK(scene_settings(&settings, more));
    CHECK_STATUS(method_rl.check(&settings), STATUS_INPUT, words);
    settings_release(&settings);
}

int main(void) {
    scene_make();
    test_batch();
    test_old("update.mini_batches=2");
    test_old("objective.kl_coef=0.1 objective.kl_in=reward");
    test_reference();
    test_noise();
    refuse("rollout.temperature=0", "rollout.temperature = 0");
    refuse("reward.parts=({name=\"fromat\";})", "fromat");
    folder_remove();
    return CHECK_END();
}
