/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/model/tiny.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const tiny_names[TINY_COUNT] = {"qwen2", "qwen3", "llama3", "llama_bias"};
const char *const tiny_backends[TINY_BACKENDS] = {"cpu", "check"};

/* FNV-1a. */
static uint64_t key_of(const char *name) {
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return h;
}

/* 24 bits of splitmix64. */
static float hashed(uint64_t key, int64_t index) {
    uint64_t z = key + (uint64_t)(index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f - 0.5f;
}

void tiny_hashed(const char *name, float *out, int64_t n) {
    const uint64_t key = key_of(name);
    for (int64_t i = 0; i < n; i++)
        out[i] = hashed(key, i);
}

void tiny_tokens(const char *name, int64_t V, int32_t *out, int64_t n) {
    const uint64_t key = key_of(name);
    for (int64_t i = 0; i < n; i++)
        out[i] = (int32_t)(((double)hashed(key, i) + 0.5) * (double)V);
}

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void fill(const struct parameter *p, float *out) {
    const int64_t n = p->rows * p->columns;
    const bool norm = ends_with(p->name, "norm.weight"), bias = ends_with(p->name, "bias");
    const float scale = norm || bias ? 0.5f : strstr(p->name, "proj") != NULL ? 0.75f : 1.0f;
    tiny_hashed(p->name, out, n);
    for (int64_t i = 0; i < n; i++)
        out[i] = (norm ? 1.0f : 0.0f) + out[i] * scale;
}

void tiny_fill(const struct parameter *parameters, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++)
        fill(&parameters[i], out + parameters[i].offset);
}

void tiny_project(const struct parameter *p, const float *values, double *norm, double *product) {
    char name[160];
    float *fixed = NULL;
    const int64_t n = p->rows * p->columns;
    double squares = 0.0;
    snprintf(name, sizeof name, "projection %s", p->name);
    ASSERT(memory_new(&fixed, n, "fixed vector") == STATUS_OK);
    tiny_hashed(name, fixed, n);
    *product = 0.0;
    for (int64_t i = 0; i < n; i++) {
        squares += (double)values[i] * (double)values[i];
        *product += (double)values[i] * (double)fixed[i];
    }
    *norm = sqrt(squares);
    memory_release(&fixed);
}

enum status tiny_create(struct model **model, struct backend *backend,
                        const struct hparams *hparams, const struct model_settings *settings) {
    struct weights *weights;
    TRY(weights_create(&weights, backend, hparams, DTYPE_F32));
    const enum status status = model_create(model, weights, NULL, settings);
    if (status != STATUS_OK)
        weights_destroy(&weights);
    return status;
}

void tiny_close(struct model **model) {
    struct weights *weights = *model != NULL ? model_weights(*model) : NULL;
    model_destroy(model);
    weights_destroy(&weights);
}

enum status tiny_open(struct model **model, struct backend *backend, const char *name,
                      bool recompute, float **master) {
    char folder[200];
    struct hparams hparams;
    float *host = NULL, *values = NULL;
    enum status status;
    *model = NULL;
    snprintf(folder, sizeof folder, TINY_DATA "/%s", name);
    TRY(hparams_read(folder, &hparams));
    TRY(tiny_create(
        model, backend, &hparams,
        &(struct model_settings){.recompute = recompute, .max_positions = hparams.max_positions}));
    const struct parameter_set *set = model_trained(*model);
    const int64_t n = set->elements;
    TRY_ELSE(status, done, memory_new(&host, n, "weights"));
    TRY_ELSE(status, done, backend_new(backend, &values, n, "master weights"));
    tiny_fill(set->items, set->count, host);
    TRY_ELSE(status, done, backend->ops->upload(backend, values, host, (size_t)n * sizeof *host));
    TRY_ELSE(status, done, model_refresh(*model, values));
    if (master != NULL) {
        *master = values;
        values = NULL;
    }
done:
    backend_release(backend, &values);
    memory_release(&host);
    return status;
}

enum status tiny_batch(struct batch *batch, int64_t V) {
    static const int lengths[] = {5, 1, 9};
    int32_t tokens[9], prompt;
    tiny_tokens("prompt", V, tokens, 7);
    TRY(batch_append_prompt(batch, tokens, 7, &prompt));
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "answer%d", i);
        tiny_tokens(name, V, tokens, lengths[i]);
        TRY(batch_append_answer(batch, prompt, tokens, lengths[i]));
    }
    tiny_tokens("text", V, tokens, 6);
    return batch_append_text(batch, tokens, 6);
}

/* The next piece is the one that the model has announced. */
static void check_piece(struct tiny_gradient *g, const struct gradient_piece *piece) {
    const int64_t count = model_gradient_piece_count(g->model);
    const struct gradient_piece want = model_gradient_piece(g->model, g->calls++ % count);
    ASSERT(piece->offset == want.offset && piece->n == want.n && piece->columns == want.columns);
    ASSERT(piece->offset >= 0 && piece->n > 0 && piece->offset + piece->n <= g->elements);
}

static enum status add_rows(struct tiny_gradient *g, const struct gradient_piece *piece) {
    const int64_t columns = piece->columns;
    TRY(g->backend->ops->download(g->backend, g->piece, piece->values,
                                  (size_t)(piece->count * columns) * sizeof(float)));
    for (int64_t r = 0; r < piece->count; r++) {
        ASSERT(r == 0 || piece->rows[r] > piece->rows[r - 1]);
        ASSERT(piece->rows[r] < piece->n / columns);
        for (int64_t i = 0; i < columns; i++)
            g->values[piece->offset + piece->rows[r] * columns + i] += g->piece[r * columns + i];
    }
    return STATUS_OK;
}

static enum status add(void *context, const struct gradient_piece *piece) {
    struct tiny_gradient *g = context;
    check_piece(g, piece);
    if (piece->columns > 0)
        return add_rows(g, piece);
    TRY(g->backend->ops->download(g->backend, g->piece, piece->values,
                                  (size_t)piece->n * sizeof(float)));
    for (int64_t i = 0; i < piece->n; i++)
        g->values[piece->offset + i] += g->piece[i];
    return STATUS_OK;
}

enum status tiny_gradient_create(struct tiny_gradient *gradient, struct model *model,
                                 struct backend *backend) {
    *gradient = (struct tiny_gradient){
        .backend = backend, .model = model, .elements = model_trained(model)->elements};
    TRY(memory_new(&gradient->values, gradient->elements, "gradient"));
    return memory_new(&gradient->piece, gradient->elements, "piece of a gradient");
}

void tiny_gradient_release(struct tiny_gradient *gradient) {
    memory_release(&gradient->values);
    memory_release(&gradient->piece);
}

struct gradient_sink tiny_gradient_sink(struct tiny_gradient *gradient) {
    return (struct gradient_sink){.add = add, .context = gradient};
}
