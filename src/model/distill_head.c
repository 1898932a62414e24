/* SPDX-License-Identifier: Apache-2.0 */
#include "model/distill_head.h"

#include "base/memory.h"

#define RUN(op, ...) TRY(backend_run(head->backend, op, __VA_ARGS__))

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* --- memory --- */

int64_t distill_head_rows(const struct distill_head *head) {
    const int64_t bytes =
        head->backend->ops->host_memory ? DISTILL_LOGITS_BYTES : DISTILL_LOGITS_BYTES_DEVICE;
    const int64_t n = bytes / (int64_t)sizeof(float) / head->student_head.rows;
    return least(head->at_once > 0 ? head->at_once : n > 1 ? n : 1, head->R);
}

/* Words of 4 bytes for each row: eight numbers, three pairs, a distill_top. */
enum { NUMBERS = 8 + 3 * 2 + (int)(sizeof(struct distill_top) / sizeof(float)) };

static struct distill_scores scores_at(float *numbers, int64_t R) {
    float *pairs = numbers + 8 * R;
    return (struct distill_scores){.logprob = numbers,
                                   .entropy = numbers + R,
                                   .logprob_teacher = numbers + 2 * R,
                                   .entropy_teacher = numbers + 3 * R,
                                   .divergence = numbers + 4 * R,
                                   .loss = numbers + 5 * R,
                                   .clipped = (int32_t *)(void *)(numbers + 6 * R),
                                   .agreement = (int32_t *)(void *)(numbers + 7 * R),
                                   .shift = (struct head_shift *)(void *)pairs,
                                   .shift_teacher = (struct head_shift *)(void *)(pairs + 2 * R),
                                   .slope = (struct distill_slope *)(void *)(pairs + 4 * R),
                                   .top = (struct distill_top *)(void *)(pairs + 6 * R)};
}

static enum status reserve_rows(struct backend *b, struct distill_memory *memory, int64_t R) {
    if (R <= memory->room_R)
        return STATUS_OK;
    memory->room_R = 0;
    backend_release(b, &memory->numbers);
    backend_release(b, &memory->weight);
    backend_release(b, &memory->zeros);
    TRY(backend_new(b, &memory->numbers, NUMBERS * R, "numbers of a distillation"));
    TRY(backend_new(b, &memory->weight, R, "weights of a distillation"));
    TRY(backend_new(b, &memory->zeros, R, "weights of a distillation"));
    TRY(memory_grow(&memory->host, R, "weights of a distillation"));
    memory->room_R = R;
    return STATUS_OK;
}

static enum status reserve_logits(const struct distill_head *head, struct distill_memory *memory,
                                  int64_t n) {
    struct backend *b = head->backend;
    const int64_t logits = n * logits_stride(head->student_head.rows);
    if (logits <= memory->room_logits && n <= memory->room_n)
        return STATUS_OK;
    memory->room_logits = memory->room_n = 0;
    backend_release(b, &memory->logits);
    backend_release(b, &memory->logits_teacher);
    backend_release(b, &memory->d_logits);
    backend_release(b, &memory->rows);
    backend_release(b, &memory->sums);
    TRY(backend_new(b, &memory->logits, logits, "logits"));
    TRY(backend_new(b, &memory->logits_teacher, logits, "logits of the teacher"));
    if (head->dtype != DTYPE_F32)
        TRY(backend_allocate(b, &memory->d_logits, (size_t)logits, dtype_bytes(head->dtype),
                             "gradient of the logits"));
    TRY(backend_new(b, &memory->rows, n, "sums of the head"));
    TRY(backend_new(b, &memory->sums, n, "sums of the divergence"));
    memory->room_logits = logits;
    memory->room_n = n;
    return STATUS_OK;
}

enum status distill_memory_reserve(struct distill_memory *memory, const struct distill_head *head) {
    TRY(reserve_rows(head->backend, memory, head->R));
    TRY(reserve_logits(head, memory, distill_head_rows(head)));
    memory->scores = scores_at(memory->numbers, head->R);
    return STATUS_OK;
}

void distill_memory_release(struct backend *backend, struct distill_memory *memory) {
    backend_release(backend, &memory->numbers);
    backend_release(backend, &memory->weight);
    backend_release(backend, &memory->zeros);
    memory_release(&memory->host);
    backend_release(backend, &memory->logits);
    backend_release(backend, &memory->logits_teacher);
    backend_release(backend, &memory->d_logits);
    backend_release(backend, &memory->rows);
    backend_release(backend, &memory->sums);
    *memory = (struct distill_memory){.room_R = 0};
}

/* --- rows whose logits stand in memory --- */

/* Rows [row, row + n). */
struct part {
    const struct distill_head *head;
    struct distill_memory *memory;
    struct distill_scores scores; /* of these rows */
    int64_t row, n;
};

static const void *rows_from(const struct distill_head *head, const void *x, int64_t row) {
    return (const char *)x + row * head->student_head.columns * (int64_t)dtype_bytes(head->dtype);
}

static struct part part_at(const struct distill_head *head, struct distill_memory *memory,
                           int64_t row) {
    struct distill_scores s = memory->scores;
    s.logprob += row;
    s.entropy += row;
    s.logprob_teacher += row;
    s.entropy_teacher += row;
    s.divergence += row;
    s.loss += row;
    s.clipped += row;
    s.agreement += row;
    s.shift += row;
    s.shift_teacher += row;
    s.slope += row;
    s.top += row;
    return (struct part){.head = head,
                         .memory = memory,
                         .scores = s,
                         .row = row,
                         .n = least(distill_head_rows(head), head->R - row)};
}

/* One model of the two, and where its numbers go. */
struct side {
    const struct weight *weight;
    const void *x; /* (n, C) */
    float *logits, *logprob, *entropy;
    struct head_shift *shift;
};

/* Logits of the rows, and the head's numbers while they pass by. */
static enum status score_side(const struct part *part, const struct side *side) {
    const struct distill_head *head = part->head;
    const int64_t V = side->weight->rows, C = side->weight->columns, ld = logits_stride(V);
    const int64_t block = head->backend->ops->head_columns;
    const float temperature = head->settings.temperature;
    for (int64_t begin = 0; begin < V; begin += block) {
        const int64_t columns = least(block, V - begin);
        RUN(gemm, .x = side->x, .weight = weight_view(side->weight, begin, columns),
            .y = side->logits + begin, .x_dtype = head->dtype, .y_dtype = DTYPE_F32, .M = part->n,
            .ldx = C, .ldy = ld);
        RUN(head_block, .logits = side->logits + begin, .targets = head->targets + part->row,
            .rows = part->memory->rows, .R = part->n, .columns = columns, .ld = ld, .begin = begin,
            .temperature = temperature);
    }
    RUN(head_finish, .rows = part->memory->rows, .logprob = side->logprob, .entropy = side->entropy,
        .shift = side->shift, .R = part->n, .temperature = temperature);
    return STATUS_OK;
}

static enum status score_both(const struct part *part) {
    const struct distill_head *head = part->head;
    const struct distill_scores *s = &part->scores;
    TRY(score_side(part, &(struct side){.weight = &head->teacher_head,
                                        .x = rows_from(head, head->teacher, part->row),
                                        .logits = part->memory->logits_teacher,
                                        .logprob = s->logprob_teacher,
                                        .entropy = s->entropy_teacher,
                                        .shift = s->shift_teacher}));
    return score_side(part, &(struct side){.weight = &head->student_head,
                                           .x = rows_from(head, head->student, part->row),
                                           .logits = part->memory->logits,
                                           .logprob = s->logprob,
                                           .entropy = s->entropy,
                                           .shift = s->shift});
}

static bool has_top(const struct distill_head *head) {
    return head->top_k > 0 && head->top_k < head->student_head.rows;
}

/* Entries [begin, begin + columns) of the rows. */
static struct distill_logits logits_of(const struct part *part, int64_t begin, int64_t columns) {
    const struct distill_head *head = part->head;
    return (struct distill_logits){.student = part->memory->logits + begin,
                                   .teacher = part->memory->logits_teacher + begin,
                                   .student_shift = part->scores.shift,
                                   .teacher_shift = part->scores.shift_teacher,
                                   .top = has_top(head) ? part->scores.top : NULL,
                                   .begin = begin,
                                   .R = part->n,
                                   .columns = columns,
                                   .ld = logits_stride(head->student_head.rows)};
}

static enum status compare(const struct part *part) {
    const struct distill_head *head = part->head;
    const struct distill_scores *s = &part->scores;
    const int64_t V = head->student_head.rows;
    if (has_top(head))
        RUN(distill_top, .student = part->memory->logits, .teacher = part->memory->logits_teacher,
            .top = s->top, .R = part->n, .V = V, .ld = logits_stride(V), .k = head->top_k,
            .temperature = head->settings.temperature);
    RUN(distill_block, .logits = logits_of(part, 0, V), .rows = part->memory->sums,
        .settings = head->settings);
    RUN(distill_finish, .rows = part->memory->sums, .logprob = s->logprob,
        .logprob_teacher = s->logprob_teacher, .divergence = s->divergence, .loss = s->loss,
        .clipped = s->clipped, .agreement = s->agreement, .slope = s->slope, .R = part->n,
        .settings = head->settings);
    return STATUS_OK;
}

/* --- the gradient --- */

/* Weights of the loss, or of the log-probabilities where these are what is estimated by. */
static enum status upload_weight(const struct part *part, const float *weight) {
    struct backend *b = part->head->backend;
    float *to = part->memory->weight + part->row, *host = part->memory->host;
    const size_t bytes = (size_t)part->n * sizeof(float);
    if (!part->head->settings.sampled)
        return b->ops->upload(b, to, weight + part->row, bytes);
    TRY(b->ops->download(b, host, part->scores.divergence, bytes));
    for (int64_t r = 0; r < part->n; r++)
        host[r] *= weight[part->row + r];
    return b->ops->upload(b, to, host, bytes);
}

/* Of the student's logits of a block, into out. */
static enum status gradient_of(const struct part *part, const struct distill_logits *logits,
                               void *out) {
    const struct distill_head *head = part->head;
    const float *weight = part->memory->weight + part->row;
    if (head->settings.sampled)
        RUN(head_backward, .logits = logits->student, .targets = head->targets + part->row,
            .shift = part->scores.shift, .entropy = part->scores.entropy, .d_logprob = weight,
            .d_entropy = part->memory->zeros, .out = out, .R = part->n, .columns = logits->columns,
            .ld = logits->ld, .begin = logits->begin, .temperature = head->settings.temperature,
            .dtype = head->dtype);
    else
        RUN(distill_backward, .logits = *logits, .slope = part->scores.slope, .weight = weight,
            .out = out, .dtype = head->dtype, .settings = head->settings);
    return STATUS_OK;
}

/* Where the gradient of the logits of rows that are at work begins, from an entry on. */
static void *d_logits_at(const struct distill_head *head, const struct distill_memory *memory,
                         int64_t begin) {
    char *const all = head->dtype == DTYPE_F32 ? (void *)memory->logits : memory->d_logits;
    return all + begin * (int64_t)dtype_bytes(head->dtype);
}

static enum status rows_gradient(const struct part *part, float *dx) {
    const struct distill_head *head = part->head;
    const int64_t V = head->student_head.rows, C = head->student_head.columns;
    const int64_t block = head->backend->ops->head_columns;
    for (int64_t begin = 0; begin < V; begin += block) {
        const int64_t columns = least(block, V - begin);
        const struct distill_logits logits = logits_of(part, begin, columns);
        void *out = d_logits_at(head, part->memory, begin);
        TRY(gradient_of(part, &logits, out));
        RUN(gemm_dx, .dy = out, .weight = weight_view(&head->student_head, begin, columns),
            .dx = dx + part->row * C, .dy_dtype = head->dtype, .dx_dtype = DTYPE_F32, .M = part->n,
            .ldy = logits_stride(V), .ldx = C, .add = begin > 0);
    }
    return STATUS_OK;
}

enum status distill_head_forward(const struct distill_head *head, struct distill_memory *memory,
                                 const float *weight, float *dx) {
    TRY(distill_memory_reserve(memory, head));
    memory->stands = false;
    for (int64_t row = 0; row < head->R; row += distill_head_rows(head)) {
        const struct part part = part_at(head, memory, row);
        TRY(score_both(&part));
        TRY(compare(&part));
        if (weight != NULL)
            TRY(upload_weight(&part, weight));
        if (weight != NULL && dx != NULL)
            TRY(rows_gradient(&part, dx));
        memory->stands = weight != NULL && dx != NULL && part.n == head->R;
    }
    return STATUS_OK;
}

static enum status block_logits(const struct distill_head *head, const struct weight *weight,
                                const void *x, const struct distill_block_gradient *block,
                                float *logits) {
    RUN(gemm, .x = x, .weight = weight_view(weight, block->begin, block->columns), .y = logits,
        .x_dtype = head->dtype, .y_dtype = DTYPE_F32, .M = head->R, .ldx = weight->columns,
        .ldy = block->ld);
    return STATUS_OK;
}

enum status distill_head_block(const struct distill_head *head, struct distill_memory *memory,
                               const struct distill_block_gradient *block,
                               struct distill_found *found) {
    if (memory->stands) {
        *found = (struct distill_found){.d_logits = d_logits_at(head, memory, block->begin),
                                        .ld = logits_stride(head->student_head.rows)};
        return STATUS_OK;
    }
    *found = (struct distill_found){.d_logits = block->out, .ld = block->ld};
    struct part part = part_at(head, memory, 0);
    part.n = head->R;
    struct distill_logits logits = logits_of(&part, block->begin, block->columns);
    logits.student = block->logits;
    logits.teacher = block->logits_teacher;
    logits.ld = block->ld;
    TRY(block_logits(head, &head->student_head, head->student, block, block->logits));
    if (!head->settings.sampled)
        TRY(block_logits(head, &head->teacher_head, head->teacher, block, block->logits_teacher));
    return gradient_of(&part, &logits, block->out);
}
