/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a step of the adversarial game, of generator and discriminator together, by
 * every tensor of a small model or its adapter and by the head's equals PyTorch's in double, and so
 * do the metrics (tests/data/adversarial/make_game.py); however its sequences are cut into passes, and
 * where the discriminator reasons as well.
 * A head alone, on a model that stays as it is, learns to tell what that writes from texts of two
 * letters.
 */
#include "unit/run/scene.h"

#include "base/memory.h"
#include "unit/model/tiny.h"

/* With beta1 = 0 the first moment is the gradient; nothing moves. */
#define GAME                                                                                       \
    "run.method=adversarial data.train=() data.corpus=({path=\"%s\";}) prompt.template={text} "    \
    "adversarial.window_tokens=8 adversarial.completion_tokens=3 reward.parts=() "                 \
    "rollout.prompts_per_step=4 rollout.group_size=3 rollout.temperature=0.7 objective.gate=erf "  \
    "objective.tau_pos=10 objective.tau_neg=12 objective.entropy_coef=0.01 "                       \
    "optimizer.learning_rate=0 optimizer.beta1=0 optimizer.max_grad_norm=0 %s"
#define REASONS                                                                                    \
    "adversarial.judge_template={prefix}|{completion}?<think> adversarial.reason_tokens=4 "
enum { GROUPS = 4, SIZE = 3, REAL = 5, LONGEST = 7, BYTES = 256, BEHIND = 3, CLOSE = 2 };

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

/* --- models and batches of make_game.py --- */

static void set_parameters(struct run *run) {
    const struct parameter_set *set = language_model_trained(&run->lm),
                               *weights = weights_parameters(run->lm.weights);
    float *values;
    CHECK_OK(memory_new(&values, weights->elements, "weights"));
    tiny_fill(weights->items, weights->count, values);
    CHECK_OK(weights_refresh(run->lm.weights, values));
    memory_release(&values);
    tiny_fill(set->items, set->count, run->master);
    CHECK_OK(language_model_refresh(&run->lm, run->master));
}

static void set_tokens(const char *what, int i, int64_t n, int32_t **out) {
    char name[32];
    snprintf(name, sizeof name, "%s %d", what, i);
    CHECK_OK(memory_new(out, n, "tokens"));
    tiny_tokens(name, BYTES, *out, n);
}

static void set_group(struct run *run, int g) {
    struct rollout_group *prompt = &run->step.rollout.groups[g],
                         *prefix = &run->step.judged.texts.groups[g];
    struct rollout_answer *real = rollout_group_answers(&run->step.judged.texts, g);
    prompt->prompt_length = 3 + g;
    prefix->prompt_length = 4 + g;
    real->n = REAL;
    set_tokens("prompt", g, prompt->prompt_length, &prompt->prompt);
    set_tokens("prefix", g, prefix->prompt_length, &prefix->prompt);
    set_tokens("real", g, REAL, &real->tokens);
}

/* A written completion is what stands behind the first k mod 2 tokens of answer k. */
static void set_answer(struct run *run, int k) {
    static const double advantages[SIZE] = {-1.25, 0, 1.5};
    struct rollout_answer *answer = &run->step.rollout.answers[k];
    char name[32];
    snprintf(name, sizeof name, "answer %d", k);
    CHECK_OK(rollout_answer_reserve(answer, 1 + 5 * k % LONGEST,
                                    (struct rollout_columns){.sampler = true, .gate = true}));
    tiny_tokens(name, BYTES, answer->tokens, answer->n);
    answer->advantage = advantages[k % SIZE];
    answer->thinking = k % 2;
    answer->finish = FINISH_LENGTH;
}

/* Behind the completion of sequence k a question, 1 + k mod 4 drawn tokens, and behind every other one what
 * closes them; of the verdicts some tell right. */
static void set_reason(struct run *run, int k) {
    struct judged *judged = &run->step.judged;
    struct rollout_answer *text = &judged->texts.answers[k];
    const int64_t told = text->n, n = 1 + k % 4, length = told + BEHIND + n + (k % 2 ? CLOSE : 0);
    const int32_t begin = (int32_t)told + BEHIND, end = begin + (int32_t)n;
    int32_t sequence[REAL + LONGEST + BEHIND + 4 + CLOSE];
    char name[32];
    snprintf(name, sizeof name, "reason %d", k);
    if (told > 0)
        memcpy(sequence, text->tokens, (size_t)told * sizeof *sequence);
    tiny_tokens("behind", BYTES, sequence + told, BEHIND);
    tiny_tokens(name, BYTES, sequence + begin, n);
    tiny_tokens("close", BYTES, sequence + end, CLOSE);
    rollout_answer_release(text);
    CHECK_OK(rollout_answer_reserve(text, n, (struct rollout_columns){.sampler = true}));
    CHECK_OK(rollout_answer_set_turns(text, sequence, length, &begin, &end, 1));
    judged->verdicts[k] = (struct verdict){.logits = {0.125, 0.125 + (k % 3 == 0 ? 0.5 : -0.5)},
                                           .value = 0.25 + 0.125 * (k % 5)};
}

static void set_batch(struct run *run) {
    CHECK_OK(run_clear_batch(run));
    for (int g = 0; g < GROUPS; g++)
        set_group(run, g);
    for (int k = 0; k < GROUPS * SIZE; k++)
        set_answer(run, k);
    CHECK_OK(judged_take_answers(&run->step.judged, &run->step.rollout));
    for (int k = 0; run->step.judged.reasons.group_count > 0 && k < GROUPS * (1 + SIZE); k++)
        set_reason(run, k);
}

/* --- what is stored --- */

static void check_gradient(const struct run *run, const char *name, const struct parameter *p,
                           double want_norm, double want_product) {
    double norm, product;
    tiny_project(p, run->optimizer->exp_avg + p->offset, &norm, &product);
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
    char words[2048], all[512];
    snprintf(all, sizeof all, "%s %s", settings, more);
    snprintf(words, sizeof words, GAME, folder_file("texts.jsonl"), all);
    scene_open(&scene, words);
    set_parameters(&scene.run);
    set_batch(&scene.run);
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
    static const char texts[] = "{\"text\": \"a text that is long enough for windows\"}\n";
    scene_make_of("8", "12", "1");
    static const char letters[] = "{\"text\": \"abbabaababbaabbabaababbaabbabaababba\"}\n"
                                  "{\"text\": \"bbaababaabbabbababaabbaababbabaabbab\"}\n";
    folder_write(folder_file("texts.jsonl"), texts, sizeof texts - 1);
    folder_write(folder_file("letters.jsonl"), letters, sizeof letters - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_case(cases[i].name, cases[i].settings, cases[i].metrics, "");
        test_case(cases[i].name, cases[i].settings, cases[i].metrics,
                  "parallel.tokens_per_pass=20 parallel.groups_per_tile=2");
    }
    test_alone();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
