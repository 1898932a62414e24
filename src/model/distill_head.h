/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of a distillation with the output head of both models, over rows of hidden states. The
 * logits of a few rows at a time exist, as many as DISTILL_LOGITS_BYTES (of a GPU more) have room
 * for, so that memory does not grow with rows × vocabulary. While they stand there everything is taken
 * from them: log-sum-exps of both, sums over the entries, and the gradient with respect to the
 * student's rows. So each model has one product, and the gradient one.
 *
 * The gradient of the head's own weights is wanted by blocks of the vocabulary over all rows. Where all
 * rows had room at once, the gradient of their logits still stands there, and the loss has four products in
 * all; else the logits of a block are computed once more, and it has six.
 */
#ifndef MODEL_DISTILL_HEAD_H
#define MODEL_DISTILL_HEAD_H

#include "backend/backend.h"

enum { DISTILL_LOGITS_BYTES = 64 << 20, DISTILL_LOGITS_BYTES_DEVICE = 512 << 20 };

/* What is compared; all addresses are the backend's. */
struct distill_head {
    struct backend *backend;
    struct weight student_head, teacher_head; /* (V, C); may be the same */
    const void *student, *teacher;            /* (R, C): normed rows, of dtype */
    const int32_t *targets;                   /* (R): the token of each row */
    enum dtype dtype;                         /* of activations */
    int64_t R;
    struct distill_settings settings;
    int32_t top_k;   /* entries that count, the teacher's most probable; 0: all */
    int64_t at_once; /* rows whose logits exist; 0: as many as the bytes have room for */
};

/* Numbers of each row, (R), in backend memory. */
struct distill_scores {
    float *logprob, *entropy;                 /* over the whole vocabulary, as head_finish */
    float *logprob_teacher, *entropy_teacher; /* the same of the teacher */
    float *divergence, *loss;                 /* as distill_finish */
    int32_t *clipped, *agreement;
    struct head_shift *shift, *shift_teacher;
    struct distill_slope *slope;
    struct distill_top *top; /* with top_k */
};

/* Memory for it, which grows with the largest call and is given back by distill_memory_release. */
struct distill_memory {
    struct distill_scores scores;
    float *numbers;                 /* (DISTILL_NUMBERS, R): what the scores are parts of */
    float *weight;                  /* (R): d total / d loss; where sampled, / d log-probability */
    float *zeros;                   /* (R) */
    float *host;                    /* (R), of the host */
    float *logits, *logits_teacher; /* (n, V) of the n rows at work */
    void *d_logits;                 /* likewise, of dtype; NULL in fp32: over the logits */
    struct head_row *rows;          /* (n) */
    struct distill_row *sums;       /* (n) */
    int64_t room_R, room_n, room_logits;
    bool stands; /* the gradient of all rows' logits, (R, V), is where they were */
};

/* Rows whose logits stand in memory at once. */
int64_t distill_head_rows(const struct distill_head *head);

/* Room for R rows; distill_head_forward does it itself. */
enum status distill_memory_reserve(struct distill_memory *memory,
                                   const struct distill_head *head) MUST_USE;
void distill_memory_release(struct backend *backend, struct distill_memory *memory);

/* Scores of all rows; with weights (host, (R), or NULL) what distill_head_block needs; and unless dx is
 * NULL the gradient of Σ weight · loss with respect to the student's rows (backend, (R, C) =). */
enum status distill_head_forward(const struct distill_head *head, struct distill_memory *memory,
                                 const float *weight, float *dx) MUST_USE;

/* The gradient of Σ weight · loss with respect to a block of the student's logits, of all rows, by
 * what distill_head_forward with the same rows and weights has left in memory; `found` says where it
 * is: in `out`, or in that memory. */
struct distill_block_gradient {
    int64_t begin, columns, ld;     /* as distill_logits has them */
    float *logits, *logits_teacher; /* (R, ld) = */
    void *out;                      /* (R, ld) =, of dtype; in fp32 it may be logits */
};
struct distill_found {
    const void *d_logits; /* (R, columns), of dtype */
    int64_t ld;
};
enum status distill_head_block(const struct distill_head *head, struct distill_memory *memory,
                               const struct distill_block_gradient *block,
                               struct distill_found *found) MUST_USE;

#endif
