/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands between the rewards of a step's answers and the policy's loss, for the methods that
 * learn by rewards: log-probabilities under π_old and the reference, the KL penalty, advantages.
 */
#ifndef METHOD_POLICY_H
#define METHOD_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "method/method.h"

/* The numbers per token of an answer to be rewarded. */
struct rollout_columns policy_columns(const struct method_context *context);

/* Rewards of this rank's answers to the marked groups (NULL: all) by reward.parts; 0 without parts. */
enum status policy_reward(const struct method_context *context, int64_t step, const bool *marked,
                          struct rollout *rollout) MUST_USE;

/* Counts the groups of equal rewards, and marks them (marked: (group_count), or NULL). */
int64_t policy_flat_groups(const struct rollout *rollout, bool *marked);

/* From rewards that all ranks know to advantages that all ranks know. Collective. */
enum status policy_prepare(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) MUST_USE;

#endif
