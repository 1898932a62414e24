/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: prompts are computed once, their answers are rows that grow token by token, all rows
 * together. Everything that a step needs and changes stands in backend memory, so that steps follow
 * one another without the host; it looks when decoder_advance comes back.
 *
 * All goes through the same row-invariant pieces as the training forward, so the log-probability of
 * a drawn token is bit for bit the trainer's, whatever else is decoded beside it, and however many
 * steps there are between two looks. Uniform numbers are random_uniform(seed, RANDOM_SAMPLE, step,
 * prompt, answer, position).
 *
 *     decoder_begin(prompt) … decoder_advance(rows, steps), read the rows that have ended,
 *     decoder_drop(them) …
 */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "model/model.h"

struct decoder;

struct decoder_settings {
    struct sample_settings sampling;
    int64_t most_rows;       /* answers at a time */
    int64_t most_advanced;   /* of which a step takes at most so many; 0: all */
    int64_t most_tokens;     /* of an answer */
    int64_t most_prompt;     /* tokens of the longest prompt */
    const int32_t *stop_ids; /* (stop_id_count): end an answer and stay in it */
    int64_t stop_id_count;
    const int32_t *forced; /* (forced_count): the text that decoder_reopen can force */
    int64_t forced_count;
    uint64_t seed;
    uint32_t step;
};

/* Made for one model, which outlives it; the settings are copied. The caller destroys it. */
enum status decoder_create(struct decoder **decoder, struct model *model,
                           const struct decoder_settings *settings) MUST_USE;
void decoder_destroy(struct decoder **decoder);

struct decoder_answer {
    uint32_t index; /* of the uniform numbers */
    int64_t budget; /* most tokens; at most most_tokens */
};
struct decoder_prompt {
    const int32_t *tokens; /* (n) */
    int64_t n;
    uint32_t index;                       /* of the uniform numbers */
    const struct decoder_answer *answers; /* (answer_count) */
    int64_t answer_count;
};

/* Computes a prompt, adds its answers behind the rows there are, and draws the first token of each.
 * Fails, like decoder_advance, with STATUS_NUMERIC where a number is not finite. */
enum status decoder_begin(struct decoder *decoder, const struct decoder_prompt *prompt) MUST_USE;

/* So many tokens more for each of the first B rows, as far as they have not ended. */
enum status decoder_advance(struct decoder *decoder, int64_t B, int64_t steps) MUST_USE;

/* Rows, in the order in which they were begun: their number, how many tokens a row has, and whether
 * it has ended (DECODE_STOP, DECODE_FULL). */
int64_t decoder_rows(const struct decoder *decoder);
int64_t decoder_count(const struct decoder *decoder, int64_t row);
enum decode_end decoder_end(const struct decoder *decoder, int64_t row);

/* Gives a row that has not stopped another budget, not below the tokens it has, so that one that is
 * full goes on. force: the forced text comes first, in place of draws; it counts in the budget and
 * has NaN as log-probabilities and entropies. Once for an answer. */
void decoder_reopen(struct decoder *decoder, int64_t row, int64_t budget, bool force);

/* Tokens [begin, end) of a row, with their log-probabilities and entropies under softmax(z /
 * temperature), temperature 0 counting as 1 (host arrays; NULL: not wanted). */
struct decoder_numbers {
    int32_t *tokens;
    float *logprob, *entropy;
};
enum status decoder_read(struct decoder *decoder, int64_t row, int64_t begin, int64_t end,
                         const struct decoder_numbers *out) MUST_USE;

/* Takes the marked rows out; the others close up in their order. */
void decoder_drop(struct decoder *decoder, const bool *drop);

/* Of the pages of keys and values. */
int64_t decoder_cache_bytes(const struct decoder *decoder);

#endif
