/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: from prompts to answers, all live answers of this rank together, finished ones leaving
 * the batch.
 *
 * What is drawn depends on (seed, step, prompt, answer, position) and the weights alone: the
 * forward path is row-invariant, so neither the number of answers in flight nor the rank matters. A
 * prompt is computed once; its first answer tokens are drawn for the whole group at that moment, so
 * its keys and values serve all its answers.
 *
 * Thinking that has used up its budget (rollout/budgets.h) is closed by a forced text: tokens of the
 * answer that nobody drew, so its loss and its numbers leave them out (rollout/rollout.h).
 */
#ifndef ROLLOUT_GENERATE_H
#define ROLLOUT_GENERATE_H

#include <stdint.h>

#include "backend/backend.h"
#include "base/pulse.h"
#include "base/status.h"
#include "config/settings.h"
#include "model/model.h"
#include "rollout/budgets.h"
#include "rollout/rollout.h"
#include "text/tokenizer.h"

/* Who hears, after each round of tokens, how many answers are finished and how many tokens drawn; and
 * of each answer of a request as soon as it is finished, to take it away if it likes. */
struct generate_listener {
    void (*hear)(void *context, int64_t answers, int64_t tokens);            /* NULL: nobody */
    enum status (*finished)(void *context, int64_t request, int64_t answer); /* NULL: nobody */
    void *context;
};

struct generate_settings {
    struct sample_settings sampling;
    struct budget_settings budgets;
    int64_t answers_in_flight; /* 0: all */
    int64_t steps_ahead;       /* tokens between two looks of the host; 0: as the backend likes */
    const int32_t *stop_ids;   /* (stop_id_count): end an answer and stay in it */
    int64_t stop_id_count;
    const char *const *stop_texts; /* (stop_text_count): end an answer whose text contains one */
    int64_t stop_text_count;
    uint64_t seed;
    uint32_t step;
    struct generate_listener listener;
    const struct pulse *pulse; /* beats between the rounds; NULL: none */
};

/* What the settings say of it, without listener and pulse. Borrows the stop texts and stop ids. */
struct generate_settings generate_settings_of(const struct settings *settings,
                                              const int32_t *stop_ids, int64_t stop_id_count,
                                              int64_t step);

/* A prompt and where its answers go. `prompt_index` counts for the noise: the prompt's place in the
 * step's batch. */
struct generate_request {
    const int32_t *prompt;
    int64_t prompt_length;
    uint32_t prompt_index;
    /* (answer_count), empty; tokens, logprob_sampler, entropy, finish and text are filled */
    struct rollout_answer *answers;
    int64_t answer_count;
    const uint32_t *answer_indices; /* (answer_count): count for the noise; NULL: 0, 1, … */
};

struct generate_report {
    int64_t tokens;    /* drawn, so without forced ones */
    int64_t positions; /* prompt and answer positions computed */
};

/* Fills the answers of all requests. columns says which arrays the answers get besides; without a
 * tokenizer (NULL) they get no text, there may be no stop texts, and thinking has no budget. The
 * caller owns everything. */
enum status generate_answers(struct model *model, struct tokenizer *tokenizer,
                             const struct generate_settings *settings,
                             const struct generate_request *requests, int64_t request_count,
                             struct rollout_columns columns,
                             struct generate_report *report) MUST_USE;

#endif
