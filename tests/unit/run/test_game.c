/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a step of the adversarial game, of generator and discriminator together, by
 * every tensor of a small model or its adapter and by the head's equals PyTorch's in double, and so
 * do the metrics (tests/data/adversarial/make_game.py); however its sequences are cut into passes, and
 * where the discriminator reasons as well.
 * A head alone, on a model that stays as it is, learns to tell what that writes from texts of two
 * letters.
 */
#include "unit/run/game.h"

static const struct {
    const char *name, *settings;
    int metrics;
} cases[] = {
    {"full/last", "adversarial.pooling=last adversarial.d_scale=2.5", 5},
    {"full/mean/value", "adversarial.pooling=mean adversarial.reward=value adversarial.d_scale=0.5",
     8},
    {"lora/mean", "lora.rank=2 lora.alpha=4 adversarial.pooling=mean adversarial.d_scale=2.5", 5},
    {"lora/last/value",
     "lora.rank=2 lora.alpha=4 adversarial.reward=value adversarial.d_scale=7 "
     "adversarial.d_scale_in=reward",
     8},
    {"full/reason", REASONS "adversarial.d_scale=2.5", 10},
    {"lora/reason",
     REASONS "lora.rank=2 lora.alpha=4 adversarial.reward=value "
             "adversarial.d_scale=0.5",
     10},
};

/* --- what is stored --- */

/* Where the discriminator makes a step of its own, the sum of both gradients is that of the whole loss. */
static void check_gradient(const struct run *run, const char *name, const struct parameter *p,
                           double want_norm, double want_product) {
    const struct optimizer *own = run->discriminator_optimizer;
    const int64_t n = p->rows * p->columns;
    double norm, product;
    float *sum = NULL;
    CHECK_OK(memory_new(&sum, n, "gradient"));
    for (int64_t i = 0; i < n; i++)
        sum[i] = run->optimizer->exp_avg[p->offset + i] +
                 (own != NULL ? own->exp_avg[p->offset + i] : 0.0f);
    tiny_project(p, sum, &norm, &product);
    memory_release(&sum);
    const double tolerance = 2e-5 * want_norm + 1e-6;
    if (!(fabs(norm - want_norm) <= tolerance && fabs(product - want_product) <= tolerance))
        CHECK_FAILED("%s: gradient of %s: norm %.9g, product %.9g, expected %.9g, %.9g", name,
                     p->name, norm, product, want_norm, want_product);
}

/* A line is a parameter's or a metric's; all parameters must be there. */
static void check_step(struct run *run, const char *name, int expected) {
    const struct parameter_set *set = language_model_trained(&run->lm);
    struct metrics metrics;
    char row[512], which[64], key[128];
    double first, second;
    int64_t parameters = 0, others = 0;
    FILE *file = fopen("tests/data/adversarial/game.tsv", "r");
    CHECK(file != NULL);
    CHECK_OK(metrics_init(&metrics, run->step.pass_count));
    CHECK_OK(run_measure(run, &metrics));
    while (file != NULL && fgets(row, sizeof row, file) != NULL) {
        CHECK_EQ(sscanf(row, "%63s %127s %lf %lf", which, key, &first, &second), 4);
        if (strcmp(which, name) != 0)
            continue;
        const enum metric metric = metric_find(key);
        if (metric < METRIC_COUNT) {
            if (!(fabs(metrics.step[metric] - first) <= 2e-6))
                CHECK_FAILED("%s: %s is %.9g, expected %.9g", name, key, metrics.step[metric],
                             first);
            others++;
        }
        for (int64_t i = 0; metric == METRIC_COUNT && i < set->count; i++)
            if (strcmp(set->items[i].name, key) == 0) {
                check_gradient(run, name, &set->items[i], first, second);
                parameters++;
            }
    }
    CHECK_EQ(parameters, set->count);
    CHECK_EQ(others, expected);
    metrics_release(&metrics);
    if (file != NULL)
        fclose(file);
}

static void test_case(const char *name, const char *settings, int metrics, const char *more) {
    struct scene scene;
    char all[512];
    snprintf(all, sizeof all, "%s %s", settings, more);
    game_open(&scene, all);
    CHECK_OK(run_update(&scene.run));
    check_step(&scene.run, name, metrics);
    scene_close(&scene);
}

/* --- a head alone --- */

#define ALONE                                                                                      \
    "run.method=adversarial run.steps=40 data.train=() data.corpus=({path=\"%s\";}) "              \
    "prompt.template={text} adversarial.window_tokens=16 adversarial.completion_tokens=8 "         \
    "adversarial.pooling=mean adversarial.length_rule=none reward.parts=() "                       \
    "rollout.prompts_per_step=8 rollout.group_size=1 optimizer.learning_rate=0 "                   \
    "optimizer.weight_decay=0 adversarial.head_learning_rate=0.03"

static void take_step(struct scene *scene, double *d_loss) {
    struct run *run = &scene->run;
    struct metrics metrics;
    struct collect_report report = {.tokens = 0};
    struct method_context context = scene_context(scene);
    context.corpus = run->corpus;
    context.discriminator = run->lm.discriminator;
    context.judged = &run->step.judged;
    context.baseline = run->baseline;
    CHECK_OK(run_clear_batch(run));
    CHECK_OK(run->method->collect(&context, run->counters.step + 1, &run->step.rollout, &report));
    CHECK_OK(run_update(run));
    run->counters.step++;
    CHECK_OK(metrics_init(&metrics, run->step.pass_count));
    CHECK_OK(run_measure(run, &metrics));
    *d_loss = metrics.step[METRIC_D_LOSS];
    metrics_release(&metrics);
}

/* What a random model writes is any bytes; guessing costs log 2 = 0.69. */
static void test_alone(void) {
    struct scene scene;
    char words[1024];
    float *before;
    double d_loss[40];
    snprintf(words, sizeof words, ALONE, folder_file("letters.jsonl"));
    scene_open(&scene, words);
    struct run *run = &scene.run;
    const int64_t n = model_trained(run->lm.model)->elements;
    CHECK_OK(memory_new(&before, n, "parameters"));
    memcpy(before, run->master, (size_t)n * sizeof *before);
    for (int step = 0; step < 40; step++)
        take_step(&scene, &d_loss[step]);
    CHECK_NEAR(d_loss[0], log(2), 0.1);
    printf("cross-entropy of a head alone: %.3f, then %.3f\n", d_loss[0], d_loss[39]);
    for (int step = 30; step < 40; step++)
        CHECK(d_loss[step] < 0.5);
    CHECK(memcmp(before, run->master, (size_t)n * sizeof *before) == 0);
    memory_release(&before);
    scene_close(&scene);
}

int main(void) {
    static const char letters[] = "{\"text\": \"abbabaababbaabbabaababbaabbabaababba\"}\n"
                                  "{\"text\": \"bbaababaabbabbababaabbaababbabaabbab\"}\n";
    game_make();
    folder_write(folder_file("letters.jsonl"), letters, sizeof letters - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_case(cases[i].name, cases[i].settings, cases[i].metrics, "");
        test_case(cases[i].name, cases[i].settings, cases[i].metrics,
                  "parallel.tokens_per_pass=20 parallel.groups_per_tile=2");
        test_case(cases[i].name, cases[i].settings, cases[i].metrics, "adversarial.d_step=own");
    }
    test_alone();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
