/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocks of both, up to the normed rows of their targets; what follows is distill_head.h's.
 */
#include "model/distill.h"

#include <string.h>

#include "base/memory.h"
#include "model/model_finite.h"
#include "model/model_state.h"
#include "tensor/finite.h"

#define SPACE(name) model->workspace->memory[SPACE_##name]

/* --- the blocks --- */

/* A distillation at work. */
struct distillation {
    const struct distill_pair *pair;
    const float *weight;      /* of the forward */
    struct space_shape shape; /* of the student's forward */
};

static bool shares_weights(const struct distill_pair *pair) {
    return pair->teacher->weights == pair->student->weights;
}

/* Uploads a batch's rows behind `row` others. */
static enum status upload_rows(struct model *model, const struct batch *batch,
                               const struct batch_integers *to, int64_t row) {
    struct backend *b = model->backend;
    const size_t bytes = (size_t)batch->T * sizeof(int32_t);
    TRY(b->ops->upload(b, to->tokens + row, batch->tokens, bytes));
    return b->ops->upload(b, to->positions + row, batch->positions, bytes);
}

static enum status upload_targets(struct model *model, const struct batch *batch,
                                  const struct batch_integers *to) {
    struct backend *b = model->backend;
    const size_t bytes = (size_t)batch->target_count * sizeof(int32_t);
    TRY(b->ops->upload(b, to->target_rows, batch->target_rows, bytes));
    return b->ops->upload(b, to->target_tokens, batch->target_tokens, bytes);
}

/* The teacher's target rows, behind `row` others. */
static enum status upload_teacher_rows(struct model *model, const struct batch *batch,
                                       const struct batch_integers *to, int64_t row) {
    int32_t *rows;
    TRY(memory_new(&rows, batch->target_count, "target rows of a teacher"));
    for (int64_t i = 0; i < batch->target_count; i++)
        rows[i] = batch->target_rows[i] + (int32_t)row;
    const enum status status = model->backend->ops->upload(
        model->backend, to->teacher_rows, rows, (size_t)batch->target_count * sizeof *rows);
    memory_release(&rows);
    return status;
}

/* The segments of the student, and behind them the teacher's. */
static enum status plan_both(struct model *model, const struct batch *own,
                             const struct batch *other) {
    const int64_t count = own->segment_count + other->segment_count;
    struct segment *segments;
    TRY(memory_new(&segments, count, "segments of a batch"));
    memcpy(segments, own->segments, (size_t)own->segment_count * sizeof *segments);
    for (int64_t i = 0; i < other->segment_count; i++) {
        struct segment *segment = &segments[own->segment_count + i];
        *segment = other->segments[i];
        segment->start += (int32_t)own->T;
        segment->parent += segment->parent < 0 ? 0 : (int32_t)own->segment_count;
    }
    const enum status status = workspace_plan(model, segments, count);
    memory_release(&segments);
    return status;
}

/* The normed rows of the teacher's targets go where they last. */
static enum status keep_teacher(struct model *teacher, const float *x, const int32_t *rows,
                                int64_t R) {
    TRY(head_open(teacher, x, rows, R));
    workspace_swap(teacher, SPACE_HEAD_NORMED, SPACE_TEACHER_NORMED);
    return STATUS_OK;
}

/* Both in one batch, the student's rows first: of these alone the activations are kept. */
static enum status blocks_together(const struct distillation *d) {
    const struct distill_pair *pair = d->pair;
    struct model *model = pair->student;
    const struct batch *batch = pair->batch, *other = pair->teacher_batch;
    const struct batch_integers in = batch_integers(model, &d->shape);
    const struct guest guest = {.first = batch->T, .adapter = pair->teacher->adapter};
    float *x;
    TRY(upload_rows(model, batch, &in, 0));
    TRY(upload_rows(model, other, &in, batch->T));
    TRY(upload_targets(model, batch, &in));
    TRY(upload_teacher_rows(model, other, &in, batch->T));
    TRY(plan_both(model, batch, other));
    model->guest = &guest;
    const enum status status = blocks_forward(model, &d->shape, &x);
    model->guest = NULL;
    TRY(status);
    TRY(keep_teacher(model, x, in.teacher_rows, d->shape.R));
    TRY(head_open(model, x, in.target_rows, d->shape.R));
    model->positions += d->shape.T;
    return workspace_plan(model, batch->segments, batch->segment_count); /* for the backward */
}

/* A teacher with weights of its own, with nothing kept but its last rows. */
static enum status blocks_of_teacher(const struct distillation *d) {
    struct model *model = d->pair->teacher;
    const struct batch *batch = d->pair->teacher_batch;
    const struct space_shape shape = {.T = batch->T, .R = d->shape.R, .distill = true};
    TRY(workspace_reserve(model, &shape));
    const struct batch_integers in = batch_integers(model, &shape);
    float *x;
    TRY(upload_rows(model, batch, &in, 0));
    TRY(upload_targets(model, batch, &in));
    TRY(workspace_plan(model, batch->segments, batch->segment_count));
    TRY(blocks_forward(model, &shape, &x));
    model->positions += shape.T;
    return keep_teacher(model, x, in.target_rows, shape.R);
}

static enum status blocks_of_student(const struct distillation *d) {
    struct model *model = d->pair->student;
    const struct batch *batch = d->pair->batch;
    const struct batch_integers in = batch_integers(model, &d->shape);
    float *x;
    TRY(upload_rows(model, batch, &in, 0));
    TRY(upload_targets(model, batch, &in));
    TRY(workspace_plan(model, batch->segments, batch->segment_count));
    TRY(blocks_forward(model, &d->shape, &x));
    model->positions += d->shape.T;
    return head_open(model, x, in.target_rows, d->shape.R);
}

/* --- the head --- */

static struct distill_head head_of(const struct distill_pair *pair,
                                   const struct space_shape *shape) {
    struct model *model = pair->student;
    return (struct distill_head){.backend = model->backend,
                                 .student_head = model->weights->head,
                                 .teacher_head = pair->teacher->weights->head,
                                 .student = SPACE(HEAD_NORMED),
                                 .teacher = SPACE(TEACHER_NORMED),
                                 .targets = batch_integers(model, shape).target_tokens,
                                 .dtype = model->activations,
                                 .R = shape->R,
                                 .settings = pair->settings,
                                 .top_k = pair->top_k};
}

static enum status download(const struct distillation *d, const struct distill_numbers *out) {
    struct model *model = d->pair->student;
    struct backend *b = model->backend;
    const struct distill_scores *scores = &model->workspace->distill.scores;
    const struct {
        void *to;
        const void *from;
    } copies[] = {{out->logprob, scores->logprob},
                  {out->entropy, scores->entropy},
                  {out->logprob_teacher, scores->logprob_teacher},
                  {out->entropy_teacher, scores->entropy_teacher},
                  {out->divergence, scores->divergence},
                  {out->loss, scores->loss},
                  {out->clipped, scores->clipped},
                  {out->agreement, scores->agreement}};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
        TRY(b->ops->download(b, copies[i].to, copies[i].from, (size_t)d->shape.R * sizeof(float)));
    return STATUS_OK;
}

/* --- the whole --- */

static enum status forward_run(void *context) {
    const struct distillation *d = context;
    struct model *model = d->pair->student;
    if (shares_weights(d->pair)) {
        TRY(blocks_together(d));
    } else {
        TRY(blocks_of_teacher(d));
        TRY(blocks_of_student(d));
    }
    const struct distill_head head = head_of(d->pair, &d->shape);
    return distill_head_forward(&head, &model->workspace->distill, d->weight, SPACE(D_HEAD));
}

static bool is_finite(const struct distill_numbers *numbers, int64_t R) {
    const float *const of[] = {numbers->logprob,         numbers->entropy,
                               numbers->logprob_teacher, numbers->entropy_teacher,
                               numbers->divergence,      numbers->loss};
    bool finite = true;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        finite = finite && first_not_finite(of[i], R) < 0;
    return finite;
}

/* What a forward of T positions of the student and others of the teacher asks of the workspace. */
static struct space_shape shape_of(const struct distill_pair *pair, int64_t T, int64_t teacher_T,
                                   int64_t R) {
    const bool together = shares_weights(pair);
    return (struct space_shape){.T = T + (together ? teacher_T : 0),
                                .R = R,
                                .guests = together ? teacher_T : 0,
                                .distill = true,
                                .keep = true,
                                .backward = true,
                                .recompute = pair->student->settings.recompute};
}

enum status distill_reserve(const struct distill_pair *pair, int64_t T, int64_t teacher_T,
                            int64_t R, bool lasts) {
    struct space_shape shape = shape_of(pair, T, teacher_T, R);
    const struct distill_head head = head_of(pair, &shape);
    shape.lasts = lasts;
    TRY(distill_memory_reserve(&pair->student->workspace->distill, &head));
    workspace_forget(pair->student);
    TRY(workspace_reserve(pair->student, &shape));
    return workspace_reserve(pair->teacher,
                             &(struct space_shape){.T = teacher_T, .R = R, .distill = true});
}

enum status distill_forward(const struct distill_pair *pair, const float *weight,
                            const struct distill_numbers *out) {
    struct model *model = pair->student;
    const struct batch *batch = pair->batch, *other = pair->teacher_batch;
    ASSERT(batch->target_count == other->target_count && batch->target_count > 0);
    ASSERT(pair->teacher->workspace == model->workspace);
    struct distillation d = {.pair = pair,
                             .weight = weight,
                             .shape = shape_of(pair, batch->T, other->T, batch->target_count)};
    workspace_forget(model);
    TRY(check_batch(model, batch));
    TRY(check_batch(pair->teacher, other));
    TRY(workspace_reserve(model, &d.shape));
    TRY(forward_run(&d));
    TRY(download(&d, out));
    if (!is_finite(out, d.shape.R))
        return explain_not_finite(model, forward_run, &d);
    workspace_keep(model, &d.shape);
    return STATUS_OK;
}

/* Of a block, for the gradient of the head's weights. */
static enum status gradient(struct model *model, const struct head_loss *loss, int64_t begin,
                            int64_t columns, struct head_block *block) {
    struct distill_found found;
    TRY(distill_head_block(loss->context, &model->workspace->distill,
                           &(struct distill_block_gradient){.begin = begin,
                                                            .columns = columns,
                                                            .ld = block->ld,
                                                            .logits = SPACE(LOGITS),
                                                            .logits_teacher = SPACE(TEACHER_LOGITS),
                                                            .out = model->activations == DTYPE_F32
                                                                       ? SPACE(LOGITS)
                                                                       : SPACE(D_LOGITS)},
                           &found));
    *block = (struct head_block){.d_logits = found.d_logits, .ld = found.ld};
    return STATUS_OK;
}

enum status distill_backward(const struct distill_pair *pair, const struct gradient_sink *sink) {
    struct space_shape shape;
    TRY(backward_open(pair->student, pair->batch, false, sink, &shape));
    const struct batch_integers in = batch_integers(pair->student, &shape);
    const struct distill_head head = head_of(pair, &shape);
    return backward_run(
        pair->student, pair->batch, &shape,
        &(struct head_loss){
            .gradient = gradient, .rows_known = true, .in = &in, .R = shape.R, .context = &head},
        sink);
}
