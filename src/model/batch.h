/* SPDX-License-Identifier: Apache-2.0
 *
 * A packed batch: token sequences laid one after another without padding, answers behind the prompt
 * they share (design, section 3), and the places whose next token is predicted. The batch owns host
 * arrays; model_upload gives the backend a copy.
 *
 *     rows     [prompt p0 … pk] [answer 1: a1 … an] [answer 2] …
 *     segments  0, no parent     1, parent 0         2, parent 0
 *     targets                    rows pk, a1 … a(n−1) predict a1 … an
 */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"

struct batch {
    int32_t *tokens, *positions; /* (T) */
    struct segment *segments;    /* (segment_count) */
    int32_t *target_rows; /* (target_count): row of the hidden state, ascending within an answer */
    int32_t *target_tokens; /* (target_count): the token to predict from it */
    int64_t T, segment_count, target_count;
    int64_t token_capacity, segment_capacity, target_capacity;
};

#define BATCH_EMPTY ((struct batch){.T = 0})

/* Appends a prompt (n ≥ 1 tokens) without targets; *segment is its index. */
enum status batch_append_prompt(struct batch *batch, const int32_t *tokens, int64_t n,
                                int32_t *segment) MUST_USE;

/* Appends an answer (n ≥ 1 tokens) behind the prompt segment, with n targets, in token order. */
enum status batch_append_answer(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                                int64_t n) MUST_USE;

/* The same with targets for some of the tokens alone: those of the stretches [begins[i], ends[i]),
 * i < count, which ascend and do not touch. */
enum status batch_append_turns(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                               int64_t n, const int32_t *begins, const int32_t *ends,
                               int64_t count) MUST_USE;

/* Appends a text of its own (n ≥ 1 tokens) with n − 1 targets: its tokens from the second on. */
enum status batch_append_text(struct batch *batch, const int32_t *tokens, int64_t n) MUST_USE;

/* The same with one target, behind its last token: for what is wanted of the hidden state there. The
 * token to predict is not known, and stands as the last one. */
enum status batch_append_end(struct batch *batch, const int32_t *tokens, int64_t n) MUST_USE;

/* Appends a sequence (n ≥ 0 tokens) behind the prompt segment for what is wanted of the hidden states at
 * its rows: a target at each, or at the last alone; where it has no tokens one at the prompt's last row.
 * As above no token is to be predicted. */
enum batch_rows { BATCH_LAST_ROW, BATCH_ALL_ROWS };
enum status batch_append_rows(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                              int64_t n, enum batch_rows rows) MUST_USE;

/* The same of a sequence (n ≥ 1 tokens) with two targets: at the row before its token `begin`, which is
 * the prompt's last where that is 0, and at its last row. */
enum status batch_append_ends(struct batch *batch, int32_t prompt_segment, const int32_t *tokens,
                              int64_t n, int64_t begin) MUST_USE;

void batch_clear(struct batch *batch); /* empties, keeps the memory */
void batch_release(struct batch *batch);

#endif
