/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocks and the output head over a packed batch. Every operation here is row-invariant
 * (backend.h), so the numbers of a token depend on its own context alone, and decoding, which runs
 * the same pieces, gives the same bits.
 */
#include "model/model_finite.h"
#include "tensor/finite.h"

#include <inttypes.h>

#define RUN(op, ...) TRY(backend_run(model->backend, op, __VA_ARGS__))

enum status norm_rows(struct model *model, const float *x, const float *weight, void *y,
                      float *inverse_rms, int64_t rows) {
    return backend_run(model->backend, rmsnorm, .x = x, .weight = weight, .y = y,
                       .inverse_rms = inverse_rms, .dtype = model->activations, .T = rows,
                       .C = model->hparams.C, .epsilon = model->hparams.rms_epsilon);
}

enum dtype product_dtype(const struct model *model, enum layer_part part) {
    return part == PART_O || part == PART_DOWN ? DTYPE_F32 : model->activations;
}

/* y = x Wᵀ + bias + residual of a part, rows contiguous, with what the adapter adds. */
static enum status multiply(struct model *model, int64_t layer, enum layer_part part,
                            enum layer_part bias, const void *x, const void *residual, void *y,
                            int64_t T) {
    const struct weight *weight = &model->weights->layers[layer].weights[part];
    RUN(gemm, .x = x, .weight = *weight, .bias = model->weights->layers[layer].vectors[bias],
        .residual = residual, .y = y, .x_dtype = model->activations,
        .y_dtype = product_dtype(model, part), .M = T, .ldx = weight->columns, .ldy = weight->rows);
    return adapt(model, layer, part, x, y, T);
}

enum status layer_project(struct model *model, int64_t l, const struct layer_state *s, int64_t T,
                          const int32_t *positions) {
    const struct hparams *h = &model->hparams;
    float *const *vectors = model->weights->layers[l].vectors;
    void *normed = model->workspace->memory[SPACE_NORMED];
    TRY(norm_rows(model, s->x, vectors[PART_INPUT_NORM], normed, s->inverse_rms1, T));
    TRY(watch(model, l, "input_layernorm", model->activations, normed, T, h->C));
    TRY(multiply(model, l, PART_QKV, PART_QKV_BIAS, normed, NULL, s->raw, T));
    RUN(rope, .qkv = s->raw, .positions = positions, .table = model->rope,
        .q_norm = vectors[PART_Q_NORM], .k_norm = vectors[PART_K_NORM], .out = s->qkv,
        .dtype = model->activations, .T = T, .H = h->H, .K = h->K, .D = h->D,
        .epsilon = h->rms_epsilon);
    return watch(model, l, "q_proj, k_proj or v_proj", model->activations, s->qkv, T,
                 (h->H + 2 * h->K) * h->D);
}

enum status layer_attend(struct model *model, int64_t l, const struct layer_state *s) {
    const struct attention_plan *plan = &model->workspace->plan;
    RUN(attention, .plan = plan, .qkv = s->qkv, .out = s->attention, .log_sum = s->log_sum,
        .dtype = model->activations);
    return watch(model, l, "attention", model->activations, s->attention, plan->T,
                 plan->H * plan->D);
}

enum status layer_expand(struct model *model, int64_t l, const struct layer_state *s, int64_t T) {
    void *normed = model->workspace->memory[SPACE_NORMED];
    TRY(multiply(model, l, PART_O, PART_O_BIAS, s->attention, s->x, s->x2, T));
    TRY(watch(model, l, "o_proj", DTYPE_F32, s->x2, T, model->hparams.C));
    TRY(norm_rows(model, s->x2, model->weights->layers[l].vectors[PART_POST_NORM], normed,
                  s->inverse_rms2, T));
    TRY(watch(model, l, "post_attention_layernorm", model->activations, normed, T,
              model->hparams.C));
    TRY(multiply(model, l, PART_GATE_UP, PART_GATE_UP_BIAS, normed, NULL, s->gate_up, T));
    return watch(model, l, "gate_proj or up_proj", model->activations, s->gate_up, T,
                 2 * model->hparams.F);
}

enum status layer_product(struct model *model, const struct layer_state *s, int64_t T) {
    return backend_run(model->backend, swiglu, .gate_up = s->gate_up,
                       .out = model->workspace->memory[SPACE_PRODUCT], .dtype = model->activations,
                       .T = T, .F = model->hparams.F);
}

enum status layer_close(struct model *model, int64_t l, const struct layer_state *s, int64_t T) {
    void *product = model->workspace->memory[SPACE_PRODUCT];
    TRY(layer_product(model, s, T));
    TRY(watch(model, l, "the product of gate_proj and up_proj", model->activations, product, T,
              model->hparams.F));
    TRY(multiply(model, l, PART_DOWN, PART_DOWN_BIAS, product, s->x2, s->next, T));
    return watch(model, l, "down_proj", DTYPE_F32, s->next, T, model->hparams.C);
}

/* --- the output head --- */

enum status head_open(struct model *model, const float *x, const int32_t *rows, int64_t R) {
    float *gathered = model->workspace->memory[SPACE_HEAD_X];
    void *normed = model->workspace->memory[SPACE_HEAD_NORMED];
    RUN(gather_rows, .x = x, .rows = rows, .out = gathered, .R = R, .C = model->hparams.C);
    TRY(norm_rows(model, gathered, model->weights->final_norm, normed,
                  model->workspace->memory[SPACE_HEAD_RMS], R));
    return watch(model, model->hparams.layers, "the final norm", model->activations, normed, R,
                 model->hparams.C);
}

enum status head_logits(struct model *model, int64_t begin, int64_t columns, int64_t ld,
                        int64_t R) {
    float *logits = model->workspace->memory[SPACE_LOGITS];
    RUN(gemm, .x = model->workspace->memory[SPACE_HEAD_NORMED],
        .weight = weight_view(&model->weights->head, begin, columns), .y = logits,
        .x_dtype = model->activations, .y_dtype = DTYPE_F32, .M = R, .ldx = model->hparams.C,
        .ldy = ld);
    for (int64_t r = 0; model->watched && r < R; r++)
        TRY(watch(model, model->hparams.layers, "lm_head", DTYPE_F32, logits + r * ld, 1, columns));
    return STATUS_OK;
}

static enum status head_pass(struct model *model, int64_t begin, int64_t columns, int64_t ld,
                             int64_t R, const int32_t *targets, float temperature) {
    return backend_run(model->backend, head_block, .logits = model->workspace->memory[SPACE_LOGITS],
                       .targets = targets, .rows = model->workspace->memory[SPACE_HEAD_ROWS],
                       .R = R, .columns = columns, .ld = ld, .begin = begin,
                       .temperature = temperature);
}

struct head_shift *head_shifts(const struct model *model, int64_t R) {
    float *scores = model->workspace->memory[SPACE_SCORES];
    return (struct head_shift *)(void *)(scores + 2 * R);
}

static enum status head_scores(struct model *model, int64_t R, float temperature) {
    float *scores = model->workspace->memory[SPACE_SCORES];
    return backend_run(model->backend, head_finish,
                       .rows = model->workspace->memory[SPACE_HEAD_ROWS], .logprob = scores,
                       .entropy = scores + R, .shift = head_shifts(model, R), .R = R,
                       .temperature = temperature);
}

static enum status head_forward(struct model *model, const float *x,
                                const struct batch_integers *in, int64_t R, float temperature,
                                float *logprob, float *entropy) {
    if (R == 0)
        return STATUS_OK;
    const int64_t V = model->hparams.V;
    const int64_t block = model->head_columns, width = V < block ? V : block,
                  ld = logits_stride(width);
    TRY(head_open(model, x, in->target_rows, R));
    for (int64_t begin = 0; begin < V; begin += block) {
        const int64_t columns = V - begin < width ? V - begin : width;
        TRY(head_logits(model, begin, columns, ld, R));
        TRY(head_pass(model, begin, columns, ld, R, in->target_tokens, temperature));
    }
    TRY(head_scores(model, R, temperature));
    struct backend *backend = model->backend;
    const float *scores = model->workspace->memory[SPACE_SCORES];
    const size_t bytes = (size_t)R * sizeof(float);
    TRY(backend->ops->download(backend, logprob, scores, bytes));
    return backend->ops->download(backend, entropy, scores + R, bytes);
}

/* --- hidden states in the place of the head --- */

/* As head_open has them, but in fp32 whatever the activations are. */
static enum status states_forward(struct model *model, const float *x, const int32_t *rows,
                                  int64_t R, float *states) {
    struct backend *backend = model->backend;
    float *gathered = model->workspace->memory[SPACE_HEAD_X];
    float *normed = model->workspace->memory[SPACE_STATES];
    const int64_t C = model->hparams.C;
    if (R == 0)
        return STATUS_OK;
    RUN(gather_rows, .x = x, .rows = rows, .out = gathered, .R = R, .C = C);
    RUN(rmsnorm, .x = gathered, .weight = model->weights->final_norm, .y = normed,
        .inverse_rms = model->workspace->memory[SPACE_HEAD_RMS], .dtype = DTYPE_F32, .T = R, .C = C,
        .epsilon = model->hparams.rms_epsilon);
    TRY(watch(model, model->hparams.layers, "the final norm", DTYPE_F32, normed, R, C));
    return backend->ops->download(backend, states, normed, (size_t)(R * C) * sizeof(float));
}

/* --- the whole --- */

enum status check_batch(const struct model *model, const struct batch *batch) {
    for (int64_t i = 0; i < batch->T; i++) {
        if (batch->tokens[i] < 0 || batch->tokens[i] >= model->hparams.V)
            return FAIL(STATUS_INPUT, "token id %d is outside the model's vocabulary of %" PRId64,
                        (int)batch->tokens[i], model->hparams.V);
        if (batch->positions[i] >= model->settings.max_positions)
            return FAIL(STATUS_INPUT,
                        "a sequence is longer than the %" PRId64 " positions the model was opened "
                        "for",
                        model->settings.max_positions);
    }
    for (int64_t i = 0; i < batch->target_count; i++)
        if (batch->target_tokens[i] < 0 || batch->target_tokens[i] >= model->hparams.V)
            return FAIL(STATUS_INPUT, "token id %d is outside the model's vocabulary of %" PRId64,
                        (int)batch->target_tokens[i], model->hparams.V);
    return STATUS_OK;
}

static enum status upload_batch(struct model *model, const struct batch *batch,
                                const struct batch_integers *to) {
    struct backend *b = model->backend;
    const size_t rows = (size_t)batch->T * sizeof(int32_t);
    const size_t targets = (size_t)batch->target_count * sizeof(int32_t);
    TRY(b->ops->upload(b, to->tokens, batch->tokens, rows));
    TRY(b->ops->upload(b, to->positions, batch->positions, rows));
    if (targets == 0)
        return STATUS_OK;
    TRY(b->ops->upload(b, to->target_rows, batch->target_rows, targets));
    return b->ops->upload(b, to->target_tokens, batch->target_tokens, targets);
}

/* A forward and where its results go. */
struct forward {
    struct model *model;
    const struct batch *batch;
    float temperature;
    struct space_shape shape;
    float *logprob, *entropy; /* (R); or NULL, and then */
    float *states;            /* (R, C) */
};

enum status blocks_forward(struct model *model, const struct space_shape *shape, float **x) {
    const int64_t T = shape->T, layers = model->hparams.layers;
    const struct batch_integers in = batch_integers(model, shape);
    struct layer_state s = layer_state(model, shape, 0);
    RUN(embed, .table = model->weights->embed, .tokens = in.tokens, .out = s.x, .T = T);
    for (int64_t l = 0; l < layers; l++) {
        s = layer_state(model, shape, l);
        TRY(layer_project(model, l, &s, T, in.positions));
        TRY(layer_attend(model, l, &s));
        TRY(layer_expand(model, l, &s, T));
        TRY(layer_close(model, l, &s, T));
    }
    *x = s.next;
    return STATUS_OK;
}

static enum status forward_run(void *context) {
    const struct forward *forward = context;
    struct model *model = forward->model;
    const struct batch_integers in = batch_integers(model, &forward->shape);
    float *x;
    TRY(blocks_forward(model, &forward->shape, &x));
    if (forward->shape.states)
        return states_forward(model, x, in.target_rows, forward->shape.R, forward->states);
    return head_forward(model, x, &in, forward->shape.R, forward->temperature, forward->logprob,
                        forward->entropy);
}

static bool results_finite(const struct forward *forward) {
    const int64_t R = forward->shape.R;
    if (forward->shape.states)
        return first_not_finite(forward->states, R * forward->model->hparams.C) < 0;
    return first_not_finite(forward->logprob, R) < 0 && first_not_finite(forward->entropy, R) < 0;
}

static enum status forward_batch(struct forward *forward) {
    struct model *model = forward->model;
    const struct batch *batch = forward->batch;
    forward->shape.T = batch->T;
    forward->shape.R = batch->target_count;
    forward->shape.recompute = model->settings.recompute;
    workspace_forget(model);
    if (batch->T == 0)
        return STATUS_OK;
    TRY(check_batch(model, batch));
    TRY(workspace_reserve(model, &forward->shape));
    const struct batch_integers in = batch_integers(model, &forward->shape);
    TRY(upload_batch(model, batch, &in));
    TRY(workspace_plan(model, batch->segments, batch->segment_count));
    TRY(forward_run(forward));
    if (!results_finite(forward))
        return explain_not_finite(model, forward_run, forward);
    model->positions += batch->T;
    if (forward->shape.keep)
        workspace_keep(model, &forward->shape);
    return STATUS_OK;
}

enum status model_forward(struct model *model, const struct batch *batch, float temperature,
                          bool keep, float *logprob, float *entropy) {
    struct forward forward = {.model = model,
                              .batch = batch,
                              .temperature = temperature,
                              .shape = {.keep = keep},
                              .logprob = logprob,
                              .entropy = entropy};
    return forward_batch(&forward);
}

enum status model_states(struct model *model, const struct batch *batch, bool keep, float *states) {
    struct forward forward = {
        .model = model, .batch = batch, .shape = {.keep = keep, .states = true}, .states = states};
    return forward_batch(&forward);
}
