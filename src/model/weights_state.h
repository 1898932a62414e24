/* SPDX-License-Identifier: Apache-2.0
 *
 * What weights hold, layer by layer in the parts of parameters.h; for the files of this folder only.
 */
#ifndef MODEL_WEIGHTS_STATE_H
#define MODEL_WEIGHTS_STATE_H

#include "model/weights.h"

struct layer {
    struct weight weights[PART_COUNT]; /* matrices */
    float *vectors[PART_COUNT];        /* norms and biases; NULL where the model has none */
};

/* A run of the flat vector and the working copy it fills: a matrix or a vector. */
struct weight_block {
    int64_t offset, elements;
    const struct weight *weight;
    float *vector;
};

struct weights {
    struct backend *backend;
    struct hparams hparams;
    enum dtype dtype; /* of the matrices */
    struct parameter_layout layout;
    struct parameter_set set;
    struct parameter *parameters; /* the set's items */

    struct weight embed, head; /* head is embed where they are tied */
    struct layer *layers;
    float *final_norm;
    float *vectors; /* all norms and biases; the pointers above lead into it */
    struct weight_block *blocks;
    int64_t block_count;
};

#endif
