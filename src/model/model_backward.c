/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a loss over log-probabilities and entropies, from the head down to the embedding.
 * Weight gradients exist for one layer, or one block of the head, at a time and go to the sink at
 * once. Kept activations are not written, so a backward can be repeated.
 */
#include "model/model_state.h"

#include "base/memory.h"

#define RUN(op, ...)                                                                               \
    do {                                                                                           \
        TRY(backend_run(model->backend, op, __VA_ARGS__));                                         \
        if (model->sink->progress != NULL)                                                         \
            TRY(model->sink->progress(model->sink->context));                                      \
    } while (0)
#define SPACE(name) model->workspace->memory[SPACE_##name]

/* Without an adapter the weights themselves; with one no gradient of theirs is computed. */
static bool trains_weights(const struct model *model) {
    return model->adapter == NULL;
}

/* --- the pieces --- */

static int64_t head_block_count(const struct model *model) {
    return (model->hparams.V + model->head_columns - 1) / model->head_columns;
}

/* The layers, from the last to the first, follow the blocks of the head and the final norm. */
static int64_t first_layer_piece(const struct model *model) {
    return trains_weights(model) ? head_block_count(model) + 1 : 0;
}

int64_t model_gradient_piece_count(const struct model *model) {
    const int64_t layers = model->hparams.layers;
    return trains_weights(model) ? first_layer_piece(model) + layers + 1 : layers;
}

static struct gradient_piece layer_piece(const struct model *model, int64_t l) {
    const struct parameter_layout *layout = &model->weights->layout;
    if (!trains_weights(model))
        return (struct gradient_piece){.offset = l * model->adapter->layer_elements,
                                       .n = model->adapter->layer_elements};
    return (struct gradient_piece){.offset = layout->first_layer + l * layout->layer_elements,
                                   .n = layout->layer_elements};
}

struct gradient_piece model_gradient_piece(const struct model *model, int64_t i) {
    const struct parameter_layout *layout = &model->weights->layout;
    const int64_t C = model->hparams.C, V = model->hparams.V;
    const int64_t first = first_layer_piece(model), layers = model->hparams.layers;
    ASSERT(i >= 0 && i < model_gradient_piece_count(model));
    if (i >= first && i < first + layers)
        return layer_piece(model, layers - 1 - (i - first));
    if (i >= first)
        return (struct gradient_piece){.offset = layout->embed, .n = V * C, .columns = C};
    if (i == first - 1)
        return (struct gradient_piece){.offset = layout->final_norm, .n = C};
    const int64_t block = model->head_columns, begin = i * block, left = V - begin;
    return (struct gradient_piece){.offset = layout->head + begin * C,
                                   .n = (left < block ? left : block) * C};
}

/* Gives piece i, which stands in SPACE_GRADIENT. Where it lasts the next one is made elsewhere. */
static enum status give(struct model *model, const struct gradient_sink *sink, int64_t i) {
    struct gradient_piece piece = model_gradient_piece(model, i);
    piece.values = SPACE(GRADIENT);
    if (sink->lasts)
        workspace_swap(model, SPACE_GRADIENT, SPACE_GRADIENT_GIVEN);
    return sink->add(sink->context, &piece);
}

static enum status clear(struct model *model, float *x, int64_t n) {
    return model->backend->ops->clear(model->backend, x, (size_t)n * sizeof(float));
}

static enum status norm_backward(struct model *model, const float *x, const float *weight,
                                 const float *inverse_rms, const void *dy, enum dtype dtype,
                                 float *dx, float *dweight, int64_t rows) {
    return backend_run(model->backend, rmsnorm_backward, .x = x, .weight = weight,
                       .inverse_rms = inverse_rms, .dy = dy, .dx = dx, .dweight = dweight,
                       .dtype = dtype, .T = rows, .C = model->hparams.C);
}

/* --- the output head --- */

static enum status upload_scores(struct model *model, int64_t R, const float *d_logprob,
                                 const float *d_entropy) {
    struct backend *b = model->backend;
    float *scores = SPACE(D_SCORES);
    TRY(b->ops->upload(b, scores, d_logprob, (size_t)R * sizeof(float)));
    if (d_entropy == NULL)
        return clear(model, scores + R, R);
    return b->ops->upload(b, scores + R, d_entropy, (size_t)R * sizeof(float));
}

/* Where the gradient of a block's logits has its place. */
static void *d_logits_of(const struct model *model) {
    return model->activations == DTYPE_F32 ? SPACE(LOGITS) : SPACE(D_LOGITS);
}

/* Of a loss over log-probabilities and entropies. */
static enum status scores_gradient(struct model *model, const struct head_loss *loss, int64_t begin,
                                   int64_t columns, struct head_block *block) {
    const int64_t R = loss->R, ld = block->ld;
    float *scores = SPACE(SCORES), *d_scores = SPACE(D_SCORES);
    TRY(head_logits(model, begin, columns, ld, R));
    return backend_run(
        model->backend, head_backward, .logits = SPACE(LOGITS), .targets = loss->in->target_tokens,
        .shift = head_shifts(model, R), .entropy = scores + R, .d_logprob = d_scores,
        .d_entropy = d_scores + R, .out = d_logits_of(model), .R = R, .columns = columns, .ld = ld,
        .begin = begin, .temperature = loss->temperature, .dtype = model->activations);
}

/* One block of the vocabulary: its logits again, their gradient, and what follows from it. */
static enum status head_block_backward(struct model *model, int64_t begin, int64_t columns,
                                       int64_t ld, const struct head_loss *loss,
                                       const struct gradient_sink *sink) {
    const int64_t R = loss->R, C = model->hparams.C;
    const enum dtype dtype = model->activations;
    struct head_block block = {.d_logits = d_logits_of(model), .ld = ld};
    TRY(loss->gradient(model, loss, begin, columns, &block));
    if (!loss->rows_known)
        RUN(gemm_dx, .dy = block.d_logits,
            .weight = weight_view(&model->weights->head, begin, columns), .dx = SPACE(D_HEAD),
            .dy_dtype = dtype, .dx_dtype = DTYPE_F32, .M = R, .ldy = block.ld, .ldx = C,
            .add = begin > 0);
    if (!trains_weights(model))
        return STATUS_OK;
    RUN(gemm_dw, .dy = block.d_logits, .x = SPACE(HEAD_NORMED), .dw = SPACE(GRADIENT),
        .dy_dtype = dtype, .x_dtype = dtype, .M = R, .N = columns, .K = C, .ldy = block.ld,
        .ldx = C);
    return give(model, sink, begin / model->head_columns);
}

/* From the gradient of the normed rows of the targets, in SPACE_D_HEAD, to that of the last layer. */
static enum status final_norm_backward(struct model *model, const struct batch_integers *in,
                                       int64_t R, const struct gradient_sink *sink) {
    const int64_t C = model->hparams.C;
    TRY(clear(model, SPACE(D_HEAD_X), R * C));
    TRY(norm_backward(model, SPACE(HEAD_X), model->weights->final_norm, SPACE(HEAD_RMS),
                      SPACE(D_HEAD), DTYPE_F32, SPACE(D_HEAD_X),
                      trains_weights(model) ? SPACE(GRADIENT) : NULL, R));
    if (trains_weights(model))
        TRY(give(model, sink, head_block_count(model)));
    RUN(scatter_rows, .x = SPACE(D_HEAD_X), .rows = in->target_rows, .out = SPACE(D_X), .R = R,
        .C = C);
    return STATUS_OK;
}

static enum status head_backward(struct model *model, const struct head_loss *loss,
                                 const struct gradient_sink *sink) {
    const int64_t V = model->hparams.V;
    const int64_t block = model->head_columns, width = V < block ? V : block,
                  ld = logits_stride(width);
    const bool blocks = !loss->rows_known || trains_weights(model);
    for (int64_t begin = 0; blocks && begin < V; begin += block)
        TRY(head_block_backward(model, begin, V - begin < width ? V - begin : width, ld, loss,
                                sink));
    return final_norm_backward(model, loss->in, loss->R, sink);
}

/* Hidden states that no head read: the pieces of the head are zeros, for those who wait for them. */
static enum status states_backward(struct model *model, const struct batch_integers *in, int64_t R,
                                   const float *d_states, const struct gradient_sink *sink) {
    struct backend *b = model->backend;
    for (int64_t i = 0; trains_weights(model) && i < head_block_count(model); i++) {
        TRY(clear(model, SPACE(GRADIENT), model_gradient_piece(model, i).n));
        TRY(give(model, sink, i));
    }
    TRY(b->ops->upload(b, SPACE(D_HEAD), d_states, (size_t)(R * model->hparams.C) * sizeof(float)));
    return final_norm_backward(model, in, R, sink);
}

/* --- one layer --- */

/* dx, unless NULL, and dw of y = x Wᵀ + bias with its adapter; gradients of what is trained go to
 * their places in SPACE_GRADIENT. */
static enum status multiply_backward(struct model *model, int64_t layer, enum layer_part part,
                                     enum layer_part bias, const void *x, const void *dy, void *dx,
                                     int64_t T) {
    const struct part_place *w = &model->weights->layout.parts[part],
                            *b = &model->weights->layout.parts[bias];
    const enum dtype inner = model->activations, outer = product_dtype(model, part);
    float *gradient = SPACE(GRADIENT);
    if (dx != NULL)
        RUN(gemm_dx, .dy = dy, .weight = model->weights->layers[layer].weights[part], .dx = dx,
            .dy_dtype = outer, .dx_dtype = inner, .M = T, .ldy = w->rows, .ldx = w->columns);
    if (!trains_weights(model))
        return adapt_backward(model, layer, part, x, dy, dx, T);
    RUN(gemm_dw, .dy = dy, .x = x, .dw = gradient + w->offset,
        .dbias = b->elements > 0 ? gradient + b->offset : NULL, .dy_dtype = outer, .x_dtype = inner,
        .M = T, .N = w->rows, .K = w->columns, .ldy = w->rows, .ldx = w->columns);
    return STATUS_OK;
}

static float *part_gradient(const struct model *model, enum layer_part part) {
    const struct part_place *place = &model->weights->layout.parts[part];
    float *gradient = SPACE(GRADIENT);
    return place->elements > 0 && trains_weights(model) ? gradient + place->offset : NULL;
}

/* SPACE_D_X: gradient of the layer's output, then of x2. */
static enum status mlp_backward(struct model *model, int64_t l, const struct layer_state *s,
                                int64_t T) {
    const struct layer *layer = &model->weights->layers[l];
    TRY(layer_product(model, s, T));
    TRY(multiply_backward(model, l, PART_DOWN, PART_DOWN_BIAS, SPACE(PRODUCT), SPACE(D_X),
                          SPACE(D_PRODUCT), T));
    RUN(swiglu_backward, .gate_up = s->gate_up, .dout = SPACE(D_PRODUCT),
        .dgate_up = SPACE(D_GATE_UP), .dtype = model->activations, .T = T, .F = model->hparams.F);
    TRY(norm_rows(model, s->x2, layer->vectors[PART_POST_NORM], SPACE(NORMED), NULL, T));
    TRY(multiply_backward(model, l, PART_GATE_UP, PART_GATE_UP_BIAS, SPACE(NORMED),
                          SPACE(D_GATE_UP), SPACE(D_NORMED), T));
    return norm_backward(model, s->x2, layer->vectors[PART_POST_NORM], s->inverse_rms2,
                         SPACE(D_NORMED), model->activations, SPACE(D_X),
                         part_gradient(model, PART_POST_NORM), T);
}

static enum status rotation_backward(struct model *model, int64_t l, const struct layer_state *s,
                                     const int32_t *positions, int64_t T) {
    const struct hparams *h = &model->hparams;
    float *const *vectors = model->weights->layers[l].vectors;
    const struct rope_args forward = {.qkv = s->raw,
                                      .positions = positions,
                                      .table = model->rope,
                                      .q_norm = vectors[PART_Q_NORM],
                                      .k_norm = vectors[PART_K_NORM],
                                      .dtype = model->activations,
                                      .T = T,
                                      .H = h->H,
                                      .K = h->K,
                                      .D = h->D,
                                      .epsilon = h->rms_epsilon};
    return backend_run(model->backend, rope_backward, .forward = forward, .dqkv = SPACE(D_QKV),
                       .dq_norm = part_gradient(model, PART_Q_NORM),
                       .dk_norm = part_gradient(model, PART_K_NORM));
}

/* SPACE_D_X: gradient of x2, then of the layer's input. */
static enum status attention_part_backward(struct model *model, int64_t l,
                                           const struct layer_state *s, int64_t T,
                                           const int32_t *positions) {
    const struct layer *layer = &model->weights->layers[l];
    const struct attention_args forward = {.plan = &model->workspace->plan,
                                           .qkv = s->qkv,
                                           .out = s->attention,
                                           .log_sum = s->log_sum,
                                           .dtype = model->activations};
    TRY(multiply_backward(model, l, PART_O, PART_O_BIAS, s->attention, SPACE(D_X),
                          SPACE(D_ATTENTION), T));
    RUN(attention_backward, .forward = forward, .dout = SPACE(D_ATTENTION), .dqkv = SPACE(D_QKV));
    TRY(rotation_backward(model, l, s, positions, T));
    TRY(norm_rows(model, s->x, layer->vectors[PART_INPUT_NORM], SPACE(NORMED), NULL, T));
    /* Below the first layer only the embedding wants a gradient. */
    if (l == 0 && !trains_weights(model))
        return multiply_backward(model, l, PART_QKV, PART_QKV_BIAS, SPACE(NORMED), SPACE(D_QKV),
                                 NULL, T);
    TRY(multiply_backward(model, l, PART_QKV, PART_QKV_BIAS, SPACE(NORMED), SPACE(D_QKV),
                          SPACE(D_NORMED), T));
    return norm_backward(model, s->x, layer->vectors[PART_INPUT_NORM], s->inverse_rms1,
                         SPACE(D_NORMED), model->activations, SPACE(D_X),
                         part_gradient(model, PART_INPUT_NORM), T);
}

static enum status layer_backward(struct model *model, const struct batch *batch,
                                  const struct space_shape *shape, int64_t l,
                                  const int32_t *positions, const struct gradient_sink *sink) {
    const struct layer_state s = layer_state(model, shape, l);
    const int64_t T = batch->T;
    if (shape->recompute) {
        TRY(layer_project(model, l, &s, T, positions));
        TRY(layer_attend(model, l, &s));
        TRY(layer_expand(model, l, &s, T));
    }
    TRY(mlp_backward(model, l, &s, T));
    TRY(attention_part_backward(model, l, &s, T, positions));
    return give(model, sink, first_layer_piece(model) + model->hparams.layers - 1 - l);
}

/* --- the embedding --- */

/* Gives each token of the batch its place among the different tokens in ascending order, in
 * model->token_places (−1: not in the batch), and lists these in model->row_tokens. */
static enum status place_tokens(struct model *model, const struct batch *batch,
                                int64_t *different) {
    int32_t *places = model->token_places;
    int32_t count = 0;
    if (batch->T > model->row_capacity) {
        TRY(memory_grow(&model->row_places, batch->T, "places of rows"));
        TRY(memory_grow(&model->row_tokens, batch->T, "tokens of a batch"));
        model->row_capacity = batch->T;
    }
    for (int64_t v = 0; v < model->hparams.V; v++)
        places[v] = -1;
    for (int64_t t = 0; t < batch->T; t++)
        places[batch->tokens[t]] = 0;
    for (int32_t v = 0; v < model->hparams.V; v++)
        if (places[v] == 0) {
            model->row_tokens[count] = v;
            places[v] = count++;
        }
    *different = count;
    return STATUS_OK;
}

/* Uploads the place of every row's token over the tokens, which the backward needs no more. */
static enum status upload_places(struct model *model, const struct batch *batch, int32_t *to) {
    struct backend *b = model->backend;
    for (int64_t t = 0; t < batch->T; t++)
        model->row_places[t] = model->token_places[batch->tokens[t]];
    return b->ops->upload(b, to, model->row_places, (size_t)batch->T * sizeof(int32_t));
}

/* Rows of equal tokens are added up first. */
static enum status embedding_backward(struct model *model, const struct batch *batch,
                                      const struct batch_integers *in,
                                      const struct gradient_sink *sink) {
    const int64_t C = model->hparams.C;
    int64_t count;
    TRY(place_tokens(model, batch, &count));
    float *sums = SPACE(GRADIENT);
    TRY(upload_places(model, batch, in->tokens));
    TRY(clear(model, sums, count * C));
    RUN(scatter_rows, .x = SPACE(D_X), .rows = in->tokens, .out = sums, .R = batch->T, .C = C);
    struct gradient_piece piece =
        model_gradient_piece(model, model_gradient_piece_count(model) - 1);
    piece.values = sums;
    piece.rows = model->row_tokens;
    piece.count = count;
    return sink->add(sink->context, &piece);
}

/* --- the whole --- */

enum status backward_open(struct model *model, const struct batch *batch, bool states,
                          const struct gradient_sink *sink, struct space_shape *shape) {
    *shape = model->workspace->kept;
    if (model->workspace->keeper != model || shape->T - shape->guests != batch->T ||
        shape->R != batch->target_count || shape->states != states)
        return FAIL(STATUS_DEFECT, "the activations of this batch are not kept: its forward must "
                                   "come last, with keep");
    shape->backward = true;
    shape->lasts = sink->lasts;
    model->sink = sink;
    TRY(workspace_reserve(model, shape));
    return clear(model, SPACE(D_X), batch->T * model->hparams.C);
}

/* What follows from the gradient of the last layer's output, in SPACE_D_X. */
static enum status blocks_backward(struct model *model, const struct batch *batch,
                                   const struct space_shape *shape,
                                   const struct gradient_sink *sink) {
    const struct batch_integers in = batch_integers(model, shape);
    for (int64_t l = model->hparams.layers; l-- > 0;)
        TRY(layer_backward(model, batch, shape, l, in.positions, sink));
    return trains_weights(model) ? embedding_backward(model, batch, &in, sink) : STATUS_OK;
}

enum status backward_run(struct model *model, const struct batch *batch,
                         const struct space_shape *shape, const struct head_loss *loss,
                         const struct gradient_sink *sink) {
    TRY(head_backward(model, loss, sink));
    return blocks_backward(model, batch, shape, sink);
}

enum status model_backward(struct model *model, const struct batch *batch, float temperature,
                           const float *d_logprob, const float *d_entropy,
                           const struct gradient_sink *sink) {
    const int64_t R = batch->target_count;
    struct space_shape shape;
    if (batch->T == 0 || R == 0)
        return STATUS_OK;
    TRY(backward_open(model, batch, false, sink, &shape));
    const struct batch_integers in = batch_integers(model, &shape);
    TRY(upload_scores(model, R, d_logprob, d_entropy));
    return backward_run(
        model, batch, &shape,
        &(struct head_loss){
            .gradient = scores_gradient, .in = &in, .R = R, .temperature = temperature},
        sink);
}

enum status model_states_backward(struct model *model, const struct batch *batch,
                                  const float *d_states, const struct gradient_sink *sink) {
    struct space_shape shape;
    if (batch->T == 0 || batch->target_count == 0)
        return STATUS_OK;
    TRY(backward_open(model, batch, true, sink, &shape));
    const struct batch_integers in = batch_integers(model, &shape);
    TRY(states_backward(model, &in, batch->target_count, d_states, sink));
    return blocks_backward(model, batch, &shape, sink);
}
