/* SPDX-License-Identifier: Apache-2.0
 *
 * A decoder-only transformer (Qwen2, Qwen3, Llama) over packed batches: forward, log-probabilities
 * and entropies at the targets, and backward. Decoding with a cache is decoder.h's.
 *
 * A model is weights (weights.h), perhaps an adapter (adapter.h), and a workspace for activations.
 * What is trained, all weights or the adapter's factors, is its parameter set: named tensors in one
 * flat vector, whose fp32 master belongs to the caller, who calls model_refresh after changing it.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/adapter.h"
#include "model/batch.h"
#include "model/hparams.h"
#include "model/parameters.h"
#include "model/weights.h"

struct model; /* see model.c */

struct model_settings {
    bool recompute; /* keep only the input of each layer, compute the layer again in the backward */
    int64_t max_positions; /* longest sequence that will be given; at most hparams.max_positions */
    /* A model of the same shape whose workspace this one uses too, as a reference does its
     * policy's: what a forward of one keeps is lost with the next of the other. Outlives it. */
    struct model *shares;
};

/* Makes a model of these weights and, unless NULL, the adapter. Both may still be empty, and serve
 * other models too; they outlive it. Its workspace grows with the largest batch it is given. The
 * caller destroys it. */
enum status model_create(struct model **model, struct weights *weights, struct adapter *adapter,
                         const struct model_settings *settings) MUST_USE;
void model_destroy(struct model **model);

struct backend *model_backend(const struct model *model);
const struct hparams *model_hparams(const struct model *model);
struct weights *model_weights(const struct model *model);

/* What is trained: the factors of the adapter, or without one all weights. */
const struct parameter_set *model_trained(const struct model *model);

/* The working copy of what is trained becomes that of the flat fp32 vector (backend memory). */
enum status model_refresh(struct model *model, const float *master) MUST_USE;

/* Runs the blocks over the batch and the head over its targets. logprob and entropy are host arrays
 * (target_count), of softmax(z / temperature). keep: activations stay for model_backward, until the
 * next forward. It fails with STATUS_NUMERIC when a
 * result is not finite, naming the tensor or the layer from which that comes. */
enum status model_forward(struct model *model, const struct batch *batch, float temperature,
                          bool keep, float *logprob, float *entropy) MUST_USE;

/* Runs the blocks over the batch and gives what the head would read: the hidden states behind the final
 * norm at the rows of the targets, in fp32, states (target_count, C) on the host. keep: activations stay
 * for model_states_backward. Fails as model_forward does where one is not finite. */
enum status model_states(struct model *model, const struct batch *batch, bool keep,
                         float *states) MUST_USE;

/* A part of a gradient: elements [offset, offset + n) of it, or rows of the matrix that they are. */
struct gradient_piece {
    int64_t offset, n;
    int64_t columns; /* 0: all elements; else those of a row */
    /* What is added, valid during the call (see lasts): backend memory, (n) or (count, columns), and
     * which rows these are (host, ascending). */
    const float *values;
    const int32_t *rows;
    int64_t count;
};

/* Where gradients go, piece by piece. */
struct gradient_sink {
    enum status (*add)(void *context, const struct gradient_piece *piece);
    /* Called between the operations of the backward, for what goes on beside it; or NULL. */
    enum status (*progress)(void *context);
    /* The values of a piece are valid until the call for the next piece comes back; takes the memory
     * of another piece. Rows are not, nor is the last piece before another forward. */
    bool lasts;
    void *context;
};

/* The pieces that every backward of this model gives, in order, whatever the batch; without values.
 * Who takes part in their sums without a batch knows by them what the others give. */
int64_t model_gradient_piece_count(const struct model *model);
struct gradient_piece model_gradient_piece(const struct model *model, int64_t i);

/* Gradient of a loss whose derivatives with respect to the last forward's log-probabilities and
 * entropies are given (host, (target_count); d_entropy may be NULL for none). */
enum status model_backward(struct model *model, const struct batch *batch, float temperature,
                           const float *d_logprob, const float *d_entropy,
                           const struct gradient_sink *sink) MUST_USE;

/* The same of a loss over hidden states, with the derivatives by those of the last model_states (host,
 * (target_count, C)). Gives the same pieces; where weights are trained those of the output head are
 * zeros. */
enum status model_states_backward(struct model *model, const struct batch *batch,
                                  const float *d_states, const struct gradient_sink *sink) MUST_USE;

/* Makes room for forwards and backwards of so many positions and targets, so that none of them takes
 * memory later but for scratch; `lasts` as the sink's. */
enum status model_reserve(struct model *model, int64_t T, int64_t R, bool lasts) MUST_USE;

/* Token positions that went through the blocks since the model was made (recomputation in the
 * backward does not count), and the part of them that prefills and decoding took. */
int64_t model_positions_computed(const struct model *model);
int64_t model_positions_decoded(const struct model *model);

#endif
