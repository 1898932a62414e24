/* SPDX-License-Identifier: Apache-2.0
 *
 * A model with an adapter is the model whose weights are W + γ B A: same scores, and gradients that
 * follow from that model's by dA = γ Bᵀ dW, dB = γ dW Aᵀ. A fresh adapter changes no bit; the same
 * weights serve a model without it. Any subset of targets; no gradient but the factors' is given.
 */
#include "base/memory.h"
#include "check.h"
#include "unit/model/tiny.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TARGETS = 20, RANK = 3 };

struct world {
    struct backend backend;
    struct hparams hparams;
    struct weights *weights;
    struct adapter *adapter;
    struct model *model;   /* with the adapter */
    float *full, *factors; /* masters, backend memory */
    struct batch batch;
    float d_logprob[TARGETS], d_entropy[TARGETS];
};

static void open_world(struct world *w, const char *name, const char *backend,
                       const struct adapter_settings *settings) {
    char folder[200];
    *w = (struct world){.batch = BATCH_EMPTY};
    snprintf(folder, sizeof folder, TINY_DATA "/%s", name);
    CHECK_OK(backend_open(&w->backend, backend, 2));
    CHECK_OK(hparams_read(folder, &w->hparams));
    CHECK_OK(weights_create(&w->weights, &w->backend, &w->hparams, DTYPE_F32));
    CHECK_OK(adapter_create(&w->adapter, &w->backend, &w->hparams, DTYPE_F32, settings));
    const struct parameter_set *all = weights_parameters(w->weights);
    CHECK_OK(backend_new(&w->backend, &w->full, all->elements, "weights"));
    CHECK_OK(
        backend_new(&w->backend, &w->factors, adapter_parameters(w->adapter)->elements, "factors"));
    tiny_fill(all->items, all->count, w->full);
    CHECK_OK(weights_refresh(w->weights, w->full));
    CHECK_OK(model_create(&w->model, w->weights, w->adapter,
                          &(struct model_settings){.max_positions = w->hparams.max_positions}));
    CHECK_OK(tiny_batch(&w->batch, w->hparams.V));
    CHECK_EQ(w->batch.target_count, TARGETS);
    tiny_hashed("d logprob", w->d_logprob, TARGETS);
    tiny_hashed("d entropy", w->d_entropy, TARGETS);
}

static void close_world(struct world *w) {
    model_destroy(&w->model);
    adapter_destroy(&w->adapter);
    weights_destroy(&w->weights);
    backend_release(&w->backend, &w->full);
    backend_release(&w->backend, &w->factors);
    batch_release(&w->batch);
    backend_close(&w->backend);
}

/* Factors of the size that moves every output. */
static void fill_factors(struct world *w) {
    const struct parameter_set *set = adapter_parameters(w->adapter);
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        tiny_hashed(p->name, w->factors + p->offset, p->rows * p->columns);
    }
    CHECK_OK(adapter_refresh(w->adapter, w->factors));
}

static const struct parameter *find(const struct parameter_set *set, const char *name) {
    for (int64_t i = 0; i < set->count; i++)
        if (strcmp(set->items[i].name, name) == 0)
            return &set->items[i];
    return NULL;
}

/* The weight that a factor "base_model.model.NAME.lora_A.weight" belongs to. */
static const struct parameter *weight_of(const struct world *w, const struct parameter *factor) {
    char name[160];
    snprintf(name, sizeof name, "%s", factor->name + strlen("base_model.model."));
    strcpy(strstr(name, ".lora_"), ".weight");
    const struct parameter *weight = find(weights_parameters(w->weights), name);
    if (weight == NULL)
        CHECK_FAILED("%s belongs to no weight", factor->name);
    return weight;
}

/* full += γ B A for each pair; A comes first in the list. */
static void merge(const struct world *w, float *full) {
    const struct parameter_set *set = adapter_parameters(w->adapter);
    const double scale = (double)adapter_scale(adapter_settings(w->adapter));
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *a = &set->items[i];
        char name[160];
        if (strstr(a->name, "lora_A") == NULL)
            continue;
        snprintf(name, sizeof name, "%s", a->name);
        strstr(name, "lora_A")[5] = 'B';
        const struct parameter *b = find(set, name), *to = weight_of(w, a);
        for (int64_t n = 0; n < to->rows; n++)
            for (int64_t k = 0; k < to->columns; k++) {
                double sum = 0.0;
                for (int64_t r = 0; r < a->rows; r++)
                    sum += (double)w->factors[b->offset + n * a->rows + r] *
                           (double)w->factors[a->offset + r * a->columns + k];
                full[to->offset + n * to->columns + k] += (float)(scale * sum);
            }
    }
}

static void close_to(const char *what, const float *have, const double *want, int64_t n,
                     double tolerance) {
    double size = 1e-12, error = 0.0;
    for (int64_t i = 0; i < n; i++) {
        size = fmax(size, fabs(want[i]));
        error = fmax(error, fabs((double)have[i] - want[i]));
    }
    if (!(error <= tolerance * size))
        CHECK_FAILED("%s: error %.3g of the largest, allowed %.3g", what, error / size, tolerance);
}

/* What the merged model's gradient dW means for a factor. */
static void check_factor(const struct world *w, const struct parameter *factor, const float *have,
                         const float *merged) {
    const struct parameter_set *set = adapter_parameters(w->adapter);
    const bool is_a = strstr(factor->name, "lora_A") != NULL;
    const struct parameter *to = weight_of(w, factor);
    char name[160];
    snprintf(name, sizeof name, "%s", factor->name);
    strstr(name, "lora_")[5] = is_a ? 'B' : 'A';
    const struct parameter *other = find(set, name);
    const double scale = (double)adapter_scale(adapter_settings(w->adapter));
    double *want = calloc((size_t)(factor->rows * factor->columns), sizeof *want);
    ASSERT(want != NULL && other != NULL);
    for (int64_t n = 0; n < to->rows; n++)
        for (int64_t k = 0; k < to->columns; k++)
            for (int64_t r = 0; r < RANK; r++) {
                const double d = scale * (double)merged[to->offset + n * to->columns + k];
                const int64_t at_a = r * to->columns + k, at_b = n * RANK + r;
                want[is_a ? at_a : at_b] +=
                    d * (double)w->factors[other->offset + (is_a ? at_b : at_a)];
            }
    close_to(factor->name, have + factor->offset, want, factor->rows * factor->columns, 2e-4);
    free(want);
}

static void backward(struct world *w, struct model *model, struct tiny_gradient *gradient,
                     float *logprob) {
    float entropy[TARGETS];
    const struct gradient_sink sink = tiny_gradient_sink(gradient);
    CHECK_OK(model_forward(model, &w->batch, 0.8f, true, logprob, entropy));
    CHECK_OK(model_backward(model, &w->batch, 0.8f, w->d_logprob, w->d_entropy, &sink));
}

/* Scores and gradients against the merged model's. */
static void test_merged(const char *name, const char *backend, struct adapter_settings settings) {
    struct world w;
    struct model *merged = NULL;
    struct tiny_gradient have, want;
    float with[TARGETS], without[TARGETS];
    double wide[TARGETS];
    open_world(&w, name, backend, &settings);
    fill_factors(&w);
    CHECK_OK(tiny_gradient_create(&have, w.model, &w.backend));
    backward(&w, w.model, &have, with);
    const int64_t n = weights_parameters(w.weights)->elements;
    float *full = calloc((size_t)n, sizeof *full);
    ASSERT(full != NULL);
    memcpy(full, w.full, (size_t)n * sizeof *full);
    merge(&w, full);
    memcpy(w.full, full, (size_t)n * sizeof *full);
    CHECK_OK(weights_refresh(w.weights, w.full));
    CHECK_OK(model_create(&merged, w.weights, NULL,
                          &(struct model_settings){.max_positions = 64, .shares = w.model}));
    CHECK_OK(tiny_gradient_create(&want, merged, &w.backend));
    backward(&w, merged, &want, without);
    for (int i = 0; i < TARGETS; i++)
        wide[i] = (double)without[i];
    close_to("log-probabilities", with, wide, TARGETS, 2e-6);
    const struct parameter_set *set = adapter_parameters(w.adapter);
    for (int64_t i = 0; i < set->count; i++)
        check_factor(&w, &set->items[i], have.values, want.values);
    CHECK_EQ(have.calls, w.hparams.layers);
    free(full);
    tiny_gradient_release(&have);
    tiny_gradient_release(&want);
    model_destroy(&merged);
    close_world(&w);
}

/* As it is made, an adapter changes nothing; and the weights alone are still the old model. */
static void test_fresh(const char *name) {
    struct world w;
    struct model *base = NULL;
    float with[TARGETS], without[TARGETS], entropy[TARGETS];
    const struct adapter_settings settings = {
        .rank = RANK, .alpha = 6.0, .targets = {true, true, true, true, true, true, true}};
    open_world(&w, name, "cpu", &settings);
    CHECK_OK(adapter_initialise(w.adapter, 5, w.factors));
    CHECK_OK(adapter_refresh(w.adapter, w.factors));
    CHECK_OK(model_create(&base, w.weights, NULL,
                          &(struct model_settings){.max_positions = 64, .shares = w.model}));
    CHECK_OK(model_forward(base, &w.batch, 1.0f, false, without, entropy));
    CHECK_OK(model_forward(w.model, &w.batch, 1.0f, false, with, entropy));
    CHECK(memcmp(with, without, sizeof with) == 0);
    fill_factors(&w);
    CHECK_OK(model_forward(w.model, &w.batch, 1.0f, false, with, entropy));
    CHECK(memcmp(with, without, sizeof with) != 0);
    CHECK_OK(model_forward(base, &w.batch, 1.0f, false, with, entropy));
    CHECK(memcmp(with, without, sizeof with) == 0);
    model_destroy(&base);
    close_world(&w);
}

/* A is spread evenly over ±1/√K, B is zero, and both are a function of the seed. */
static void test_initial(void) {
    struct world w;
    const struct adapter_settings settings = {
        .rank = RANK, .alpha = 1.0, .targets = {[LORA_Q] = true}};
    open_world(&w, "qwen2", "cpu", &settings);
    CHECK_OK(adapter_initialise(w.adapter, 1, w.factors));
    const struct parameter_set *set = adapter_parameters(w.adapter);
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        const int64_t n = p->rows * p->columns;
        const double bound =
            strstr(p->name, "lora_A") != NULL ? 1.0 / sqrt((double)p->columns) : 0.0;
        double square = 0.0, most = 0.0;
        for (int64_t k = 0; k < n; k++) {
            square += pow((double)w.factors[p->offset + k], 2.0);
            most = fmax(most, fabs((double)w.factors[p->offset + k]));
        }
        CHECK(most <= bound * (1.0 + 1e-7));
        if (bound > 0.0)
            CHECK_NEAR(square / (double)n / (bound * bound / 3.0), 1.0, 0.35);
    }
    const float first = w.factors[0];
    CHECK_OK(adapter_initialise(w.adapter, 2, w.factors));
    CHECK(w.factors[0] != first);
    CHECK_OK(adapter_initialise(w.adapter, 1, w.factors));
    CHECK(w.factors[0] == first);
    close_world(&w);
}

static void test_scale(void) {
    CHECK_NEAR(adapter_scale(&(struct adapter_settings){.rank = 64, .alpha = 128.0}), 2.0, 0.0);
    CHECK_NEAR(adapter_scale(
                   &(struct adapter_settings){.rank = 64, .alpha = 8.0, .rank_stabilized = true}),
               1.0, 0.0);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++) {
        test_merged(
            tiny_names[i], "cpu",
            (struct adapter_settings){
                .rank = RANK, .alpha = 2.0, .targets = {true, true, true, true, true, true, true}});
        test_fresh(tiny_names[i]);
    }
    test_merged("qwen3", "check",
                (struct adapter_settings){
                    .rank = RANK, .alpha = 1.5, .targets = {[LORA_Q] = true, [LORA_V] = true}});
    test_merged("qwen2", "cpu",
                (struct adapter_settings){.rank = RANK,
                                          .alpha = 2.0,
                                          .rank_stabilized = true,
                                          .targets = {[LORA_O] = true, [LORA_UP] = true}});
    test_merged("llama3", "cpu",
                (struct adapter_settings){
                    .rank = RANK, .alpha = 2.0, .targets = {[LORA_K] = true, [LORA_DOWN] = true}});
    test_initial();
    test_scale();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
