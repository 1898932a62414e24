/* SPDX-License-Identifier: Apache-2.0
 *
 * An update rule turns one fixed batch into a change of the parameters. It sees only this: "the
 * gradient of mini-batch i here", "one optimizer step along it", and the vectors it may keep. It
 * knows no tokens and no ranks. To add one: write update_NAME.c and add a line to update.c.
 */
#ifndef UPDATE_UPDATE_H
#define UPDATE_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct update_problem {
    void *context;
    int mini_batches;
    /* Gradient of mini-batch i of the fixed batch at the present parameters, left where `step`
     * finds it. One backward pass. `pass` counts the passes of this step from 0 and only labels the
     * statistics. *finite is false when a value was not finite on any rank: no step may follow. */
    enum status (*gradient)(void *context, int mini_batch, int pass, bool *finite);
    /* One optimizer step of the present parameters along the gradient just computed. */
    enum status (*step)(void *context);
};

struct update_settings {
    int iterations;
};

struct update_report {
    int backward_passes, optimizer_steps, skipped;
};

struct update_rule {
    const char *name, *text;
    int (*passes)(const struct update_settings *settings,
                  int mini_batches); /* backward passes of a step */
    enum status (*run)(const struct update_settings *settings, const struct update_problem *problem,
                       struct update_report *report);
};

const struct update_rule *const *update_list(int *count);
const struct update_rule *update_find(const char *name);

#endif
