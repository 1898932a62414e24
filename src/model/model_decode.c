/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: a prompt is one segment whose keys and values go to pages; a step feeds one token per
 * row; a draw runs the head over rows of hidden states. All through the same row-invariant pieces
 * as the training forward, so the log-probability of a drawn token is bit for bit the trainer's.
 */
#include "model/cache.h"

#include "base/memory.h"

#include <inttypes.h>

#define RUN(op, ...) TRY(backend_run(model->backend, op, __VA_ARGS__))
#define SPACE(name)  model->workspace.memory[SPACE_##name]

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
    const enum status status =
        before > 0 ? copy_floats(model, grown, model->hidden, before * C) : STATUS_OK;
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
                       .slots = model->decode->slots, .B = rows, .H = h->H, .K = h->K, .D = h->D,
                       .layer = layer);
}

static enum status too_long(const struct model *model) {
    return FAIL(STATUS_INPUT,
                "a sequence is longer than the %" PRId64 " positions the model was opened for",
                model->settings.max_positions);
}

/* --- the prompt --- */

static enum status prefill_layers(struct model *model, const struct space_shape *shape,
                                  const struct batch_integers *in) {
    const int64_t n = shape->T;
    const struct segment segment = {.start = 0, .length = (int32_t)n, .parent = -1, .position = 0};
    const struct layer_state s = layer_state(model, shape, 0);
    RUN(embed, .table = model->embed, .tokens = in->tokens, .out = s.x, .T = n);
    for (int64_t l = 0; l < model->hparams.layers; l++) {
        TRY(layer_project(model, l, &s, n, in->positions));
        TRY(store(model, &s, l, n));
        TRY(layer_attend(model, &s, &segment, 1, n));
        TRY(layer_expand(model, l, &s, n));
        TRY(layer_close(model, l, &s, n));
    }
    return STATUS_OK;
}

enum status model_prefill(struct model *model, struct cache *cache, const int32_t *tokens,
                          int64_t n, struct cache_sequence *sequence, int64_t row) {
    const int64_t C = model->hparams.C;
    const struct space_shape shape = {.T = n};
    if (n < 1)
        return FAIL(STATUS_INPUT, "a prompt has no tokens; at least one is needed to begin from");
    if (n > model->settings.max_positions)
        return too_long(model);
    ASSERT(sequence->length == 0 && row >= 0);
    model->kept = (struct space_shape){.T = 0};
    TRY(scratch_reserve(model, n));
    TRY(hidden_reserve(model, row + 1));
    TRY(workspace_reserve(model, &shape));
    TRY(cache_sequence_reserve(cache, sequence, n));
    for (int64_t i = 0; i < n; i++) {
        model->decode->positions[i] = (int32_t)i;
        place(model->decode, i, sequence, i);
    }
    const struct batch_integers in = batch_integers(model, &shape);
    TRY(upload_rows(model, &in, n, tokens, model->decode->positions));
    TRY(prefill_layers(model, &shape, &in));
    sequence->length = (int32_t)n;
    model->positions += n;
    model->positions_decoded += n;
    const struct layer_state s = layer_state(model, &shape, 0);
    return copy_floats(model, model->hidden + row * C, s.x + (n - 1) * C, C);
}

/* --- a step --- */

static enum status decode_layers(struct model *model, const struct space_shape *shape,
                                 const struct batch_integers *in) {
    const struct hparams *h = &model->hparams;
    const int64_t B = shape->T;
    struct layer_state s = layer_state(model, shape, 0);
    s.x = s.x2 = s.next = model->hidden;
    RUN(embed, .table = model->embed, .tokens = in->tokens, .out = s.x, .T = B);
    for (int64_t l = 0; l < h->layers; l++) {
        TRY(layer_project(model, l, &s, B, in->positions));
        TRY(store(model, &s, l, B));
        RUN(attention_decode, .qkv = s.qkv, .runs = model->decode->runs, .out = s.attention, .B = B,
            .H = h->H, .K = h->K, .D = h->D, .layer = l);
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
    const struct space_shape shape = {.T = B};
    if (B == 0)
        return STATUS_OK;
    model->kept = (struct space_shape){.T = 0};
    TRY(scratch_reserve(model, B));
    TRY(hidden_reserve(model, B));
    TRY(workspace_reserve(model, &shape));
    for (int64_t b = 0; b < B; b++)
        TRY(open_row(model, cache, &rows[b], b));
    const struct batch_integers in = batch_integers(model, &shape);
    TRY(upload_rows(model, &in, B, model->decode->tokens, model->decode->positions));
    TRY(decode_layers(model, &shape, &in));
    for (int64_t b = 0; b < B; b++)
        rows[b].own->length++;
    model->positions += B;
    model->positions_decoded += B;
    return STATUS_OK;
}

/* --- a draw --- */

static enum status draw_tokens(struct model *model, const struct draw_args *args, int32_t *tokens) {
    struct backend *b = model->backend;
    const int64_t B = args->B, V = model->hparams.V;
    TRY(b->ops->upload(b, SPACE(UNIFORMS), args->uniforms, (size_t)B * sizeof(double)));
    TRY(head_logits(model, 0, V, V, B));
    RUN(sample, .logits = SPACE(LOGITS), .uniforms = SPACE(UNIFORMS), .seen = args->seen,
        .seen_counts = args->seen_counts, .tokens = tokens, .B = B, .V = V, .ld = V,
        .settings = args->settings);
    return b->ops->download(b, args->tokens, tokens, (size_t)B * sizeof(int32_t));
}

enum status model_draw(struct model *model, const struct draw_args *args) {
    struct backend *b = model->backend;
    const int64_t B = args->B, V = model->hparams.V;
    const bool greedy = args->settings.temperature <= 0.0f;
    const float temperature = greedy ? 1.0f : args->settings.temperature; /* of log-probabilities */
    const struct space_shape shape = {.R = B, .draw = true};
    if (B == 0)
        return STATUS_OK;
    for (int64_t i = 0; i < B; i++)
        ASSERT(args->source[i] >= 0 && args->source[i] < model->hidden_rows);
    model->kept = (struct space_shape){.T = 0};
    TRY(workspace_reserve(model, &shape));
    const struct batch_integers in = batch_integers(model, &shape);
    TRY(b->ops->upload(b, in.target_rows, args->source, (size_t)B * sizeof(int32_t)));
    TRY(head_open(model, model->hidden, in.target_rows, B));
    TRY(draw_tokens(model, args, in.target_tokens));
    TRY(head_pass(model, 0, V, V, B, in.target_tokens, temperature));
    return head_close(model, B, temperature, args->logprob, args->entropy);
}
