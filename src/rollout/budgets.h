/* SPDX-License-Identifier: Apache-2.0
 *
 * How many tokens an answer may have: of thinking, whose end is forced when its budget is used up,
 * and of the answer behind it.
 *
 * Thinking has ended where the text of the tokens so far, without special tokens, contains the
 * closing tag, whether or not a tag opened it (a chat template may have done so), or where the tag
 * is drawn as one added token. The answer begins behind the token in which the tag ends, or behind
 * the forced text. An answer that ends before its thinking does ends as it is.
 */
#ifndef ROLLOUT_BUDGETS_H
#define ROLLOUT_BUDGETS_H

#include <stdint.h>

#include "base/status.h"
#include "config/settings.h"
#include "text/tokenizer.h"

/* What the settings say; texts are borrowed. */
struct budget_settings {
    const char *group; /* of the parameters, for what is said of them */
    int64_t max_new_tokens;
    int64_t think_tokens;  /* from the first token of the answer on; 0: thinking has no budget */
    int64_t answer_tokens; /* behind the thinking; 0: what max_new_tokens leaves */
    const char *think_tag, *think_close;
};

struct budget_settings budget_settings_of(const struct settings *settings);

enum { BUDGET_TAG_BYTES = 64 };

struct budgets {
    struct budget_settings settings;
    char tag[BUDGET_TAG_BYTES]; /* what closes thinking */
    int32_t tag_id;             /* its id where it is an added token, else −1 */
    struct token_list close;    /* what is forced: the closing text, encoded by itself */
};

/* Without thinking to end, or without a tokenizer (NULL), there is nothing to force. STATUS_INPUT
 * where the closing text would end the answer or leaves no room for it. The caller releases it. */
enum status budgets_init(struct budgets *budgets, const struct budget_settings *settings,
                         struct tokenizer *tokenizer, const int32_t *stop_ids,
                         int64_t stop_id_count) MUST_USE;
void budgets_release(struct budgets *budgets);

/* Whether thinking that has not ended so far has its end forced behind n tokens. */
bool budgets_force(const struct budgets *budgets, int64_t n);

/* Most tokens of an answer that is still thinking, and of one whose thinking has ended before token
 * `begin`. */
int64_t budgets_thinking(const struct budgets *budgets);
int64_t budgets_answer(const struct budgets *budgets, int64_t begin);

#endif
