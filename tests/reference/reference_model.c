/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/reference.h"

/* The values of the parameter of that name, NULL when the model has none. */
static const double *find(const struct reference_model *model, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const double *find(const struct reference_model *model, const char *format, ...) {
    char name[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    for (int64_t i = 0; i < model->parameter_count; i++)
        if (strcmp(model->parameters[i].name, name) == 0)
            return model->values + model->parameters[i].offset;
    return NULL;
}

/* The llama3 scaling of one inverse frequency (transformers, modeling_rope_utils.py). */
static double scale_llama3(const struct hparams *p, double frequency) {
    const double original = (double)p->rope_original_positions;
    const double wavelength = 6.283185307179586476925 / frequency;
    if (wavelength < original / p->rope_high_freq_factor)
        return frequency;
    if (wavelength > original / p->rope_low_freq_factor)
        return frequency / p->rope_factor;
    const double smooth = (original / wavelength - p->rope_low_freq_factor) /
                          (p->rope_high_freq_factor - p->rope_low_freq_factor);
    return (1 - smooth) * frequency / p->rope_factor + smooth * frequency;
}

/* The same with every intermediate rounded to fp32. */
static float scale_llama3_fp32(const struct hparams *p, float frequency) {
    const float original = (float)p->rope_original_positions, factor = (float)p->rope_factor;
    const float low = (float)p->rope_low_freq_factor, high = (float)p->rope_high_freq_factor;
    const float wavelength = 6.283185307179586f / frequency;
    if (wavelength < original / high)
        return frequency;
    if (wavelength > original / low)
        return frequency / factor;
    const float smooth = (original / wavelength - low) / (high - low);
    return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

static double inverse_frequency(const struct hparams *p, int64_t i, bool exact) {
    if (exact) {
        const double frequency = pow(p->rope_theta, -2.0 * (double)i / (double)p->D);
        return p->rope_llama3 ? scale_llama3(p, frequency) : frequency;
    }
    const float frequency = 1.0f / powf((float)p->rope_theta, (float)(2 * i) / (float)p->D);
    return (double)(p->rope_llama3 ? scale_llama3_fp32(p, frequency) : frequency);
}

void reference_rope_table(const struct hparams *p, int64_t positions, bool exact, double *table) {
    const int64_t half = p->D / 2;
    for (int64_t i = 0; i < half; i++) {
        const double frequency = inverse_frequency(p, i, exact);
        for (int64_t t = 0; t < positions; t++) {
            const double angle =
                exact ? frequency * (double)t : (double)((float)frequency * (float)t);
            const double cosine = cos(angle), sine = sin(angle);
            table[t * p->D + i] = exact ? cosine : (double)(float)cosine;
            table[t * p->D + half + i] = exact ? sine : (double)(float)sine;
        }
    }
}

/* What one layer works with; every array has n rows. */
struct scratch {
    double *normed, *q, *k, *v, *qkv, *rotated, *attended, *gate_up, *gate, *up, *activated;
    double *table;
    int32_t *positions;
    int64_t n;
};

static struct scratch scratch_create(const struct reference_model *model, int64_t n) {
    const struct hparams *p = model->hparams;
    const int64_t width = (p->H + 2 * p->K) * p->D;
    struct scratch s = {.normed = reference_new(n * p->C),
                        .q = reference_new(n * p->H * p->D),
                        .k = reference_new(n * p->K * p->D),
                        .v = reference_new(n * p->K * p->D),
                        .qkv = reference_new(n * width),
                        .rotated = reference_new(n * width),
                        .attended = reference_new(n * p->H * p->D),
                        .gate_up = reference_new(n * 2 * p->F),
                        .gate = reference_new(n * p->F),
                        .up = reference_new(n * p->F),
                        .activated = reference_new(n * p->F),
                        .table = reference_new(n * p->D),
                        .positions = calloc((size_t)n, sizeof(int32_t)),
                        .n = n};
    ASSERT(s.positions != NULL);
    for (int64_t t = 0; t < n; t++)
        s.positions[t] = (int32_t)t;
    reference_rope_table(p, n, model->exact_rope, s.table);
    return s;
}

static void scratch_destroy(struct scratch *s) {
    double *arrays[] = {s->normed,   s->q,       s->k,    s->v,  s->qkv,       s->rotated,
                        s->attended, s->gate_up, s->gate, s->up, s->activated, s->table};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(s->positions);
}

/* y (n, outputs) = x (n, inputs) Wᵀ + bias of the linear layer of that name. */
static void linear(const struct reference_model *model, int64_t layer, const char *name,
                   const double *x, double *y, int64_t n, int64_t outputs, int64_t inputs) {
    const double *weight = find(model, "model.layers.%lld.%s.weight", (long long)layer, name);
    ASSERT(weight != NULL);
    reference_gemm(x, weight, find(model, "model.layers.%lld.%s.bias", (long long)layer, name),
                   NULL, y, n, outputs, inputs);
}

static void copy_columns(double *to, int64_t width, int64_t at, const double *from, int64_t columns,
                         int64_t n) {
    for (int64_t t = 0; t < n; t++)
        memcpy(to + t * width + at, from + t * columns, (size_t)columns * sizeof *to);
}

static void add(double *x, const double *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void attention_block(const struct reference_model *model, int64_t layer, struct scratch *s,
                            double *hidden) {
    const struct hparams *p = model->hparams;
    const int64_t n = s->n, q = p->H * p->D, k = p->K * p->D, width = q + 2 * k;
    const double *norm = find(model, "model.layers.%lld.input_layernorm.weight", (long long)layer);
    ASSERT(norm != NULL);
    reference_rmsnorm(hidden, norm, s->normed, n, p->C, (double)p->rms_epsilon);
    linear(model, layer, "self_attn.q_proj", s->normed, s->q, n, q, p->C);
    linear(model, layer, "self_attn.k_proj", s->normed, s->k, n, k, p->C);
    linear(model, layer, "self_attn.v_proj", s->normed, s->v, n, k, p->C);
    copy_columns(s->qkv, width, 0, s->q, q, n);
    copy_columns(s->qkv, width, q, s->k, k, n);
    copy_columns(s->qkv, width, q + k, s->v, k, n);
    reference_rope(&(struct reference_rope){
        .qkv = s->qkv,
        .positions = s->positions,
        .table = s->table,
        .q_norm = find(model, "model.layers.%lld.self_attn.q_norm.weight", (long long)layer),
        .k_norm = find(model, "model.layers.%lld.self_attn.k_norm.weight", (long long)layer),
        .out = s->rotated,
        .T = n,
        .H = p->H,
        .K = p->K,
        .D = p->D,
        .epsilon = (double)p->rms_epsilon});
    const struct segment whole = {.length = (int32_t)n, .parent = -1};
    reference_attention(&(struct reference_attention){.qkv = s->rotated,
                                                      .segments = &whole,
                                                      .out = s->attended,
                                                      .T = n,
                                                      .H = p->H,
                                                      .K = p->K,
                                                      .D = p->D,
                                                      .segment_count = 1});
    linear(model, layer, "self_attn.o_proj", s->attended, s->normed, n, p->C, q);
    add(hidden, s->normed, n * p->C);
}

static void mlp_block(const struct reference_model *model, int64_t layer, struct scratch *s,
                      double *hidden) {
    const struct hparams *p = model->hparams;
    const int64_t n = s->n;
    const double *norm =
        find(model, "model.layers.%lld.post_attention_layernorm.weight", (long long)layer);
    ASSERT(norm != NULL);
    reference_rmsnorm(hidden, norm, s->normed, n, p->C, (double)p->rms_epsilon);
    linear(model, layer, "mlp.gate_proj", s->normed, s->gate, n, p->F, p->C);
    linear(model, layer, "mlp.up_proj", s->normed, s->up, n, p->F, p->C);
    copy_columns(s->gate_up, 2 * p->F, 0, s->gate, p->F, n);
    copy_columns(s->gate_up, 2 * p->F, p->F, s->up, p->F, n);
    reference_swiglu(s->gate_up, s->activated, n, p->F);
    linear(model, layer, "mlp.down_proj", s->activated, s->normed, n, p->C, p->F);
    add(hidden, s->normed, n * p->C);
}

void reference_model_logits(const struct reference_model *model, const int32_t *tokens, int64_t n,
                            double *logits) {
    const struct hparams *p = model->hparams;
    struct scratch s = scratch_create(model, n);
    double *hidden = reference_new(n * p->C);
    const double *table = find(model, "model.embed_tokens.weight");
    const double *norm = find(model, "model.norm.weight");
    const double *head = p->tied ? table : find(model, "lm_head.weight");
    ASSERT(table != NULL && norm != NULL && head != NULL);
    reference_embed(table, tokens, hidden, n, p->C);
    for (int64_t layer = 0; layer < p->layers; layer++) {
        attention_block(model, layer, &s, hidden);
        mlp_block(model, layer, &s, hidden);
    }
    reference_rmsnorm(hidden, norm, s.normed, n, p->C, (double)p->rms_epsilon);
    reference_gemm(s.normed, head, NULL, NULL, logits, n, p->V, p->C);
    free(hidden);
    scratch_destroy(&s);
}

void reference_model_score(const struct reference_model *model,
                           const struct reference_sequence *sequence) {
    ASSERT(sequence->first >= 1 && sequence->first <= sequence->n);
    const int64_t V = model->hparams->V;
    double *logits = reference_new(sequence->n * V);
    reference_model_logits(model, sequence->tokens, sequence->n, logits);
    reference_head(&(struct reference_head){.logits = logits + (sequence->first - 1) * V,
                                            .targets = sequence->tokens + sequence->first,
                                            .logprob = sequence->logprob,
                                            .entropy = sequence->entropy,
                                            .R = sequence->n - sequence->first,
                                            .V = V,
                                            .temperature = sequence->temperature});
    free(logits);
}
