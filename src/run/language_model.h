/* SPDX-License-Identifier: Apache-2.0
 *
 * A language model as a command uses it: the model with its tokenizer and the form of its prompts,
 * on an open backend. What training and generation have in common.
 */
#ifndef RUN_LANGUAGE_MODEL_H
#define RUN_LANGUAGE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "config/settings.h"
#include "data/prompt.h"
#include "model/discriminator.h"
#include "model/model.h"
#include "rollout/budgets.h"
#include "run/absent.h"
#include "text/chat.h"
#include "text/tokenizer.h"

struct language_model {
    struct backend backend;
    bool backend_is_open;
    struct hparams hparams;
    struct tokenizer *tokenizer;
    struct chat_style style;
    struct token_list answer_end; /* empty before language_model_find_end */
    struct prompt_form form;      /* borrows from the settings, the style and the tokenizer */
    bool plans;                   /* on a planned backend: nothing is read or computed */
    struct absent absent;         /* of a plan */
    struct weights *weights;      /* NULL before language_model_create, like what follows */
    struct adapter *adapter;      /* NULL where none is asked for */
    struct model *model;
    struct discriminator *discriminator; /* NULL before language_model_add_head */
    struct parameter *parameters; /* of the model's trained part, then of the head; or NULL */
    struct parameter_set trained; /* these */
};

/* Opens all but the model, which needs to know how long its sequences get. The settings must
 * outlive it; it may not be moved; language_model_close gives it back, also after a failure. */
enum status language_model_open(struct language_model *lm, const struct settings *settings,
                                int threads) MUST_USE;

/* Refuses what the budgets of thinking say against each other once the closing text is tokens, and
 * warns of a budget that is never reached. */
enum status language_model_check_budgets(const struct language_model *lm,
                                         const struct budget_settings *wanted) MUST_USE;

/* The same on a planned backend (backend_plan), without what is absent: NULL tokenizer and no form
 * where that is. */
enum status language_model_plan(struct language_model *lm, const struct settings *settings,
                                int threads, const struct absent *absent) MUST_USE;

/* The adapter that these settings ask for, by lora.adapter or the other parameters of lora; its rank
 * is 0 where none is asked for. */
enum status language_model_adapter(const struct language_model *lm, const struct settings *settings,
                                   struct adapter_settings *out) MUST_USE;

/* Makes the model for sequences of at most max_positions tokens; nothing is loaded yet. */
enum status language_model_create(struct language_model *lm, const struct settings *settings,
                                  int64_t max_positions) MUST_USE;

/* Puts a discriminator on the model, behind what else is trained; nothing is loaded yet. */
enum status language_model_add_head(struct language_model *lm,
                                    const struct settings *settings) MUST_USE;

/* The head that these settings ask for, as it stands behind `offset` elements. */
struct discriminator_settings language_model_head(const struct language_model *lm,
                                                  const struct settings *settings, int64_t offset);

/* All that a run of this model trains, in one flat vector: what model_trained says, and behind it
 * the tensors of the discriminator where there is one. */
const struct parameter_set *language_model_trained(const struct language_model *lm);

/* The working copy of all that becomes that of the flat fp32 vector (backend memory). */
enum status language_model_refresh(struct language_model *lm, const float *master) MUST_USE;

/* Finds what ends an answer that the data give (prompt_find_end); encoded answers end so. */
enum status language_model_find_end(struct language_model *lm,
                                    const struct settings *settings) MUST_USE;

/* Loads the weights in model.path and the adapter: lora.adapter, or a new one; the discriminator,
 * if there is one: that beside the adapter, or beside the weights where there is none, or a new one.
 * `master` (backend memory, or NULL where there is no discriminator) takes what is trained.
 * `fingerprint` (or NULL) takes the checksums of the weights. */
enum status language_model_load(struct language_model *lm, const struct settings *settings,
                                float *master, struct fingerprint *fingerprint) MUST_USE;

/* Reads the weights in model.path alone, into a set of weights that may be another than lm's. */
enum status language_model_load_weights(const struct language_model *lm,
                                        const struct settings *settings, struct weights *weights,
                                        float *master, struct fingerprint *fingerprint) MUST_USE;

/* What matrices are held in, by model.precision. */
enum dtype language_model_dtype(const struct settings *settings);

/* Gives the model back, with what language_model_create and language_model_add_head have made. */
void language_model_remove(struct language_model *lm);

void language_model_close(struct language_model *lm);

/* The files beside the weights in model.path (model_directory.h), with model.added_tokens in those of
 * the tokenizer and in config.json. */
struct model_files;
enum status language_model_files(const struct language_model *lm, const struct settings *settings,
                                 struct model_files *files) MUST_USE;

/* Longest prompt that leaves room for `answer` more tokens and for prompt.max_tokens; a sentence
 * when there is none. */
enum status language_model_prompt_limit(const struct language_model *lm,
                                        const struct settings *settings, int64_t answer,
                                        int64_t *limit) MUST_USE;

#endif
