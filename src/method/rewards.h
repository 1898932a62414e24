/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer is worth by the settings: reward.parts, each by its rule, and their weighted sum.
 */
#ifndef METHOD_REWARDS_H
#define METHOD_REWARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "config/settings.h"
#include "reward/reward.h"
#include "rollout/rollout.h"

/* STATUS_INPUT unless reward.parts names known rules, each once, and not too many. */
enum status rewards_check(const struct settings *settings) MUST_USE;

/* Fills parts, reward and reward_penalised of an answer whose text and length are known. The
 * settings must have passed rewards_check. */
void rewards_of_answer(const struct settings *settings, const char *reference,
                       size_t reference_length, struct rollout_answer *answer);

/* STATUS_INPUT unless the settings of the rules themselves are sound, whatever reward.parts says. */
enum status rewards_check_rules(const struct settings *settings) MUST_USE;

/* An answer's text, and what it is judged by. */
struct rewards_case {
    const char *text;
    size_t length;
    const char *reference;
    size_t reference_length;
    int64_t tokens; /* of the answer */
};

/* Whether an answer is right by a rule that has `extract`, and what it answers: a part of the text,
 * empty where it gives nothing. The settings must have passed rewards_check_rules. */
bool rewards_verdict(const struct settings *settings, const struct reward_rule *rule,
                     const struct rewards_case *answer, struct span *extracted);

#endif
