/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that the model draws to the prompts of a step, for the methods that learn from its own.
 */
#ifndef METHOD_DRAW_H
#define METHOD_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "method/method.h"
#include "rollout/generate.h"

struct draw_call {
    int64_t step;
    int round;          /* counts the resamplings, so that a replaced prompt has noise of its own */
    const bool *marked; /* (group_count) the groups to answer; NULL: all */
    struct rollout_columns columns;
};

/* Draws the answers of those groups that belong to this rank. */
enum status draw_answers(const struct method_context *context, const struct draw_call *call,
                         struct rollout *rollout, struct collect_report *report) MUST_USE;

/* STATUS_INPUT where the settings draw the same answer every time. */
enum status draw_check(const struct settings *settings, const char *consequence) MUST_USE;

#endif
