/* SPDX-License-Identifier: Apache-2.0
 *
 * Packed batches grow by whole segments; arrays double, so that a batch that is cleared and filled
 * again allocates nothing.
 */
#include "model/batch.h"

#include "base/memory.h"

#include <string.h>

/* Far above any pass (a pass is some ten thousand tokens), far below what int32 rows can name. */
#define BATCH_ROWS_MAX ((int64_t)1 << 28)

static int64_t grown(int64_t capacity, int64_t need) {
    const int64_t twice = 2 * capacity;
    return twice > need ? twice : need;
}

static enum status reserve_rows(struct batch *batch, int64_t n) {
    if (n < 1)
        return FAIL(STATUS_INPUT, "a batch cannot take a sequence of %lld tokens; give at least 1",
                    (long long)n);
    const int64_t need = batch->T + n;
    if (need > BATCH_ROWS_MAX)
        return FAIL(STATUS_INPUT, "a batch of %lld tokens is above the limit of %lld",
                    (long long)need, (long long)BATCH_ROWS_MAX);
    if (need <= batch->token_capacity)
        return STATUS_OK;
    const int64_t capacity = grown(batch->token_capacity, need);
    TRY(memory_grow(&batch->tokens, capacity, "tokens of a batch"));
    TRY(memory_grow(&batch->positions, capacity, "positions of a batch"));
    batch->token_capacity = capacity;
    return STATUS_OK;
}

static enum status reserve_targets(struct batch *batch, int64_t n) {
    const int64_t need = batch->target_count + n;
    if (need <= batch->target_capacity)
        return STATUS_OK;
    const int64_t capacity = grown(batch->target_capacity, need);
    TRY(memory_grow(&batch->target_rows, capacity, "target rows of a batch"));
    TRY(memory_grow(&batch->target_tokens, capacity, "target tokens of a batch"));
    batch->target_capacity = capacity;
    return STATUS_OK;
}

static enum status reserve_segment(struct batch *batch) {
    if (batch->segment_count < batch->segment_capacity)
        return STATUS_OK;
    const int64_t capacity = grown(batch->segment_capacity, 8);
    TRY(memory_grow(&batch->segments, capacity, "segments of a batch"));
    batch->segment_capacity = capacity;
    return STATUS_OK;
}

/* Reserves everything first, so that a batch is never left half grown. */
static enum status append(struct batch *batch, int32_t parent, const int32_t *tokens, int64_t n,
                          int64_t targets) {
    TRY(reserve_rows(batch, n));
    TRY(reserve_targets(batch, targets));
    TRY(reserve_segment(batch));
    const int32_t position = parent < 0 ? 0 : batch->segments[parent].length;
    batch->segments[batch->segment_count++] = (struct segment){
        .start = (int32_t)batch->T, .length = (int32_t)n, .parent = parent, .position = position};
    memcpy(batch->tokens + batch->T, tokens, (size_t)n * sizeof *tokens);
    for (int64_t i = 0; i < n; i++)
        batch->positions[batch->T + i] = position + (int32_t)i;
    batch->T += n;
    return STATUS_OK;
}

static void append_target(struct batch *batch, int64_t row, int32_t token) {
    batch->target_rows[batch->target_count] = (int32_t)row;
    batch->target_tokens[batch->target_count++] = token;
}

enum status batch_append_prompt(struct batch *batch, const int32_t *tokens, int64_t n,
                                int32_t *segment) {
    TRY(append(batch, -1, tokens, n, 0));
    *segment = (int32_t)(batch->segment_count - 1);
    return STATUS_OK;
}

enum status batch_append_turns(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                               int64_t n, const int32_t *begins, const int32_t *ends,
                               int64_t count) {
    ASSERT(prompt_segment >= 0 && prompt_segment < batch->segment_count &&
           batch->segments[prompt_segment].parent < 0);
    const int64_t start = batch->T;
    int64_t targets = 0;
    for (int64_t i = 0; i < count; i++)
        targets += ends[i] - begins[i];
    TRY(append(batch, prompt_segment, tokens, n, targets));
    const struct segment *prompt = &batch->segments[prompt_segment];
    for (int64_t i = 0; i < count; i++) {
        ASSERT(begins[i] >= (i > 0 ? ends[i - 1] : 0) && ends[i] <= n);
        for (int32_t t = begins[i]; t < ends[i]; t++)
            append_target(batch, t > 0 ? start + t - 1 : prompt->start + prompt->length - 1,
                          tokens[t]);
    }
    return STATUS_OK;
}

enum status batch_append_answer(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                                int64_t n) {
    const int32_t begin = 0, end = (int32_t)n;
    return batch_append_turns(batch, prompt_segment, tokens, n, &begin, &end, 1);
}

enum status batch_append_text(struct batch *batch, const int32_t *tokens, int64_t n) {
    const int64_t start = batch->T;
    TRY(append(batch, -1, tokens, n, n > 0 ? n - 1 : 0));
    for (int64_t i = 1; i < n; i++)
        append_target(batch, start + i - 1, tokens[i]);
    return STATUS_OK;
}

enum status batch_append_end(struct batch *batch, const int32_t *tokens, int64_t n) {
    TRY(append(batch, -1, tokens, n, 1));
    append_target(batch, batch->T - 1, tokens[n - 1]);
    return STATUS_OK;
}

/* The last row of the prompt stands for a sequence without tokens. */
static enum status append_prompt_row(struct batch *batch, const struct segment *prompt) {
    const int64_t row = prompt->start + prompt->length - 1;
    TRY(reserve_targets(batch, 1));
    append_target(batch, row, batch->tokens[row]);
    return STATUS_OK;
}

enum status batch_append_rows(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                              int64_t n, enum batch_rows rows) {
    ASSERT(prompt_segment >= 0 && prompt_segment < batch->segment_count &&
           batch->segments[prompt_segment].parent < 0);
    const int64_t start = batch->T, first = rows == BATCH_ALL_ROWS ? 0 : n - 1;
    if (n == 0)
        return append_prompt_row(batch, &batch->segments[prompt_segment]);
    TRY(append(batch, prompt_segment, tokens, n, n - first));
    for (int64_t t = first; t < n; t++)
        append_target(batch, start + t, tokens[t]);
    return STATUS_OK;
}

enum status batch_append_ends(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                              int64_t n, int64_t begin) {
    ASSERT(prompt_segment >= 0 && prompt_segment < batch->segment_count && begin >= 0 && begin < n);
    const int64_t start = batch->T;
    TRY(append(batch, prompt_segment, tokens, n, 2));
    const struct segment *prompt = &batch->segments[prompt_segment];
    append_target(batch, begin > 0 ? start + begin - 1 : prompt->start + prompt->length - 1,
                  tokens[begin]);
    append_target(batch, start + n - 1, tokens[n - 1]);
    return STATUS_OK;
}

void batch_clear(struct batch *batch) {
    batch->T = batch->segment_count = batch->target_count = 0;
}

void batch_release(struct batch *batch) {
    memory_release(&batch->tokens);
    memory_release(&batch->positions);
    memory_release(&batch->segments);
    memory_release(&batch->target_rows);
    memory_release(&batch->target_tokens);
    *batch = BATCH_EMPTY;
}
