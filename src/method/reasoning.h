/* SPDX-License-Identifier: Apache-2.0
 *
 * What a discriminator that reasons reads and writes before it tells. adversarial.judge_template asks
 * about each completion of a window:
 *
 *     [text] [prefix] [text]    [completion] [text] [reasoning] [close]
 *     the group's prompt        one of its sequences (method/judged.h)
 *
 * The prefix and the completion enter as tokens, the texts are encoded by themselves. The model that
 * tells draws the reasoning; what closes it, where it did not do so itself, nobody draws. So of a
 * sequence the drawn tokens are its n, and the others stand between them (rollout/rollout.h).
 */
#ifndef METHOD_REASONING_H
#define METHOD_REASONING_H

#include <stdint.h>

#include "base/status.h"
#include "config/settings.h"
#include "rollout/budgets.h"
#include "text/tokenizer.h"

struct collect_report;
struct judged;
struct method_context;

struct reasoning {
    int64_t tokens; /* most that are drawn; 0: the discriminator tells at once */
    struct token_list before, between, behind; /* around the prefix and the completion */
    struct budgets closing;                    /* the tag that closes it, and what is forced */
    struct token_list stops; /* end it: the model's stop ids, and the tag where it is a token */
};

/* STATUS_INPUT where the closing text would end an answer. reasoning_release gives it back, also after
 * a failure. */
enum status reasoning_open(struct reasoning *reasoning, const struct settings *settings,
                           struct tokenizer *tokenizer, const int32_t *stop_ids,
                           int64_t stop_id_count) MUST_USE;
void reasoning_release(struct reasoning *reasoning);

/* Tokens that the question adds to what stands before a completion; and most that question, reasoning
 * and close add behind it. */
int64_t reasoning_before(const struct reasoning *reasoning);
int64_t reasoning_behind(const struct reasoning *reasoning);

/* Asks about all completions of a step, draws the reasoning for those of this rank's groups, and makes
 * the sequences and their lengths of it. Collective. */
enum status reasoning_draw(const struct method_context *context, int64_t step,
                           struct judged *judged, struct collect_report *report) MUST_USE;

#endif
