/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decoder holds; for the files of this folder only.
 *
 * Rows are dense, 0 … row_count − 1. Each has an answer, a number below most_rows that stays when
 * rows close up: its place in the tables of tokens, and in the list of page numbers. Prompts have
 * numbers of their own. Page numbers stand in one list: own_width places for each answer, then
 * prompt_width for each prompt.
 */
#ifndef MODEL_DECODER_STATE_H
#define MODEL_DECODER_STATE_H

#include "model/cache.h"
#include "model/decoder.h"
#include "model/model_state.h"

/* Columns of the rows' integers. Those before ROW_ADVANCED are changed by the steps. */
enum row_column {
    ROW_TOKEN,
    ROW_POSITION,
    ROW_COUNT,
    ROW_PAGE,
    ROW_SLOT,
    ROW_END,
    ROW_COUNTERS, /* four numbers for each row */
    ROW_ADVANCED = ROW_COUNTERS + 4,
    ROW_SOURCE = ROW_ADVANCED, /* the hidden state that the next token is drawn from */
    ROW_PROMPT_BEGIN,
    ROW_PROMPT_LENGTH,
    ROW_OWN_BEGIN,
    ROW_BUDGET,
    ROW_FORCED, /* where the forced text begins, −1: nowhere */
    ROW_ANSWER,
    ROW_COLUMNS
};

struct decoder_sequence {
    int64_t pages;     /* taken */
    int64_t open_rows; /* of a prompt: answers that still need it */
};

struct decoder {
    struct model *model;
    struct decoder_settings settings;
    struct cache *cache;
    int64_t row_count, own_width, prompt_width;

    int32_t *host, *rows; /* (ROW_COLUMNS, most_rows): on the host, and in backend memory */
    int32_t *page_list, *page_numbers; /* (page_number_count): likewise */
    int64_t page_number_count;
    struct decoder_sequence *answers, *prompts; /* (most_rows) */
    int32_t *free_answers;                      /* (most_rows) */
    int64_t free_count;
    struct decode_plan plan;

    int32_t *tokens;             /* (most_rows, most_tokens), backend memory */
    float *logprobs, *entropies; /* the same */
    int32_t *stop_ids, *forced;  /* backend memory */
    uint64_t *seed;              /* backend memory, one */
    float *hidden;               /* (most_rows, C), backend memory */
};

/* Element `row` of a column: on the host, and in backend memory. */
static inline int32_t *host_column(const struct decoder *d, enum row_column column, int64_t row) {
    return d->host + column * d->settings.most_rows + (column == ROW_COUNTERS ? 4 * row : row);
}

static inline int32_t *row_column(const struct decoder *d, enum row_column column, int64_t row) {
    return d->rows + (host_column(d, column, row) - d->host);
}

/* decoder_step.c: computes a prompt whose pages are taken, and leaves its last hidden state in row 0
 * of `hidden`. */
enum status decoder_prefill(struct decoder *decoder, const int32_t *tokens, int64_t n,
                            int64_t prompt) MUST_USE;

/* Draws a token for rows first … first + B − 1 from their hidden states. */
enum status decoder_draw(struct decoder *decoder, int64_t first, int64_t B) MUST_USE;

/* So many steps of the first B rows, and of those set aside behind them up to `width`. */
enum status decoder_steps(struct decoder *decoder, int64_t B, int64_t width,
                          int64_t steps) MUST_USE;

/* Looks for the cause when a number of rows first … first + B − 1 is not finite, in the draw or also
 * in the step before it: such a row was left as it was, so the same comes out again. Always fails. */
enum status decoder_explain(struct decoder *decoder, int64_t first, int64_t B,
                            bool stepped) MUST_USE;

#endif
