/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decoder computes: a prompt is one segment whose keys and values go to pages; a step feeds
 * one token per row; a draw runs the head over rows of hidden states.
 */
#include "model/decoder_state.h"

#include "base/memory.h"
#include "model/finite.h"
#include "model/model_finite.h"

#include <inttypes.h>

#define RUN(op, ...) TRY(backend_run(model->backend, op, __VA_ARGS__))
#define SPACE(name)  model->workspace->memory[SPACE_##name]

static enum status store(const struct decoder *d, const struct layer_state *s, int64_t layer,
                         const int32_t *pages, const int32_t *slots, int64_t rows) {
    return backend_run(d->model->backend, cache_store, .qkv = s->qkv,
                       .pool = cache_pool_of(d->cache), .pages = pages, .slots = slots, .B = rows,
                       .H = d->model->hparams.H, .layer = layer);
}

/* --- the prompt --- */

/* Its rows, in backend memory. */
struct prefill {
    struct decoder *decoder;
    struct space_shape shape;
    struct batch_integers in;
};

static enum status prefill_layers(void *context) {
    const struct prefill *prefill = context;
    struct model *model = prefill->decoder->model;
    const struct batch_integers *in = &prefill->in;
    const int64_t n = prefill->shape.T;
    const struct layer_state s = layer_state(model, &prefill->shape, 0);
    RUN(embed, .table = model->weights->embed, .tokens = in->tokens, .out = s.x, .T = n);
    for (int64_t l = 0; l < model->hparams.layers; l++) {
        TRY(layer_project(model, l, &s, n, in->positions));
        TRY(store(prefill->decoder, &s, l, in->pages, in->slots, n));
        TRY(layer_attend(model, l, &s));
        TRY(layer_expand(model, l, &s, n));
        TRY(layer_close(model, l, &s, n));
    }
    return STATUS_OK;
}

static enum status upload_prompt(const struct prefill *prefill, const int32_t *tokens,
                                 const int32_t *page_list) {
    const struct batch_integers *in = &prefill->in;
    struct backend *b = prefill->decoder->model->backend;
    const int64_t n = prefill->shape.T;
    const size_t bytes = (size_t)n * sizeof(int32_t);
    int32_t *numbers;
    enum status status;
    TRY(memory_new(&numbers, 3 * n, "tokens of a prompt"));
    int32_t *positions = numbers, *pages = numbers + n, *slots = numbers + 2 * n;
    for (int64_t i = 0; i < n; i++) {
        positions[i] = (int32_t)i;
        pages[i] = page_list[i / CACHE_PAGE];
        slots[i] = (int32_t)(i % CACHE_PAGE);
    }
    TRY_ELSE(status, done, b->ops->upload(b, in->tokens, tokens, bytes));
    TRY_ELSE(status, done, b->ops->upload(b, in->positions, positions, bytes));
    TRY_ELSE(status, done, b->ops->upload(b, in->pages, pages, bytes));
    TRY_ELSE(status, done, b->ops->upload(b, in->slots, slots, bytes));
done:
    memory_release(&numbers);
    return status;
}

static enum status check_tokens(const struct model *model, const int32_t *tokens, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= model->hparams.V)
            return FAIL(STATUS_INPUT, "token id %d is outside the model's vocabulary of %" PRId64,
                        (int)tokens[i], model->hparams.V);
    return STATUS_OK;
}

enum status decoder_prefill(struct decoder *d, const int32_t *tokens, int64_t n, int64_t prompt) {
    const struct segment whole = {.start = 0, .length = (int32_t)n, .parent = -1, .position = 0};
    struct model *model = d->model;
    struct prefill prefill = {.decoder = d, .shape = {.T = n, .prompt = true}};
    const int64_t C = model->hparams.C,
                  begin = d->settings.most_rows * d->own_width + prompt * d->prompt_width;
    bool finite;
    TRY(check_tokens(model, tokens, n));
    workspace_forget(model);
    TRY(workspace_reserve(model, &prefill.shape));
    TRY(workspace_plan(model, &whole, 1));
    prefill.in = batch_integers(model, &prefill.shape);
    TRY(upload_prompt(&prefill, tokens, d->page_list + begin));
    const float *x = layer_state(model, &prefill.shape, 0).x;
    TRY(prefill_layers(&prefill));
    TRY(all_finite(model->backend, x, n * C, &finite));
    if (!finite)
        return explain_not_finite(model, prefill_layers, &prefill);
    model->positions += n;
    model->positions_decoded += n;
    return backend_run(model->backend, copy, .x = x + (n - 1) * C, .out = d->hidden, .n = C);
}

/* --- a draw --- */

struct rows {
    struct decoder *decoder;
    int64_t first, B;
};

static enum status note(const struct rows *rows, const int32_t *drawn) {
    const struct decoder *d = rows->decoder;
    const struct model *model = d->model;
    const int64_t first = rows->first;
    const float *scores = SPACE(SCORES);
    return backend_run(
        model->backend, decode_append, .drawn = drawn, .logprob = scores,
        .entropy = scores + rows->B, .tokens = row_column(d, ROW_TOKEN, first),
        .positions = row_column(d, ROW_POSITION, first), .counts = row_column(d, ROW_COUNT, first),
        .counters = (uint32_t *)row_column(d, ROW_COUNTERS, first),
        .pages = row_column(d, ROW_PAGE, first), .slots = row_column(d, ROW_SLOT, first),
        .ends = row_column(d, ROW_END, first),
        .prompt_length = row_column(d, ROW_PROMPT_LENGTH, first),
        .own_begin = row_column(d, ROW_OWN_BEGIN, first), .page_numbers = d->page_numbers,
        .budgets = row_column(d, ROW_BUDGET, first), .answers = row_column(d, ROW_ANSWER, first),
        .answer_tokens = d->tokens, .answer_logprobs = d->logprobs,
        .answer_entropies = d->entropies, .stop_ids = d->stop_ids,
        .forced_begins = row_column(d, ROW_FORCED, first), .forced = d->forced, .B = rows->B,
        .most = d->settings.most_tokens, .stop_id_count = d->settings.stop_id_count,
        .forced_count = d->settings.forced_count, .page_number_count = d->page_number_count);
}

static enum status draw(void *context) {
    const struct rows *rows = context;
    const struct decoder *d = rows->decoder;
    struct model *model = d->model;
    const struct space_shape shape = {.R = rows->B, .draw = true};
    const struct sample_settings *how = &d->settings.sampling;
    const int64_t first = rows->first, B = rows->B, V = model->hparams.V, ld = logits_stride(V);
    float *scores = SPACE(SCORES);
    int32_t *drawn = batch_integers(model, &shape).target_tokens;
    TRY(head_open(model, d->hidden, row_column(d, ROW_SOURCE, first), B));
    TRY(head_logits(model, 0, V, ld, B));
    RUN(sample, .logits = SPACE(LOGITS),
        .counters = (const uint32_t *)row_column(d, ROW_COUNTERS, first), .seed = d->seed,
        .seen = d->tokens, .seen_rows = row_column(d, ROW_ANSWER, first),
        .seen_counts = row_column(d, ROW_COUNT, first), .tokens = drawn, .logprob = scores,
        .entropy = scores + B, .B = B, .V = V, .ld = ld, .seen_ld = d->settings.most_tokens,
        .settings = *how);
    return note(rows, drawn);
}

enum status decoder_draw(struct decoder *d, int64_t first, int64_t B) {
    struct rows rows = {.decoder = d, .first = first, .B = B};
    workspace_forget(d->model);
    TRY(workspace_reserve(d->model, &(struct space_shape){.R = B, .draw = true}));
    return draw(&rows);
}

/* --- a step --- */

static enum status attend(const struct decoder *d, const struct layer_state *s, int64_t layer) {
    struct model *model = d->model;
    RUN(attention_decode, .plan = &d->plan, .qkv = s->qkv, .pool = cache_pool_of(d->cache),
        .page_numbers = d->page_numbers, .prompt_begin = row_column(d, ROW_PROMPT_BEGIN, 0),
        .own_begin = row_column(d, ROW_OWN_BEGIN, 0),
        .prompt_length = row_column(d, ROW_PROMPT_LENGTH, 0),
        .own_length = row_column(d, ROW_COUNT, 0), .out = s->attention,
        .page_number_count = d->page_number_count, .layer = layer);
    return watch(model, layer, "attention", model->activations, s->attention, d->plan.B,
                 d->plan.H * d->plan.D);
}

static enum status step(void *context) {
    const struct rows *rows = context;
    const struct decoder *d = rows->decoder;
    struct model *model = d->model;
    const int64_t B = rows->B;
    struct layer_state s = layer_state(model, &(struct space_shape){.T = B}, 0);
    s.x = s.x2 = s.next = d->hidden;
    RUN(embed, .table = model->weights->embed, .tokens = row_column(d, ROW_TOKEN, 0), .out = s.x,
        .T = B);
    for (int64_t l = 0; l < model->hparams.layers; l++) {
        TRY(layer_project(model, l, &s, B, row_column(d, ROW_POSITION, 0)));
        TRY(store(d, &s, l, row_column(d, ROW_PAGE, 0), row_column(d, ROW_SLOT, 0), B));
        TRY(attend(d, &s, l));
        TRY(layer_expand(model, l, &s, B));
        TRY(layer_close(model, l, &s, B));
    }
    return draw(context);
}

enum status decoder_steps(struct decoder *d, int64_t B, int64_t width, int64_t steps) {
    struct rows rows = {.decoder = d, .B = width};
    struct model *model = d->model;
    workspace_forget(model);
    TRY(workspace_reserve(model, &(struct space_shape){.T = width}));
    TRY(workspace_reserve(model, &(struct space_shape){.R = width, .draw = true}));
    d->plan.arguments = model->workspace->moves;
    TRY(model->backend->ops->repeat(model->backend, &d->plan, steps, step, &rows));
    model->positions += B * steps;
    model->positions_decoded += B * steps;
    return STATUS_OK;
}

enum status decoder_explain(struct decoder *d, int64_t first, int64_t B, bool stepped) {
    struct rows rows = {.decoder = d, .first = first, .B = B};
    return explain_not_finite(d->model, stepped ? step : draw, &rows);
}
