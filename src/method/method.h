/* SPDX-License-Identifier: Apache-2.0
 *
 * A method says what a step's batch is and which loss its tokens carry; the training loop knows
 * none of them by name. To add one: write NAME.c and add a line to method.c.
 */
#ifndef METHOD_METHOD_H
#define METHOD_METHOD_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/pulse.h"
#include "base/status.h"
#include "comm/comm.h"
#include "config/settings.h"
#include "data/corpus.h"
#include "data/prompt.h"
#include "data/stream.h"
#include "model/model.h"
#include "objective/loss.h"
#include "rollout/rollout.h"
#include "rollout/tile.h"
#include "text/tokenizer.h"

struct discriminator;
struct judged;
struct reasoning;
struct rewards;

/* What a run lends to its method. */
struct method_context {
    const struct settings *settings;
    struct comm *comm;
    struct model *model;
    struct model *reference; /* frozen copy, or NULL when no KL is asked for */
    struct tokenizer *tokenizer;
    struct rewards *rewards;             /* NULL for a method without */
    const struct prompt_form *form;      /* from a row's prompt to tokens */
    struct model *teacher;               /* of opsd, what teaches now; or NULL */
    const struct teaching *teaching;     /* and what it reads; or NULL */
    struct stream *stream;               /* advances by the prompts taken */
    struct corpus *corpus;               /* rows are texts, of which windows are taken; or NULL */
    struct discriminator *discriminator; /* of the adversarial game, or NULL */
    struct judged *judged;               /* and what it reads in this step: filled by collect */
    const struct reasoning *reasoning;   /* and how it asks and reasons, where it does */
    const struct tiles *tiles;
    const int32_t *stop_ids;
    int64_t stop_id_count;
    double baseline; /* of objective.advantage = ema, before the step; none before step 1 */
    const struct pulse *pulse; /* beats between the parts of a batch; NULL: none */
};

/* What collecting a batch took and gave. */
struct collect_report {
    double rollout_s, reward_s, old_logprob_s, reference_s;
    int64_t tokens, positions; /* drawn here; computed here while decoding */
    int64_t resampled;         /* groups replaced because their rewards were equal */
    int64_t flat_groups;       /* groups of equal rewards that stayed */
    double baseline;    /* that the advantages are over; of objective.advantage = ema alone */
    double reward_mean; /* of the rewards that the advantages are made of */
};

struct teaching;

struct method {
    const char *name, *text;
    bool likelihood; /* the loss is −log π of given answers; no rewards, no gates */
    bool distils;    /* it is how far a teacher is from the model at the answers that it draws */
    bool
        discriminates; /* a head on the model, trained with it, tells its answers from given ones */

    /* Answers per prompt. */
    int64_t (*group_size)(const struct settings *settings);

    /* Whether these settings can be run by this method; a sentence when not. */
    enum status (*check)(const struct settings *settings);

    /* Tokens of a row's given answer, and of prompt and answer; NULL: answers are drawn. */
    enum status (*count_tokens)(const struct prompt_form *form, const struct dataset_item *item,
                                int64_t *answer, int64_t *both);

    /* Fills the step's rollout: all groups and summaries on every rank, tokens and numbers of the
     * answers that this rank owns. Steps count from 1. Collective. */
    enum status (*collect)(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report);
};

/* Whether rewards say what is learned from the answers. */
static inline bool method_rewards(const struct method *method) {
    return !method->likelihood && !method->distils;
}

const struct method *const *method_list(int *count);
const struct method *method_find(const char *name);

/* --- shared by methods --- */

/* Takes the next row of the stream, or a window of it, into group `group`, which is empty: its place
 * and reference. */
enum status method_take_row(const struct method_context *context, struct rollout *rollout,
                            int64_t group, struct dataset_item *item) MUST_USE;

/* Takes the next row and its prompt. */
enum status method_take_prompt(const struct method_context *context, struct rollout *rollout,
                               int64_t group, struct dataset_item *item) MUST_USE;

/* Packs the microbatches of this rank's tiles one after another and does `work` on each. */
typedef enum status method_work(void *with, const struct microbatch *microbatch);
enum status method_microbatches(const struct method_context *context, const struct rollout *rollout,
                                method_work *work, void *with) MUST_USE;

/* Log-probabilities and entropies of the answers of this rank's tiles under `model`; visit gets
 * those of one answer. */
typedef void method_visit(struct rollout_answer *answer, const float *logprob,
                          const float *entropy);
enum status method_score(const struct method_context *context, struct model *model,
                         const struct rollout *rollout, float temperature,
                         method_visit *visit) MUST_USE;

/* Makes the summaries of all answers known to all ranks. */
enum status method_share_summaries(const struct method_context *context,
                                   struct rollout *rollout) MUST_USE;

#endif
