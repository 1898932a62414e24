/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model holds; for the files of this folder only. Activations live in a workspace of named
 * spaces that only grow; how large each is for a batch is said in one place, space_bytes.
 */
#ifndef MODEL_MODEL_STATE_H
#define MODEL_MODEL_STATE_H

#include "model/adapter_state.h"
#include "model/distill_head.h"
#include "model/model.h"
#include "model/weights_state.h"

/* Spaces marked * hold activations (backend.h), of model.activations; the others are fp32. */
enum space {
    /* the residual stream and what the backward needs of each layer */
    SPACE_X,           /* (T, C) input of each layer, then the last layer's output */
    SPACE_RMS1,        /* (T) */
    SPACE_RAW,         /* * (T, (H + 2 K) D) before norm and rotation, with q and k norms only */
    SPACE_QKV,         /* * (T, (H + 2 K) D) rotated */
    SPACE_ATTENTION,   /* * (T, H D) */
    SPACE_LOG_SUM,     /* (T, H) */
    SPACE_X2,          /* (T, C) after the attention */
    SPACE_RMS2,        /* (T) */
    SPACE_GATE_UP,     /* * (T, 2 F) */
    SPACE_NORMED,      /* * (T, C) */
    SPACE_PRODUCT,     /* * (T, F) */
    SPACE_ADAPTED,     /* * (T, adapted): x Aᵀ of a group of the adapter */
    SPACE_HEAD_X,      /* (R, C) */
    SPACE_HEAD_RMS,    /* (R) */
    SPACE_HEAD_NORMED, /* * (R, C) */
    SPACE_STATES,      /* (R, C): the same in fp32, where they are all that is asked for */
    SPACE_LOGITS,      /* (R, head_columns), or (R, V) for a draw */
    SPACE_HEAD_ROWS,   /* (R) struct head_row; not of a draw */
    SPACE_SCORES,      /* (R) log-probabilities, (R) entropies, (R) struct head_shift */
    /* (2 T + 2 R): tokens, positions, target rows, target tokens; of a prompt 2 T more: pages, slots;
     * beside a teacher R more: its target rows */
    SPACE_INTEGERS,
    SPACE_TEACHER_NORMED, /* * (R, C), of a distillation */
    SPACE_TEACHER_LOGITS, /* (R, head_columns), for the gradient of the head's weights */
    /* the backward */
    SPACE_D_X,         /* (T, C) */
    SPACE_D_PRODUCT,   /* * (T, F) */
    SPACE_D_GATE_UP,   /* * (T, 2 F) */
    SPACE_D_NORMED,    /* * (T, C) */
    SPACE_D_ATTENTION, /* * (T, H D) */
    SPACE_D_QKV,       /* * (T, (H + 2 K) D) */
    SPACE_D_ADAPTED,   /* * (T, adapted) */
    SPACE_D_LOGITS,    /* * (R, head_columns); in fp32 it stands where the logits do */
    SPACE_D_HEAD_X,    /* (R, C) */
    SPACE_D_HEAD,      /* (R, C), a sum over the blocks of the vocabulary */
    SPACE_D_SCORES,    /* (2, R) */
    /* One layer, one block of the head, or the embedding rows in use; of an adapter one layer */
    SPACE_GRADIENT,
    SPACE_GRADIENT_GIVEN, /* the same, of the piece before, for a sink where it lasts */
    SPACE_COUNT
};

/* What a batch asks of the workspace. */
struct space_shape {
    int64_t T, R;
    int64_t guests;              /* the last rows of T, of which no activations are kept */
    bool distill;                /* beside a teacher */
    bool keep, recompute;        /* keep: for a backward */
    bool states;                 /* hidden states are asked for, no scores */
    bool backward, prompt, draw; /* prompt, draw: of a decoder */
    bool lasts;                  /* see struct gradient_sink */
    int64_t adapted,
        layer_factors; /* of the adapter: its widest group, its floats in a layer; or 0 */
    enum dtype activations;
    int64_t head_columns;
};

struct workspace {
    void *memory[SPACE_COUNT];
    int64_t bytes[SPACE_COUNT];
    int64_t moves;                 /* of a space to another address, so far */
    struct attention_plan plan;    /* of the batch whose activations the spaces hold */
    struct distill_memory distill; /* numbers and logits of a distillation */
    const struct model *keeper; /* whose activations are kept, in the shape `kept`; NULL for none */
    struct space_shape kept;
};

/* Rows from `first` on go through another adapter than the model's own; NULL: through none. */
struct guest {
    int64_t first;
    struct adapter *adapter;
};

const char *space_name(enum space space);
int64_t space_bytes(const struct hparams *hparams, const struct space_shape *shape,
                    enum space space);

struct model {
    struct backend *backend;
    struct hparams hparams;
    struct model_settings settings;
    enum dtype activations;  /* their element type, by the backend */
    int64_t head_columns;    /* of the vocabulary, taken at once; likewise */
    struct weights *weights; /* borrowed */
    struct adapter *adapter; /* borrowed; NULL for none */

    float *rope; /* (settings.max_positions, D); of settings.shares where that is given */
    struct workspace *workspace; /* likewise */

    const struct gradient_sink *sink; /* of the backward at work */
    const struct guest *guest;        /* of the forward at work, or NULL */
    int32_t *token_places;            /* host, (V): scratch of the embedding's backward */
    int32_t *row_places, *row_tokens; /* host, (row_capacity): the same */
    int64_t row_capacity;
    int64_t positions, positions_decoded;
    bool watched; /* activations are looked through as they are made (model_finite.h) */
};

/* rope_table.c: fills (positions, D) on the host. */
void rope_table_fill(const struct hparams *hparams, int64_t positions, float *table);

/* model_workspace.c */
enum status workspace_reserve(struct model *model, const struct space_shape *shape) MUST_USE;
void workspace_release(struct model *model);
void workspace_swap(struct model *model, enum space a, enum space b);

/* The plan of the workspace becomes that of these segments. */
enum status workspace_plan(struct model *model, const struct segment *segments,
                           int64_t segment_count) MUST_USE;

/* Whose activations are kept for a backward: this model's, of a forward of that shape, or nobody's. */
void workspace_keep(struct model *model, const struct space_shape *shape);
void workspace_forget(struct model *model);

/* The spaces of one layer for a batch; without `keep` all layers use the same. */
struct layer_state {
    float *x, *inverse_rms1, *log_sum, *x2, *inverse_rms2, *next;
    void *raw, *qkv, *attention, *gate_up;
};
struct layer_state layer_state(const struct model *model, const struct space_shape *shape,
                               int64_t layer);

/* Integers of a batch in backend memory. */
struct batch_integers {
    int32_t *tokens, *positions, *target_rows, *target_tokens, *pages, *slots;
    int32_t *teacher_rows; /* where the pages would be */
};
struct batch_integers batch_integers(const struct model *model, const struct space_shape *shape);

/* model_forward.c: token ids, positions and lengths that the model can take, or a sentence. */
enum status check_batch(const struct model *model, const struct batch *batch) MUST_USE;

/* All layers over the shape's T rows, whose integers and plan are in place; *x is their output. */
enum status blocks_forward(struct model *model, const struct space_shape *shape,
                           float **x) MUST_USE;

/* The three pieces of a layer around its attention, for T rows. */
enum status layer_project(struct model *model, int64_t layer, const struct layer_state *state,
                          int64_t T, const int32_t *positions) MUST_USE; /* x → qkv */
enum status layer_expand(struct model *model, int64_t layer, const struct layer_state *state,
                         int64_t T) MUST_USE; /* attention → x2 → gate_up */
enum status layer_product(struct model *model, const struct layer_state *state,
                          int64_t T) MUST_USE; /* gate_up → SPACE_PRODUCT */
enum status layer_close(struct model *model, int64_t layer, const struct layer_state *state,
                        int64_t T) MUST_USE; /* gate_up → next */
enum status layer_attend(struct model *model, int64_t layer,
                         const struct layer_state *state) MUST_USE; /* qkv → attention */
enum status norm_rows(struct model *model, const float *x, const float *weight, void *y,
                      float *inverse_rms, int64_t rows) MUST_USE;

/* The element type of a part's product: o and down add to the residual stream. */
enum dtype product_dtype(const struct model *model, enum layer_part part);

/* model_adapter.c: y += γ (x Aᵀ) Bᵀ for a part that the adapter acts on. And back: gradients of the
 * factors go to their places in SPACE_GRADIENT, dx += what comes through A; dx may be NULL. */
enum status adapt(struct model *model, int64_t layer, enum layer_part part, const void *x, void *y,
                  int64_t T) MUST_USE;
enum status adapt_backward(struct model *model, int64_t layer, enum layer_part part, const void *x,
                           const void *dy, void *dx, int64_t T) MUST_USE;

/* Hidden states gathered from rows of x to SPACE_HEAD_X, normed in SPACE_HEAD_NORMED. */
enum status head_open(struct model *model, const float *x, const int32_t *rows, int64_t R) MUST_USE;
/* Logits of `columns` entries from `begin` on of R rows, with row stride ld, in SPACE_LOGITS. */
enum status head_logits(struct model *model, int64_t begin, int64_t columns, int64_t ld,
                        int64_t R) MUST_USE;
struct head_shift *head_shifts(const struct model *model, int64_t R); /* in SPACE_SCORES */

/* model_backward.c: what of the head is not common to all losses. `gradient` computes the logits of
 * a block, of entries from `begin` on, and their gradient, which it puts where the block says or sets
 * the block to where that stands already. */
struct head_block {
    const void *d_logits; /* (R, columns), of activations */
    int64_t ld;
};
struct head_loss {
    enum status (*gradient)(struct model *model, const struct head_loss *loss, int64_t begin,
                            int64_t columns, struct head_block *block);
    bool rows_known; /* the gradient of the normed rows is in SPACE_D_HEAD already */
    const struct batch_integers *in;
    int64_t R;
    float temperature;
    const void *context;
};

/* From the head down to the embedding; the weights of the loss are in place. */
enum status backward_run(struct model *model, const struct batch *batch,
                         const struct space_shape *shape, const struct head_loss *loss,
                         const struct gradient_sink *sink) MUST_USE;

/* The shape that a backward over the batch whose forward, of that kind, came last works in, with its
 * memory; the gradient of the last layer begins as zeros. */
enum status backward_open(struct model *model, const struct batch *batch, bool states,
                          const struct gradient_sink *sink, struct space_shape *shape) MUST_USE;

#endif
