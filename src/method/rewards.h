/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer is worth by the settings: reward.parts, each by its rule, and their weighted sum.
 */
#ifndef METHOD_REWARDS_H
#define METHOD_REWARDS_H

#include <stddef.h>

#include "base/status.h"
#include "config/settings.h"
#include "rollout/rollout.h"

/* STATUS_INPUT unless reward.parts names known rules, each once, and not too many. */
enum status rewards_check(const struct settings *settings) MUST_USE;

/* Fills parts, reward and reward_penalised of an answer whose text and length are known. The
 * settings must have passed rewards_check. */
void rewards_of_answer(const struct settings *settings, const char *reference,
                       size_t reference_length, struct rollout_answer *answer);

#endif
