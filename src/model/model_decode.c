/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: a prompt is one segment whose keys and values go to pages; a step feeds one token per
 * row; a draw runs the head over rows of hidden states. All through the same row-invariant pieces
 * as the training forward, so the log-probability of a drawn token is bit for bit the trainer's.
 */
#include "model/model_finite.h"

#include "base/memory.h"
#include "model/finite.h"
#include "tensor/finite.h"

#include <inttypes.h>

#define RUN(op, ...) TRY(backend_run(model->backend, op, __VA_ARGS__))
#define SPACE(name)  model->workspace->memory[SPACE_##name]

/* Host arrays for a number of rows. */
struct decode_scratch {
    int32_t *tokens, *positions, *slots;
    float **pages;
    struct cache_run *runs;
    int64_t capacity;
};

void decode_release(struct model *model) {
    struct decode_scratch *scratch = model->decode;
    if (scratch != NULL) {
        memory_release(&scratch->tokens);
        memory_release(&scratch->positions);
        memory_release(&scratch->slots);
        memory_release(&scratch->pages);
        memory_release(&scratch->runs);
    }
    memory_release(&model->decode);
    backend_release(model->backend, &model->hidden);
}

static enum status scratch_reserve(struct model *model, int64_t rows) {
    if (model->decode == NULL)
        TRY(memory_new(&model->decode, 1, "decoding"));
    struct decode_scratch *scratch = model->decode;
    if (rows <= scratch->capacity)
        return STATUS_OK;
    TRY(memory_grow(&scratch->tokens, rows, "tokens being decoded"));
    TRY(memory_grow(&scratch->positions, rows, "positions being decoded"));
    TRY(memory_grow(&scratch->slots, rows, "cache slots"));
    TRY(memory_grow(&scratch->pages, rows, "cache pages being filled"));
    TRY(memory_grow(&scratch->runs, rows, "cache runs"));
    scratch->capacity = rows;
    return STATUS_OK;
}

/* Decode rows keep what they hold when their number grows. */
static enum status hidden_reserve(struct model *model, int64_t rows) {
    const int64_t C = model->hparams.C, before = model->hidden_rows;
    if (rows <= before)
        return STATUS_OK;
    const int64_t count = rows > 2 * before ? rows : 2 * before;
    float *grown = NULL;
    TRY(backend_new(model->backend, &grown, count * C, "hidden states of the decode rows"));
    const enum status status = before > 0 ? backend_run(model->backend, copy, .x = model->hidden,
                                                        .out = grown, .n = before * C)
                                          : STATUS_OK;
    backend_release(model->backend, &model->hidden);
    model->hidden = grown;
    model->hidden_rows = count;
    return status;
}

static enum status upload_rows(struct model *model, const struct batch_integers *in, int64_t T,
                               const int32_t *tokens, const int32_t *positions) {
    struct backend *b = model->backend;
    for (int64_t i = 0; i < T; i++)
        if (tokens[i] < 0 || tokens[i] >= model->hparams.V)
            return FAIL(STATUS_INPUT, "token id %d is outside the model's vocabulary of %" PRId64,
                        (int)tokens[i], model->hparams.V);
    TRY(b->ops->upload(b, in->tokens, tokens, (size_t)T * sizeof(int32_t)));
    return b->ops->upload(b, in->positions, positions, (size_t)T * sizeof(int32_t));
}

/* Where the position `index` of a sequence goes. */
static void place(struct decode_scratch *scratch, int64_t row,
                  const struct cache_sequence *sequence, int64_t index) {
    scratch->pages[row] = sequence->pages[index / CACHE_PAGE];
    scratch->slots[row] = (int32_t)(index % CACHE_PAGE);
}

static enum status store(struct model *model, const struct layer_state *s, int64_t layer,
                         int64_t rows) {
    const struct hparams *h = &model->hparams;
    return backend_run(model->backend, cache_store, .qkv = s->qkv, .pages = model->decode->pages,
                       .slots = model->decode->slots, .dtype = model->activations, .B = rows,
                       .H = h->H, .K = h->K, .D = h->D, .layer = layer);
}

static enum status too_long(const struct model *model) {
    return FAIL(STATUS_INPUT,
                "a sequence is longer than the %" PRId64 " positions the model was opened for",
                model->settings.max_positions);
}

/* Rows that go through the layers. */
struct decoding {
    struct model *model;
    struct space_shape shape;
    struct batch_integers in;
};

/* Runs the layers; looks for the cause when a hidden state that they leave in x is not finite. */
static enum status run_layers(struct decoding *decoding, enum status (*layers)(void *context),
                              const float *x) {
    struct model *model = decoding->model;
    bool finite;
    TRY(layers(decoding));
    TRY(all_finite(model->backend, x, decoding->shape.T * model->hparams.C, &finite));
    return finite ? STATUS_OK : explain_not_finite(model, layers, decoding);
}

/* --- the prompt --- */

static enum status prefill_layers(void *context) {
    const struct decoding *decoding = context;
    struct model *model = decoding->model;
    const int64_t n = decoding->shape.T;
    const struct layer_state s = layer_state(model, &decoding->shape, 0);
    RUN(embed, .table = model->weights->embed, .tokens = decoding->in.tokens, .out = s.x, .T = n);
    for (int64_t l = 0; l < model->hparams.layers; l++) {
        TRY(layer_project(model, l, &s, n, decoding->in.positions));
        TRY(store(model, &s, l, n));
        TRY(layer_attend(model, l, &s));
        TRY(layer_expand(model, l, &s, n));
        TRY(layer_close(model, l, &s, n));
    }
    return STATUS_OK;
}

enum status model_prefill(struct model *model, struct cache *cache, const int32_t *tokens,
                          int64_t n, struct cache_sequence *sequence, int64_t row) {
    const int64_t C = model->hparams.C;
    const struct segment whole = {.start = 0, .length = (int32_t)n, .parent = -1, .position = 0};
    struct decoding decoding = {.model = model, .shape = {.T = n}};
    if (n < 1)
        return FAIL(STATUS_INPUT, "a prompt has no tokens; at least one is needed to begin from");
    if (n > model->settings.max_positions)
        return too_long(model);
    ASSERT(sequence->length == 0 && row >= 0);
    workspace_forget(model);
    TRY(scratch_reserve(model, n));
    TRY(hidden_reserve(model, row + 1));
    TRY(workspace_reserve(model, &decoding.shape));
    TRY(workspace_plan(model, &whole, 1));
    TRY(cache_sequence_reserve(cache, sequence, n));
    for (int64_t i = 0; i < n; i++) {
        model->decode->positions[i] = (int32_t)i;
        place(model->decode, i, sequence, i);
    }
    decoding.in = batch_integers(model, &decoding.shape);
    TRY(upload_rows(model, &decoding.in, n, tokens, model->decode->positions));
    const struct layer_state s = layer_state(model, &decoding.shape, 0);
    TRY(run_layers(&decoding, prefill_layers, s.x));
    sequence->length = (int32_t)n;
    model->positions += n;
    model->positions_decoded += n;
    return backend_run(model->backend, copy, .x = s.x + (n - 1) * C, .out = model->hidden + row * C,
                       .n = C);
}

/* --- a step --- */

static enum status decode_layers(void *context) {
    const struct decoding *decoding = context;
    struct model *model = decoding->model;
    const struct hparams *h = &model->hparams;
    const int64_t B = decoding->shape.T;
    struct layer_state s = layer_state(model, &decoding->shape, 0);
    s.x = s.x2 = s.next = model->hidden;
    RUN(embed, .table = model->weights->embed, .tokens = decoding->in.tokens, .out = s.x, .T = B);
    for (int64_t l = 0; l < h->layers; l++) {
        TRY(layer_project(model, l, &s, B, decoding->in.positions));
        TRY(store(model, &s, l, B));
        RUN(attention_decode, .qkv = s.qkv, .runs = model->decode->runs, .out = s.attention,
            .dtype = model->activations, .B = B, .H = h->H, .K = h->K, .D = h->D, .layer = l);
        TRY(watch(model, l, "attention", model->activations, s.attention, B, h->H * h->D));
        TRY(layer_expand(model, l, &s, B));
        TRY(layer_close(model, l, &s, B));
    }
    return STATUS_OK;
}

/* Room for the new position of a row, and what the operations need to know of it. */
static enum status open_row(struct model *model, struct cache *cache, const struct decode_row *row,
                            int64_t b) {
    struct decode_scratch *scratch = model->decode;
    const int32_t length = row->own->length;
    if (row->position >= model->settings.max_positions)
        return too_long(model);
    ASSERT(row->position == row->prompt->length + length);
    TRY(cache_sequence_reserve(cache, row->own, (int64_t)length + 1));
    scratch->tokens[b] = row->token;
    scratch->positions[b] = row->position;
    place(scratch, b, row->own, length);
    scratch->runs[b] = (struct cache_run){.prompt_pages = row->prompt->pages,
                                          .own_pages = row->own->pages,
                                          .prompt_length = row->prompt->length,
                                          .own_length = length + 1};
    return STATUS_OK;
}

enum status model_decode(struct model *model, struct cache *cache, const struct decode_row *rows,
                         int64_t B) {
    struct decoding decoding = {.model = model, .shape = {.T = B}};
    if (B == 0)
        return STATUS_OK;
    workspace_forget(model);
    TRY(scratch_reserve(model, B));
    TRY(hidden_reserve(model, B));
    TRY(workspace_reserve(model, &decoding.shape));
    for (int64_t b = 0; b < B; b++)
        TRY(open_row(model, cache, &rows[b], b));
    decoding.in = batch_integers(model, &decoding.shape);
    TRY(upload_rows(model, &decoding.in, B, model->decode->tokens, model->decode->positions));
    TRY(run_layers(&decoding, decode_layers, model->hidden));
    for (int64_t b = 0; b < B; b++)
        rows[b].own->length++;
    model->positions += B;
    model->positions_decoded += B;
    return STATUS_OK;
}

/* --- a draw --- */

struct draw {
    struct model *model;
    const struct draw_args *args;
    struct batch_integers in;
};

static enum status draw_run(void *context) {
    const struct draw *draw = context;
    struct model *model = draw->model;
    struct backend *b = model->backend;
    const struct draw_args *args = draw->args;
    const int64_t B = args->B, V = model->hparams.V;
    const bool greedy = args->settings.temperature <= 0.0f;
    const float temperature = greedy ? 1.0f : args->settings.temperature; /* of log-probabilities */
    int32_t *tokens = draw->in.target_tokens;
    TRY(head_open(model, model->hidden, draw->in.target_rows, B));
    TRY(head_logits(model, 0, V, V, B));
    RUN(sample, .logits = SPACE(LOGITS), .uniforms = SPACE(UNIFORMS), .seen = args->seen,
        .seen_counts = args->seen_counts, .tokens = tokens, .B = B, .V = V, .ld = V,
        .settings = args->settings);
    TRY(b->ops->download(b, args->tokens, tokens, (size_t)B * sizeof(int32_t)));
    TRY(head_pass(model, 0, V, V, B, tokens, temperature));
    return head_close(model, B, temperature, args->logprob, args->entropy);
}

enum status model_draw(struct model *model, const struct draw_args *args) {
    struct backend *b = model->backend;
    const int64_t B = args->B;
    const struct space_shape shape = {.R = B, .draw = true};
    if (B == 0)
        return STATUS_OK;
    for (int64_t i = 0; i < B; i++)
        ASSERT(args->source[i] >= 0 && args->source[i] < model->hidden_rows);
    workspace_forget(model);
    TRY(workspace_reserve(model, &shape));
    struct draw draw = {.model = model, .args = args, .in = batch_integers(model, &shape)};
    TRY(b->ops->upload(b, draw.in.target_rows, args->source, (size_t)B * sizeof(int32_t)));
    TRY(b->ops->upload(b, SPACE(UNIFORMS), args->uniforms, (size_t)B * sizeof(double)));
    const enum status status = draw_run(&draw);
    const bool finite = status == STATUS_OK && first_not_finite(args->logprob, B) < 0 &&
                        first_not_finite(args->entropy, B) < 0;
    return finite || (status != STATUS_OK && status != STATUS_NUMERIC)
               ? status
               : explain_not_finite(model, draw_run, &draw);
}
