/* SPDX-License-Identifier: Apache-2.0
 *
 * A head that tells real sequences from written ones by a model's hidden states. Of each sequence
 * it takes one state x (C), as model_states gives it, or the mean of several, and
 *
 *     y = w_n ∘ (x − mean x) / √(var x + 1e-5) + b_n        (layer norm, var over C)
 *     logits = W y + b                                      (2, C); class 1 is real
 *     value = W_v y + b_v                                   (1, C); where a value is wanted, of the
 *                                                           same y, or of that of another state
 *
 * Its tensors stand together in the flat vector of what is trained, behind those of the model:
 * discriminator.norm.weight, norm.bias, linear.weight, linear.bias, value.weight, value.bias.
 * Master and gradient are that vector's and may be on a device. The head itself computes on the
 * host, in double and in the order of the sequences, for it sees a few rows a step: the same bits
 * for every backend and any number of threads. Its gradient is one addend for each microbatch, as
 * the model's is.
 *
 * A microbatch: model_states; discriminator_forward; the weights of the losses;
 * discriminator_backward, whose d_states go to model_states_backward and whose piece goes where the
 * pieces of that go.
 */
#ifndef MODEL_DISCRIMINATOR_H
#define MODEL_DISCRIMINATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/model.h"
#include "model/parameters.h"

/* Which of a sequence's rows count: the last one, or the mean of all. In the order of
 * adversarial.pooling. */
enum pooling { POOLING_LAST, POOLING_MEAN };

struct discriminator_settings {
    int64_t C;
    enum pooling pooling;
    bool value;     /* there is a value head */
    int64_t offset; /* of its first element in the flat vector */
};

/* A sequence: which states are its own, what its losses count, and what the head says of it. */
struct discriminator_sequence {
    int64_t begin, end; /* rows [begin, end) of the states; at least one */
    bool value_apart;   /* the value is read at another row, through the same norm */
    int64_t value_row;  /* which */
    int label;          /* 1: real, 0: written */

    /* Found by discriminator_forward. */
    double logits[2];
    double probability;   /* of being real */
    double cross_entropy; /* − log probability of the label */
    double value;         /* 0 without a value head */

    /* For discriminator_backward: the loss is Σ weight cross_entropy + value_weight (value −
     * value_target)², which may be chosen after the forward; value_target counts as a constant. */
    double weight;
    double value_weight, value_target;
};

/* Elements of its tensors, and whether a tensor has the name of one of a head's. */
int64_t discriminator_elements(const struct discriminator_settings *settings);
bool discriminator_names(const char *tensor);

struct discriminator;

/* The head's values are zero until they are refreshed. The backend must outlive it; the caller
 * destroys it. */
enum status discriminator_create(struct discriminator **discriminator, struct backend *backend,
                                 const struct discriminator_settings *settings) MUST_USE;
void discriminator_destroy(struct discriminator **discriminator);

/* Its tensors, by their offsets in the flat vector: the first one's is settings.offset; `elements`
 * are its own. */
const struct parameter_set *discriminator_parameters(const struct discriminator *discriminator);

/* Fills its part of the flat vector (backend memory) as a new head has it: norm 1 and 0, matrices
 * normal(0, 0.02), biases 0. A function of the seed. */
enum status discriminator_initialise(const struct discriminator *discriminator, uint64_t seed,
                                     float *master) MUST_USE;

/* The values that it computes with become those of the flat vector (backend memory). */
enum status discriminator_refresh(struct discriminator *discriminator,
                                  const float *master) MUST_USE;

/* Fills what is found of each sequence. states: (rows, C) on the host. */
void discriminator_forward(struct discriminator *discriminator, const float *states,
                           struct discriminator_sequence *sequences, int64_t count);

/* The gradient of the loss of these sequences over the same states: by the states, d_states
 * (rows, C) on the host, zeros where a row is nobody's; and by the head's tensors, *piece, whose
 * values are in backend memory and valid until the next call. */
enum status discriminator_backward(struct discriminator *discriminator, const float *states,
                                   int64_t rows, const struct discriminator_sequence *sequences,
                                   int64_t count, float *d_states,
                                   struct gradient_piece *piece) MUST_USE;

/* The place of that piece, without values: for who takes part in its sum without a microbatch. */
struct gradient_piece discriminator_gradient_piece(const struct discriminator *discriminator);

#endif
