/* SPDX-License-Identifier: Apache-2.0
 *
 * The parameters of a model of a given shape: Hugging Face's names in one fixed order, laid one
 * after another in a flat vector. The order makes every matrix that is multiplied as one stand as
 * one block: q, k, v weights are the rows of one (H + 2 K) D × C matrix, gate and up of one 2 F ×
 * C.
 *
 *     embed_tokens; per layer: input_layernorm, q k v weights, q k v biases, q_norm k_norm, o,
 *     post_attention_layernorm, gate up weights, gate up biases, down; norm; lm_head unless tied
 */
#ifndef MODEL_PARAMETERS_H
#define MODEL_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/hparams.h"
#include "model/tied_head.h"

struct parameter {
    char name[128];        /* Hugging Face's tensor name */
    int64_t rows, columns; /* a vector has columns 1 and is not a matrix */
    bool matrix;           /* weight decay applies to matrices only */
    int64_t offset;        /* of its first element in the flat vector */
};

/* Named tensors that are trained, saved or loaded together, laid one after another in a flat vector.
 * The weights of a model are one set, the factors of an adapter another. */
struct parameter_set {
    const struct parameter *items; /* (count), by offset */
    int64_t count, elements;
};

/* Lists them all; the caller gives *list back with memory_release. */
enum status parameters_list(const struct hparams *hparams, struct parameter **list,
                            int64_t *count) MUST_USE;

/* Elements of the flat vector. */
int64_t parameters_elements(const struct hparams *hparams);

/* What the operations use of one layer: stacked matrices and vectors. */
enum layer_part {
    PART_INPUT_NORM,   /* (C) */
    PART_QKV,          /* ((H + 2 K) D, C) */
    PART_QKV_BIAS,     /* ((H + 2 K) D) */
    PART_Q_NORM,       /* (D) */
    PART_K_NORM,       /* (D) */
    PART_O,            /* (C, H D) */
    PART_O_BIAS,       /* (C) */
    PART_POST_NORM,    /* (C) */
    PART_GATE_UP,      /* (2 F, C) */
    PART_GATE_UP_BIAS, /* (2 F) */
    PART_DOWN,         /* (C, F) */
    PART_DOWN_BIAS,    /* (C) */
    PART_COUNT
};

/* Where the parts stand in the flat vector; the same for every layer, relative to its begin. A part
 * that the model lacks has no elements. */
struct part_place {
    int64_t offset, elements, rows, columns;
    bool matrix;
};
struct parameter_layout {
    struct part_place parts[PART_COUNT];
    int64_t embed, first_layer, layer_elements, final_norm,
        head; /* offsets; head: embed when tied */
    int64_t elements;
};
void parameters_layout(const struct hparams *hparams, struct parameter_layout *out);

#endif
