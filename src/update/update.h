/* SPDX-License-Identifier: Apache-2.0
 *
 * An update rule turns one fixed batch into a change of the parameters. It sees only this: "the
 * gradient of mini-batch i here", "one optimizer step along it", and the vectors it may keep. It
 * knows no tokens, no ranks and no precision. To add one: write update_NAME.c, declare it below, add
 * a line to update.c.
 */
#ifndef UPDATE_UPDATE_H
#define UPDATE_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "optim/extrapolate.h"
#include "update/shutoff.h"

/* The two vectors a rule can keep a copy of. */
enum update_vector { UPDATE_PARAMETERS, UPDATE_GRADIENT };

/* Where step_keeping puts what a step begins with and goes along, and where extrapolate looks for it. */
enum update_slot {
    UPDATE_SLOT_PARAMETERS,
    UPDATE_SLOT_GRADIENT,
    UPDATE_SLOT_DIRECTION,
    UPDATE_SLOT_FORETOLD, /* of a diagnosis alone */
};

/* What a gradient call found. */
struct update_found {
    bool finite;    /* on all ranks; if not, no step may follow */
    double norm;    /* of the gradient, before clipping */
    double entropy; /* mean over the tokens of the mini-batch */
};

/* How update_problem.extrapolate tells the place from two steps. */
struct update_extrapolation {
    struct extrapolation how;
    bool directions;   /* ratios are of the optimizer's directions, not of gradients */
    double activity;   /* a coordinate's ratio counts where the first of them is larger than this */
    bool relative;     /* … times the root mean square of its tensor */
    bool leaves_state; /* the optimizer's state will be taken back: it need not be kept up */
};

struct update_problem {
    void *context;
    int mini_batches;
    /* Gradient of mini-batch i of the fixed batch at the present parameters, left where `step`
     * finds it. One backward pass. `pass` counts the calls of this step from 0 and only labels the
     * statistics. */
    enum status (*gradient)(void *context, int mini_batch, int pass, struct update_found *found);
    /* One optimizer step of the present parameters along the present gradient. */
    enum status (*step)(void *context);

    /* The rest is for rules that keep vectors, and may be NULL for others. Slots 0 … slots − 1 of the
     * rule hold one vector each, from one step's `keep` to its end. `keep` copies the present
     * parameters or gradient to a slot; `lerp` makes them slot + factor (present − slot), so 0 takes
     * the slot back and 1 changes nothing; `dot` is the present gradient times a slot. */
    enum status (*keep)(void *context, enum update_vector vector, int slot);
    enum status (*lerp)(void *context, enum update_vector vector, int slot, double factor);
    enum status (*dot)(void *context, int slot, double *product);
    /* The optimizer's state: moments and number of steps. */
    enum status (*save)(void *context);
    enum status (*take_back)(void *context);
    /* `step`, and what it begins with goes to the slots named above; the direction where the rule
     * has a slot for it. */
    enum status (*step_keeping)(void *context);
    /* `step`, then on to the place that both steps foretell (backend/extrapolation.h); *found is over
     * all coordinates. */
    enum status (*extrapolate)(void *context, const struct update_extrapolation *how,
                               struct extrapolation_sums *found);
};

struct update_settings {
    int iterations;                    /* times that the batch is gone through: single */
    struct update_extrapolation ahead; /* sfpo reads its steps and reposition alone */
    bool transactional;                /* the optimizer's state does not keep the fast steps */
    struct shutoff_settings shutoff;
};

/* What a step of gxpo found; NaN what it did not come to. */
struct update_lookahead {
    double norm_0, norm_1, norm_slow; /* gradients before clipping */
    double product_slow;              /* g0 g_slow */
    bool extrapolated;
    struct extrapolation_sums sums;
};

struct update_report {
    int backward_passes, optimizer_steps;
    int skipped;    /* gradients that were not finite, so that no step was taken */
    double entropy; /* mean over the mini-batches of the last iteration */
    bool active;    /* the rule looked ahead */
    bool fallback;  /* it wanted to, but took one ordinary step */
    double z;       /* the score of the shut-off test, NaN without one */
    struct update_lookahead ahead;
};

struct update_rule {
    const char *name, *text;
    /* Vectors as long as the parameters that the rule keeps, and whether it keeps the optimizer's
     * state as well: part of the memory plan. NULL: none, no. */
    int (*slots)(const struct update_settings *settings);
    bool (*saves)(const struct update_settings *settings);
    bool shuts_off; /* it has a shut-off test, whose state outlives a kill */
    /* Backward passes of a step, so calls of `gradient`, when nothing goes wrong; and at most. */
    int (*passes)(const struct update_settings *settings, int mini_batches);
    int (*passes_most)(const struct update_settings *settings, int mini_batches);
    /* Works off one fixed batch and fills *report, also when it fails on the way. *shutoff is the
     * rule's state from step to step. */
    enum status (*run)(const struct update_settings *settings, const struct update_problem *problem,
                       struct shutoff *shutoff, struct update_report *report);
};

extern const struct update_rule update_single, update_sfpo, update_gxpo;

/* All rules in help order; update_find gives NULL for an unknown name. */
const struct update_rule *const *update_list(int *count);
const struct update_rule *update_find(const char *name);

/* --- what rules are made of --- */

/* A report of nothing yet. */
struct update_report update_report_empty(void);

/* One iteration over the batch: a backward pass on each mini-batch in order, each followed by an
 * optimizer step unless the gradient is not finite. Adds to *report. */
enum status update_iteration(const struct update_problem *problem,
                             struct update_report *report) MUST_USE;

/* The step of a rule that is shut off: one iteration, of which its test is told. */
enum status update_rest(const struct update_settings *settings,
                        const struct update_problem *problem, struct shutoff *shutoff,
                        struct update_report *report) MUST_USE;

#endif
