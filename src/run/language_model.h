/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy: a model with the tokenizer and the form of its prompts, on an open backend. What
 * training, generation and scoring have in common.
 */
#ifndef RUN_POLICY_H
#define RUN_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "config/settings.h"
#include "data/prompt.h"
#include "model/model.h"
#include "text/chat.h"
#include "text/tokenizer.h"

struct policy {
    struct backend backend;
    bool backend_is_open;
    struct hparams hparams;
    struct tokenizer *tokenizer;
    struct chat_style style;
    struct prompt_form form; /* borrows from the settings, the style and the tokenizer */
    struct model *model;     /* NULL before policy_open_model */
};

/* Opens all but the model, which needs to know how long its sequences get. The settings must
 * outlive the policy; it may not be moved; policy_close gives it back, also after a failure. */
enum status policy_open(struct policy *policy, const struct settings *settings,
                        int threads) MUST_USE;

/* Makes the model for sequences of at most max_positions tokens; its weights are not loaded yet
 * (model_load). */
enum status policy_open_model(struct policy *policy, const struct settings *settings,
                              int64_t max_positions) MUST_USE;

void policy_close(struct policy *policy);

/* Longest prompt that leaves room for `answer` more tokens and for prompt.max_tokens; a sentence
 * when there is none. */
enum status policy_prompt_limit(const struct policy *policy, const struct settings *settings,
                                int64_t answer, int64_t *limit) MUST_USE;

#endif
