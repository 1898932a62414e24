/* SPDX-License-Identifier: Apache-2.0
 *
 * An update rule turns one fixed batch into a change of the parameters. It sees only this: "the
 * gradient of mini-batch i here", "one optimizer step along it", and the vectors it may keep. It
 * knows no tokens and no ranks. To add one: write update_NAME.c, declare it below, add a line to
 * update.c.
 */
#ifndef UPDATE_UPDATE_H
#define UPDATE_UPDATE_H

#include <stdbool.h>

#include "base/status.h"

/* The two vectors a rule can keep a copy of. */
enum update_vector { UPDATE_PARAMETERS, UPDATE_GRADIENT };

struct update_problem {
    void *context;
    int mini_batches;
    /* Gradient of mini-batch i of the fixed batch at the present parameters, left where `step`
     * finds it. One backward pass. `pass` counts the calls of this step from 0 and only labels the
     * statistics. *finite is false when a value was not finite on any rank: no step may follow. */
    enum status (*gradient)(void *context, int mini_batch, int pass, bool *finite);
    /* One optimizer step of the present parameters along the present gradient. */
    enum status (*step)(void *context);
    /* Slots 0 … slots − 1 of the rule hold one vector each, from one step's `keep` to its end.
     * `keep` copies the present parameters or gradient to a slot; `lerp` makes them slot + factor
     * (present − slot), so 0 takes the slot back and 1 changes nothing. Both may be NULL for a rule
     * whose `slots` is 0. */
    enum status (*keep)(void *context, enum update_vector vector, int slot);
    enum status (*lerp)(void *context, enum update_vector vector, int slot, double factor);
};

struct update_settings {
    int iterations; /* times that the batch is gone through */
};

struct update_report {
    int backward_passes, optimizer_steps;
    int skipped; /* gradients that were not finite, so that no step was taken */
};

struct update_rule {
    const char *name, *text;
    int slots; /* vectors as long as the parameters that the rule keeps: part of the memory plan */
    /* Backward passes of a step, so calls of `gradient`, when nothing goes wrong. */
    int (*passes)(const struct update_settings *settings, int mini_batches);
    /* Works off one fixed batch and fills *report, also when it fails on the way. */
    enum status (*run)(const struct update_settings *settings, const struct update_problem *problem,
                       struct update_report *report);
};

extern const struct update_rule update_single;

/* All rules in help order; update_find gives NULL for an unknown name. */
const struct update_rule *const *update_list(int *count);
const struct update_rule *update_find(const char *name);

/* One iteration over the batch: a backward pass on each mini-batch in order, each followed by an
 * optimizer step unless the gradient is not finite. What rules are made of. Adds to *report. */
enum status update_iteration(const struct update_problem *problem,
                             struct update_report *report) MUST_USE;

#endif
