/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer is worth by the settings: reward.parts, each by its rule, and their weighted sum.
 */
#ifndef METHOD_REWARDS_H
#define METHOD_REWARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pulse.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "config/settings.h"
#include "reward/reward.h"
#include "rollout/rollout.h"

/* STATUS_INPUT unless reward.parts names known rules, each once, and not too many, and what a part
 * from outside needs is there. */
enum status rewards_check(const struct settings *settings) MUST_USE;

/* What gives the rewards of one rank: with a part `program` a process, with `plugin` a shared
 * object. */
struct rewards;

/* Opens what reward.parts names, as rank `rank` of `ranks`. The settings must outlive it; the caller
 * closes it. */
enum status rewards_open(struct rewards **rewards, const struct settings *settings, int rank,
                         int ranks) MUST_USE;
void rewards_close(struct rewards **rewards);

/* An answer whose text and length are known, and what it answers. */
struct rewards_item {
    struct rollout_answer *answer;
    const struct strbuf *prompt, *reference;
    int64_t step, group, index; /* step from 1; group; answer of the group */
    int64_t source, row;        /* of the prompt */
};

/* Fills parts, reward and reward_penalised of the answers. Each depends on its item alone, as far as
 * rewards from outside keep to that. STATUS_REWARD when one of those fails; what the pulse says when
 * that gives up. After a failure only closing is left. */
enum status rewards_grade(struct rewards *rewards, const struct rewards_item *items, int64_t count,
                          const struct pulse *pulse) MUST_USE;

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
