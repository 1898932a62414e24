/* SPDX-License-Identifier: Apache-2.0
 *
 * A step filled by hand, and every metric that follows from it.
 */
#include "unit/run/scene.h"

#include "base/memory.h"

enum { GROUPS = 4, SIZE = 3, TOKENS = GROUPS * SIZE * (GROUPS * SIZE + 1) / 2 };

/* Answer k has k + 1 tokens, reward k, advantage k − 6; the odd ones are cut. */
static void fill_rollout(struct rollout *rollout) {
    CHECK_OK(rollout_init(rollout, GROUPS, SIZE));
    for (int k = 0; k < GROUPS * SIZE; k++) {
        struct rollout_answer *answer = &rollout->answers[k];
        CHECK_OK(rollout_answer_reserve(answer, k + 1, (struct rollout_columns){.sampler = true}));
        answer->finish = k % 2 == 1 ? FINISH_LENGTH : k % 4 == 0 ? FINISH_STOP : FINISH_STOP_TEXT;
        answer->reward = answer->parts[0] = k;
        answer->reward_penalised = k - 0.5;
        answer->advantage = k - 6;
        answer->logprob_sampler[k] = k == 7 ? 0.25f : 0;
    }
}

/* Pass p, group g: sums that are told apart by both. */
static void fill_passes(struct step *step) {
    step->pass_count = step->pass_room;
    for (int p = 0; p < step->pass_count; p++) {
        struct backward_pass *pass = &step->passes[p];
        pass->begin = 0;
        pass->end = GROUPS;
        pass->grad_norm = 10 + p;
        for (int g = 0; g < GROUPS; g++)
            pass->groups[g] = (struct loss_sums){.loss = p + g,
                                                 .policy_loss = 2 * p + g,
                                                 .answers = SIZE,
                                                 .tokens = 10 * (g + 1),
                                                 .entropy = 5 * (g + 1),
                                                 .kl = g + 1,
                                                 .gate = 4 * (g + 1) + p,
                                                 .gate_positive = 3,
                                                 .tokens_positive = 6,
                                                 .clip_low = 1,
                                                 .clip_high = 2,
                                                 .clipped = 1 + g,
                                                 .ratio = 20 * (g + 1),
                                                 .ratio_max = 1 + g + p};
    }
}

static void check_step(const double *step) {
    CHECK_NEAR(step[METRIC_REWARD], 5.5, 1e-12);
    CHECK_NEAR(step[METRIC_REWARD_STD], 1, 1e-12);
    CHECK_NEAR(step[METRIC_REWARD_PENALISED], 5, 1e-12);
    CHECK_NEAR(step[METRIC_ZERO_STD], 0.25, 1e-12);
    CHECK_NEAR(step[METRIC_RESAMPLED], 2, 0);
    CHECK_NEAR(step[METRIC_LENGTH_MEAN], 5.5, 1e-12);
    CHECK_NEAR(step[METRIC_LENGTH_STD], sqrt(13), 1e-12);
    CHECK(isnan(step[METRIC_FORMAT_MEAN]) && isnan(step[METRIC_ANSWER_STD]));
    CHECK_NEAR(step[METRIC_ADVANTAGE_MEAN], -0.5, 1e-12);
    CHECK_NEAR(step[METRIC_ADVANTAGE_STD], sqrt(13), 1e-12);
    CHECK_NEAR(step[METRIC_ADVANTAGE_MAX], 6, 0);
    CHECK_NEAR(step[METRIC_MEAN_LENGTH], 6.5, 1e-12);
    CHECK_NEAR(step[METRIC_MIN_LENGTH], 1, 0);
    CHECK_NEAR(step[METRIC_MAX_LENGTH], 12, 0);
    CHECK_NEAR(step[METRIC_CLIPPED_RATIO], 0.5, 1e-12);
    CHECK_NEAR(step[METRIC_MEAN_TERMINATED], 6, 1e-12); /* of 1, 3, … 11 */
    CHECK_NEAR(step[METRIC_MISMATCH_MAX], 0.25, 0);
    CHECK_NEAR(step[METRIC_MISMATCH_MEAN], 0.25 / TOKENS, 1e-12);
    CHECK_NEAR(step[METRIC_LEARNING_RATE], 0.125, 0);
    CHECK_NEAR(step[METRIC_BACKWARD_PASSES], 17, 0);
    CHECK_NEAR(step[METRIC_OPTIMIZER_STEPS], 16, 0);
    CHECK_NEAR(step[METRIC_SKIPPED], 1, 0);
    CHECK_NEAR(step[METRIC_RESCALED], 3, 0);
    CHECK_NEAR(step[METRIC_POSITIONS], 1000, 0);
    CHECK_NEAR(step[METRIC_ROLLOUT_POSITIONS], 500, 0);
}

static void check_passes(const struct metrics *metrics) {
    for (int p = 0; p < 2; p++) {
        CHECK_NEAR(metrics_pass(metrics, METRIC_LOSS)[p], 4 * p + 6, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_POLICY_LOSS)[p], 8 * p + 6, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_GRAD_NORM)[p], 10 + p, 0);
        CHECK_NEAR(metrics_pass(metrics, METRIC_ENTROPY)[p], 0.5, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_KL)[p], 0.1, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_RATIO_MEAN)[p], 2, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_RATIO_MAX)[p], 4 + p, 0);
        CHECK_NEAR(metrics_pass(metrics, METRIC_CLIP_LOW)[p], 0.04, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_CLIP_HIGH)[p], 0.08, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_CLIP_REGION)[p], 0.1, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_GATE_MEAN)[p], (40 + 4 * p) / 100.0, 1e-12);
        CHECK_NEAR(metrics_pass(metrics, METRIC_GATE_POSITIVE)[p], 0.5, 1e-12);
        CHECK(isnan(metrics_pass(metrics, METRIC_GATE_NEGATIVE)[p]));
        /* Mean over groups, not over tokens: (4 (g + 1) + p) / (10 (g + 1)). */
        CHECK_NEAR(metrics_pass(metrics, METRIC_EUR)[p],
                   0.4 + p * (1 + 1 / 2.0 + 1 / 3.0 + 1 / 4.0) / 40, 1e-12);
    }
    CHECK_NEAR(metrics->step[METRIC_LOSS], 8, 1e-12);
    CHECK_NEAR(metrics->step[METRIC_GRAD_NORM], 10.5, 1e-12);
    CHECK_NEAR(metrics->step[METRIC_RATIO_MAX], 5, 0);
}

static void test_step(void) {
    struct scene scene;
    struct metrics metrics;
    scene_open(&scene, "update.iterations=2 objective.kl_coef=0.1 objective.kl_in=reward");
    struct run *run = &scene.run;
    struct step *step = &run->step;
    fill_rollout(&step->rollout);
    fill_passes(step);
    step->clock.collect =
        (struct collect_report){.positions = 500, .resampled = 2, .flat_groups = 1};
    step->learning_rate = 0.125;
    step->report.skipped = 1;
    step->rescaled = 3;
    step->train_positions = 1000;
    run->counters = (struct run_counters){
        .step = 1, .backward_passes = 17, .optimizer_steps = 16, .tokens = 100, .prompts = 6};
    CHECK_OK(metrics_init(&metrics, step->pass_count));
    CHECK_OK(run_measure(run, &metrics));
    check_step(metrics.step);
    check_passes(&metrics);
    CHECK_NEAR(metrics.step[METRIC_NUM_TOKENS], 100 + TOKENS, 0);
    CHECK_NEAR(metrics.step[METRIC_PROMPTS_SEEN], 6 + GROUPS + 2, 0);
    CHECK_NEAR(metrics.step[METRIC_EPOCH], 1, 1e-12); /* 12 prompts of 12 */
    CHECK_OK(run_measure(run, &metrics));
    CHECK_NEAR(metrics.step[METRIC_NUM_TOKENS], 100 + 2 * TOKENS, 0);
    metrics_release(&metrics);
    scene_close(&scene);
}

/* Each part of the reward has a mean and a deviation of its own, whatever its place. */
static void test_parts(void) {
    static const struct {
        const char *name;
        enum metric mean, deviation;
    } parts[] = {{"format", METRIC_FORMAT_MEAN, METRIC_FORMAT_STD},
                 {"answer", METRIC_ANSWER_MEAN, METRIC_ANSWER_STD},
                 {"math", METRIC_MATH_MEAN, METRIC_MATH_STD},
                 {"length", METRIC_LENGTH_MEAN, METRIC_LENGTH_STD},
                 {"overlong", METRIC_OVERLONG_MEAN, METRIC_OVERLONG_STD}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct scene scene;
        struct metrics metrics;
        char words[64];
        snprintf(words, sizeof words, "reward.parts=({name=\"%s\";})", parts[i].name);
        scene_open(&scene, words);
        struct step *step = &scene.run.step;
        fill_rollout(&step->rollout);
        CHECK_OK(metrics_init(&metrics, step->pass_room));
        CHECK_OK(run_measure(&scene.run, &metrics));
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
            CHECK_EQ(isnan(metrics.step[parts[k].mean]), k != i);
            CHECK_EQ(isnan(metrics.step[parts[k].deviation]), k != i);
        }
        CHECK_NEAR(metrics.step[parts[i].mean], 5.5, 1e-12);
        CHECK_NEAR(metrics.step[parts[i].deviation], sqrt(13), 1e-12);
        metrics_release(&metrics);
        scene_close(&scene);
    }
}

int main(void) {
    scene_make();
    test_step();
    test_parts();
    folder_remove();
    return CHECK_END();
}
