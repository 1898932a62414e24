/* SPDX-License-Identifier: Apache-2.0
 *
 * A discriminator with an optimizer step of its own (adversarial.d_step = own; that its gradient and
 * the generator's add up to PyTorch's is in test_game.c): the rule leaves the head; its gradient is
 * over the whole batch, at the parameters as the rule has left them, clipped by its own norm; the step
 * is AdamW's by the head's rate in model and head; a gradient that is not finite skips it alone.
 */
#include "unit/run/game.h"

/* beta1 = 0: the first moment is the clipped gradient. */
#define OWN "adversarial.d_step=own adversarial.d_scale=2.5 optimizer.weight_decay=0.1 "

enum { ELEMENTS = 2592 }; /* of the model, in front of the head */

static void open_own(struct scene *scene, const char *settings) {
    char words[512];
    snprintf(words, sizeof words, OWN "%s", settings);
    game_open(scene, words);
}

static float *copy_of(const float *values, int64_t n) {
    float *copy = NULL;
    CHECK_OK(memory_new(&copy, n, "copy"));
    memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

static double norm_of(const float *values, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}

/* Where the head begins in the vector. */
static int64_t body_of(const struct run *run) {
    return model_trained(run->lm.model)->elements;
}

static double metric_of(struct run *run, enum metric metric) {
    struct metrics metrics;
    CHECK_OK(metrics_init(&metrics, run->step.pass_room));
    CHECK_OK(run_measure(run, &metrics));
    const double value = metrics.step[metric];
    metrics_release(&metrics);
    return value;
}

/* No gradient, no decay: its bits stay, whatever the rule is. */
static void test_rule_leaves_the_head(const char *rule, int64_t steps) {
    struct scene scene;
    char words[512];
    snprintf(words, sizeof words,
             "optimizer.learning_rate=1e-2 adversarial.head_learning_rate=0 %s", rule);
    open_own(&scene, words);
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements, body = body_of(run);
    float *before = copy_of(run->master, n);
    CHECK_OK(run_update(run));
    CHECK(n > body && memcmp(before + body, run->master + body, (size_t)(n - body) * 4) == 0);
    CHECK(memcmp(before, run->master, (size_t)body * 4) != 0);
    for (int64_t i = body; i < n; i++)
        CHECK(run->optimizer->exp_avg[i] == 0.0f && run->optimizer->exp_avg_sq[i] == 0.0f);
    CHECK_EQ(run->counters.backward_passes, run->step.pass_count + 1);
    CHECK_EQ(run->counters.optimizer_steps, steps + 1);
    CHECK_EQ(run->discriminator_optimizer->steps, 1);
    memory_release(&before);
    scene_close(&scene);
}

/* Parameters behind an update that begins at `from`, or at those of make_game.py, and the
 * discriminator's gradient in it; the caller releases both. */
static void update_from(const float *from, const char *rate, float **after, float **gradient) {
    struct scene scene;
    char words[512];
    snprintf(words, sizeof words,
             "optimizer.learning_rate=%s adversarial.head_learning_rate=0 update.mini_batches=2",
             rate);
    open_own(&scene, words);
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements;
    if (from != NULL)
        memcpy(run->master, from, (size_t)n * sizeof *from);
    CHECK_OK(language_model_refresh(&run->lm, run->master));
    CHECK_OK(run_update(run));
    *after = copy_of(run->master, n);
    *gradient = copy_of(run->discriminator_optimizer->exp_avg, n);
    scene_close(&scene);
}

/* Where the rule had led to, given as the beginning, the gradient is the same to the bit. */
static void test_at_the_parameters_that_the_rule_left(void) {
    float *moved, *gradient, *same, *there, *before, *elsewhere;
    update_from(NULL, "1e-2", &moved, &gradient);
    update_from(moved, "0", &same, &there);
    update_from(NULL, "0", &before, &elsewhere);
    CHECK(memcmp(there, gradient, ELEMENTS * sizeof *gradient) == 0);
    CHECK(memcmp(elsewhere, gradient, ELEMENTS * sizeof *gradient) != 0);
    CHECK(memcmp(same, moved, ELEMENTS * sizeof *moved) == 0);
    float *const all[] = {moved, gradient, same, there, before, elsewhere};
    for (int i = 0; i < 6; i++) {
        float *one = all[i];
        memory_release(&one);
    }
}

/* Each gradient by its own norm; an Adam whose moments are of this gradient alone moves each element by
 * the rate, against its sign, and matrices decay. */
static void test_clipped_step(void) {
    struct scene scene;
    open_own(&scene, "optimizer.learning_rate=0 adversarial.head_learning_rate=1e-3 "
                     "optimizer.max_grad_norm=0.05");
    struct run *run = &scene.run;
    const struct parameter_set *set = language_model_trained(&run->lm);
    const int64_t n = run->layout->elements;
    float *before = copy_of(run->master, n);
    int64_t moved = 0;
    CHECK_OK(run_update(run));
    const float *own = run->discriminator_optimizer->exp_avg;
    const double norm = metric_of(run, METRIC_GRAD_NORM_DISCRIMINATOR),
                 generator = metric_of(run, METRIC_GRAD_NORM_GENERATOR);
    CHECK(norm > 0.05 && generator > 0.05 && fabs(norm - generator) > 0.01);
    CHECK_NEAR(norm_of(own, n), 0.05, 1e-7);
    CHECK_NEAR(norm_of(run->optimizer->exp_avg, n), 0.05, 1e-7);
    CHECK_NEAR(metric_of(run, METRIC_GRAD_NORM), generator, 0);
    for (int64_t k = 0; k < set->count; k++)
        for (int64_t i = set->items[k].offset;
             i < set->items[k].offset + set->items[k].rows * set->items[k].columns; i++) {
            const double kept = set->items[k].matrix ? 1 - 1e-3 * 0.1 : 1;
            const double d = ((double)before[i] * kept - (double)run->master[i]) / 1e-3;
            if (fabs((double)own[i]) < 1e-5) /* against epsilon, 1e-8 */
                continue;
            CHECK_NEAR(d, own[i] > 0 ? 1 : -1, 2e-3);
            moved++;
        }
    CHECK(moved > 300); /* most rows of the embedding have no gradient */
    memory_release(&before);
    scene_close(&scene);
}

/* Two passes of the rule; what the step reports is the mean of theirs, and the discriminator's once. */
static void test_numbers(void) {
    struct scene scene;
    open_own(&scene, "optimizer.learning_rate=0 adversarial.head_learning_rate=0 "
                     "update.mini_batches=2 objective.entropy_coef=0");
    struct run *run = &scene.run;
    CHECK_OK(run_update(run));
    CHECK_EQ(run->step.pass_count, 2);
    CHECK_EQ(run->step.discriminator.begin, 0);
    CHECK_EQ(run->step.discriminator.end, GROUPS);
    const double d_loss = metric_of(run, METRIC_D_LOSS);
    CHECK(d_loss > 0.1);
    CHECK_NEAR(metric_of(run, METRIC_LOSS), metric_of(run, METRIC_POLICY_LOSS) + 2.5 * d_loss,
               1e-12);
    CHECK_NEAR(metric_of(run, METRIC_SKIPPED), 0, 0);
    scene_close(&scene);
}

/* A head without numbers: the generator's step is taken, the discriminator's is not, nor counted; too
 * many in a row end the run. */
static void test_not_finite(void) {
    struct scene scene;
    open_own(&scene, "optimizer.learning_rate=1e-2 adversarial.head_learning_rate=1e-2 "
                     "optimizer.max_skipped=2");
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements, body = body_of(run);
    run->master[n - 1] = NAN;
    CHECK_OK(language_model_refresh(&run->lm, run->master));
    float *before = copy_of(run->master, n);
    CHECK_OK(run_update(run));
    CHECK_EQ(run->step.report.skipped, 1);
    CHECK_EQ(run->counters.optimizer_steps, 1);
    CHECK_EQ(run->counters.backward_passes, 2);
    CHECK_EQ(run->discriminator_optimizer->steps, 0);
    CHECK_EQ(run->discriminator_skipped_in_a_row, 1);
    CHECK_EQ(run->skipped_in_a_row, 0);
    CHECK(memcmp(before, run->master, (size_t)body * 4) != 0);
    CHECK(memcmp(before + body, run->master + body, (size_t)(n - body) * 4) == 0);
    CHECK(isnan(run->step.discriminator.grad_norm));
    CHECK_STATUS(run_update(run), STATUS_NUMERIC, "not finite in 2 optimizer steps in a row");
    memory_release(&before);
    scene_close(&scene);
}

int main(void) {
    game_make();
    test_rule_leaves_the_head("update.iterations=2", 2);
    test_rule_leaves_the_head("update.rule=sfpo", 4);
    test_rule_leaves_the_head("update.rule=gxpo", 3);
    test_rule_leaves_the_head("update.rule=gxpo update.retention=adamw lora.rank=2 lora.alpha=4 "
                              "update.optimizer_state=transactional",
                              3);
    test_at_the_parameters_that_the_rule_left();
    test_clipped_step();
    test_numbers();
    test_not_finite();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
