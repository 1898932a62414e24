/* SPDX-License-Identifier: Apache-2.0
 *
 * What an update rule moves and keeps, on the real vectors: the steps of the optimizer, the slots,
 * the optimizer's state, the place that two steps foretell; and the step of a discriminator that
 * makes one of its own. All but the settings is collective and returns what all ranks agreed on; what
 * is kept lives on the shard.
 */
#ifndef RUN_RULE_H
#define RUN_RULE_H

#include "base/status.h"
#include "config/settings.h"
#include "update/update.h"

struct run;

struct update_settings rule_settings(const struct settings *settings);

/* Whether what the rule foretells is to be measured now and then (run/diagnosis.h). */
bool rule_is_diagnosed(const struct settings *settings);

/* Whether the discriminator of the game makes a step of its own: the rule then sees the generator's loss
 * alone and leaves the head as it is. */
bool rule_leaves_discriminator(const struct settings *settings);

/* Memory of the slots that run->rule wants; run_unreserve gives it back. */
enum status rule_reserve(struct run *run) MUST_USE;
enum status rule_rehearse(struct run *run) MUST_USE; /* what a device is to have for it at hand */
void rule_unreserve(struct run *run);

/* As struct update_problem wants them; the context is the run. */
enum status rule_step(void *run) MUST_USE;
enum status rule_step_keeping(void *run) MUST_USE;
enum status rule_extrapolate(void *run, const struct update_extrapolation *how,
                             struct extrapolation_sums *found) MUST_USE;
enum status rule_keep(void *run, enum update_vector vector, int slot) MUST_USE;
enum status rule_lerp(void *run, enum update_vector vector, int slot, double factor) MUST_USE;
enum status rule_dot(void *run, int slot, double *product) MUST_USE;
enum status rule_save(void *run) MUST_USE;
enum status rule_take_back(void *run) MUST_USE;

/* The discriminator's own step, along the present gradient. */
enum status rule_step_discriminator(struct run *run) MUST_USE;

#endif
