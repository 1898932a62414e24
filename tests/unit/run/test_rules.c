/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole steps of the update rules on a small model equal those of PyTorch, for full training and an
 * adapter, whose numbers in double precision stand in tests/data/update (make_steps.py says how they
 * were made): the gradient of each pass at the point that PyTorch took it at, to the rounding of
 * fp32; the step as a whole, in which a ratio of gradients magnifies last bits, in the norm of its
 * displacement; what the step reports.
 */
#include "unit/run/scene.h"

#include "base/memory.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "run/rule.h"
#include "unit/model/tiny.h"

#define DATA "tests/data/update"
#define BATCH                                                                                      \
    "rollout.prompts_per_step=4 rollout.group_size=3 rollout.temperature=0.7 objective.gate=erf "  \
    "objective.tau_pos=10 objective.tau_neg=12 objective.entropy_coef=0.01 "
#define ADAPTER "lora.rank=2 lora.alpha=4 "
enum { GROUPS = 4, SIZE = 3, BYTES = 256, ELEMENTS_MAX = 4096 };

static struct safetensors *stored;

/* --- the model and the batch of make_steps.py --- */

/* `zero_b`: an adapter as it is at its start. */
static void fill_trained(struct run *run, float *values, bool zero_b) {
    const struct parameter_set *set = model_trained(run->lm.model);
    tiny_fill(set->items, set->count, values);
    for (int64_t i = 0; zero_b && i < set->count; i++)
        if (strstr(set->items[i].name, "lora_B") != NULL)
            memset(values + set->items[i].offset, 0,
                   (size_t)(set->items[i].rows * set->items[i].columns) * sizeof *values);
}

static void set_parameters(struct run *run, const float *values) {
    memcpy(run->master, values, (size_t)run->layout->elements * sizeof *values);
    CHECK_OK(model_refresh(run->lm.model, run->master));
}

/* The weights beside an adapter. */
static void set_weights(struct run *run) {
    const struct parameter_set *set = weights_parameters(run->lm.weights);
    float *values;
    CHECK_OK(memory_new(&values, set->elements, "weights"));
    tiny_fill(set->items, set->count, values);
    CHECK_OK(weights_refresh(run->lm.weights, values));
    memory_release(&values);
}

static void set_prompt(struct rollout_group *group, int g) {
    char name[32];
    snprintf(name, sizeof name, "prompt %d", g);
    group->prompt_length = 3 + g;
    CHECK_OK(memory_new(&group->prompt, group->prompt_length, "prompt"));
    tiny_tokens(name, BYTES, group->prompt, group->prompt_length);
}

static void keep_old(struct rollout_answer *answer, const float *logprob, const float *entropy) {
    (void)entropy;
    memcpy(answer->logprob, logprob, (size_t)answer->n * sizeof *logprob);
}

static void set_batch(struct run *run) {
    struct rollout *rollout = &run->step.rollout;
    rollout_release(rollout);
    CHECK_OK(rollout_init(rollout, GROUPS, SIZE));
    for (int g = 0; g < GROUPS; g++)
        set_prompt(&rollout->groups[g], g);
    for (int k = 0; k < GROUPS * SIZE; k++)
        scene_answer(&rollout->answers[k], k);
    if (run->settings->update.mini_batches > 1) { /* π_old before the first step */
        const struct method_context context = {.settings = run->settings,
                                               .comm = run->comm,
                                               .model = run->lm.model,
                                               .tiles = &run->tiles};
        CHECK_OK(method_score(&context, run->lm.model, rollout, 0.7f, keep_old));
        rollout->logprob_known = true;
    }
}

/* --- what is stored --- */

/* PREFIX/NAME/<parameter> of all parameters as the flat vector. */
static void read_vector(const struct run *run, const char *prefix, const char *name, float *out) {
    const struct parameter_set *set = model_trained(run->lm.model);
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        char path[300];
        snprintf(path, sizeof path, "%s/%s/%s", prefix, name, p->name);
        const struct safetensor *tensor = safetensors_find(stored, path);
        if (tensor == NULL || tensor->elements != p->rows * p->columns) {
            CHECK_FAILED("%s is not stored", path);
            exit(1);
        }
        memcpy(out + p->offset, tensor->data, (size_t)tensor->bytes);
    }
}

static double norm_of(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* --- gradients --- */

/* Each element to the rounding of sums in fp32: a part of the tensor's norm. */
static void check_gradient(const struct run *run, const char *name, const float *want) {
    const struct parameter_set *set = model_trained(run->lm.model);
    const double whole = norm_of(want, set->elements);
    CHECK(whole > 0.1);
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        const int64_t n = p->rows * p->columns;
        const double tolerance = 5e-6 * norm_of(want + p->offset, n) + 5e-8 * whole;
        for (int64_t k = p->offset; k < p->offset + n; k++)
            if (!(fabs((double)run->optimizer->exp_avg[k] - (double)want[k]) <= tolerance)) {
                CHECK_FAILED("%s: element %lld of %s is %.9g, expected %.9g within %.3g", name,
                             (long long)(k - p->offset), p->name,
                             (double)run->optimizer->exp_avg[k], (double)want[k], tolerance);
                return;
            }
    }
}

/* With beta1 = 0 the first moment is the gradient; nothing moves. */
static void test_gradients(const char *name, const char *settings) {
    struct scene scene;
    char words[1024];
    float *vector;
    snprintf(words, sizeof words,
             BATCH "optimizer.learning_rate=0 optimizer.beta1=0 optimizer.max_grad_norm=0 %s",
             settings);
    scene_open(&scene, words);
    struct run *run = &scene.run;
    CHECK_OK(memory_new(&vector, run->layout->elements, "vector"));
    if (run->lm.adapter != NULL)
        set_weights(run);
    set_batch(run);
    for (int pass = 0; pass < 3; pass++) {
        char what[32];
        snprintf(what, sizeof what, "point%d", pass);
        read_vector(run, name, what, vector);
        set_parameters(run, vector);
        CHECK_OK(run_update(run));
        run->step.rollout.logprob_known = true; /* π_old is that of the first pass */
        snprintf(what, sizeof what, "gradient%d", pass);
        read_vector(run, name, what, vector);
        check_gradient(run, name, vector);
    }
    memory_release(&vector);
    scene_close(&scene);
}

/* --- whole steps --- */

/* The mean that a histogram tells, to half the width of a bin; each tensor has `share` of its
 * coordinates in it, all of them where it is 1. */
static void check_histogram(const struct run *run, const char *name, const int64_t *counts,
                            const double *edges, double mean, double share) {
    const double width = edges[1] - edges[0];
    double sum = 0, total = 0;
    for (int64_t t = 0; t < run->layout->count; t++) {
        double tensor = 0;
        for (int b = 0; b < DIAGNOSTICS_BINS; b++) {
            const double n = (double)counts[t * DIAGNOSTICS_BINS + b];
            sum += n * (edges[b] + width / 2);
            tensor += n;
        }
        CHECK(tensor <= (double)run->layout->parts[t].elements);
        CHECK(share < 1 || tensor == (double)run->layout->parts[t].elements);
        total += tensor;
    }
    CHECK_NEAR(total / (double)run->layout->elements, share, 1e-9);
    if (!(fabs(sum / total - mean) <= width / 2))
        CHECK_FAILED("%s: a histogram's mean is %.9g, expected %.9g within %.3g", name, sum / total,
                     mean, width / 2);
}

static void check_histograms(const struct run *run, const char *name, const double *step) {
    const struct diagnosis *diagnosis = &run->diagnosis;
    const double active = 1 - step[METRIC_GXPO_INACTIVE];
    CHECK(diagnosis->made);
    check_histogram(run, name, diagnosis->tally.scales, diagnosis->tensors.scale_edges,
                    step[METRIC_GXPO_SCALE_MEAN], 1);
    check_histogram(run, name, diagnosis->tally.ratios, diagnosis->tensors.ratio_edges,
                    step[METRIC_GXPO_RETENTION_MEAN], active);
}

static void check_metrics(struct run *run, const char *name, const json_t *want) {
    struct metrics metrics;
    const char *path;
    const json_t *value;
    CHECK_OK(metrics_init(&metrics, run->step.pass_count));
    CHECK_OK(run_measure(run, &metrics));
    json_object_foreach((json_t *)(uintptr_t)want, path, value) {
        const enum metric metric = metric_find(path);
        const double expected = json_real_value(value);
        if (metric == METRIC_COUNT)
            CHECK_FAILED("%s is no metric", path);
        else if (!(fabs(metrics.step[metric] - expected) <= 1e-4 * fabs(expected) + 1e-9))
            CHECK_FAILED("%s: %s is %.9g, expected %.9g", name, path, metrics.step[metric],
                         expected);
    }
    if (run->rule == &update_gxpo)
        check_histograms(run, name, metrics.step);
    metrics_release(&metrics);
}

static void check_displacement(const struct run *run, const char *name, float *start,
                               const float *want) {
    const int64_t n = run->layout->elements;
    for (int64_t i = 0; i < n; i++)
        start[i] = run->master[i] - start[i] - want[i];
    const double error = norm_of(start, n) / norm_of(want, n);
    printf("%s: error of the displacement %.2g of its norm\n", name, error);
    if (!(error <= 1e-4))
        CHECK_FAILED("%s: the displacement differs by %.3g of its norm", name, error);
}

/* The parameters after the step; `metrics` NULL: what it reports is not looked at. */
static void step_once(const char *name, const char *settings, const json_t *metrics, float *out) {
    const bool adapter = strncmp(name, "full/", 5) != 0;
    struct scene scene;
    char words[2048];
    float *start, *want;
    snprintf(words, sizeof words, BATCH "%s%s", adapter ? ADAPTER : "", settings);
    scene_open(&scene, words);
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements;
    CHECK(n <= ELEMENTS_MAX);
    CHECK_OK(memory_new(&start, n, "vector"));
    CHECK_OK(memory_new(&want, n, "vector"));
    if (adapter)
        set_weights(run);
    fill_trained(run, start, strncmp(name, "new/", 4) == 0);
    set_parameters(run, start);
    set_batch(run);
    CHECK_OK(run_update(run));
    memcpy(out, run->master, (size_t)n * sizeof *out);
    read_vector(run, name, "displacement", want);
    check_displacement(run, name, start, want);
    if (metrics != NULL)
        check_metrics(run, name, metrics);
    memory_release(&start);
    memory_release(&want);
    scene_close(&scene);
}

/* A diagnosis before the step finds the error of what is foretold, and changes no bit of the step. */
static void test_step(const char *name, const json_t *expected) {
    float with[ELEMENTS_MAX] = {0}, without[ELEMENTS_MAX] = {0};
    const char *settings = json_string_value(json_object_get(expected, "settings"));
    const bool diagnosed = strstr(settings, "rule=gxpo") != NULL;
    char words[1024];
    snprintf(words, sizeof words, "%s%s", settings, diagnosed ? " update.diagnose_every=1" : "");
    step_once(name, words, json_object_get(expected, "metrics"), with);
    if (!diagnosed)
        return;
    step_once(name, settings, NULL, without);
    CHECK(memcmp(with, without, sizeof with) == 0);
}

static void test_steps(void) {
    json_t *all;
    const char *name;
    const json_t *expected;
    CHECK_OK(json_read_file(DATA "/steps.json", 1 << 20, &all));
    json_object_foreach(json_object_get(all, "steps"), name, expected) {
        test_step(name, expected);
    }
    json_decref(all);
}

/* A slot comes back to the bit, over anything. */
static void test_taken_back(void) {
    struct scene scene;
    scene_open(&scene, BATCH "update.rule=gxpo");
    struct run *run = &scene.run;
    const int64_t n = run->layout->elements;
    set_batch(run);
    CHECK_OK(run_update(run));
    run->master[3] = -0.0f;
    float before[2] = {run->master[3], run->gradient->values[7]};
    CHECK_OK(rule_keep(run, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS));
    CHECK_OK(rule_keep(run, UPDATE_GRADIENT, UPDATE_SLOT_GRADIENT));
    const double norm = run->gradient->norm;
    for (int64_t i = 0; i < n; i++) {
        run->master[i] += 1;
        run->gradient->values[i] = (float)NAN;
    }
    CHECK_OK(rule_lerp(run, UPDATE_PARAMETERS, UPDATE_SLOT_PARAMETERS, 0));
    CHECK_OK(rule_lerp(run, UPDATE_GRADIENT, UPDATE_SLOT_GRADIENT, 0));
    CHECK(memcmp(&before[0], &run->master[3], sizeof(float)) == 0);
    CHECK(memcmp(&before[1], &run->gradient->values[7], sizeof(float)) == 0);
    CHECK_NEAR(run->gradient->norm, norm, 1e-6 * norm);
    scene_close(&scene);
}

int main(void) {
    CHECK_OK(safetensors_open(&stored, DATA "/steps.safetensors"));
    scene_make_of("8", "12", "1");
    test_gradients("full/gradient_fast", "");
    test_gradients("lora/gradient_fast", ADAPTER);
    test_steps();
    test_taken_back();
    folder_remove();
    safetensors_close(&stored);
    return CHECK_END();
}
