/* SPDX-License-Identifier: Apache-2.0
 *
 * What a rule that foretells is worth, measured: the place that two steps foretell against the one
 * that K steps of the optimizer reach, on the same batch from the same parameters (the paper's table
 * 6, with a true trajectory). It costs K + 2 backward passes, and leaves parameters and the
 * optimizer's state as they were, to the bit.
 */
#ifndef UPDATE_DIAGNOSE_H
#define UPDATE_DIAGNOSE_H

#include <stdbool.h>

#include "base/status.h"
#include "update/update.h"

/* Of the foretold displacement from θ0 against the true one; NaN where a gradient was not finite. */
struct update_errors {
    double median; /* of |error| over coordinates, at θ_K; at the reposition it is α times that */
    double relative; /* 2-norm of the error over that of the true displacement */
    double cosine;   /* 1 − cosine of both displacements */
    double reached;  /* 2-norm of the true displacement */
};

/* What measuring asks of a problem besides the rule's own calls. */
struct update_measures {
    /* Between `extrapolate` and the next gradient: counts ratios and scales of each tensor. */
    enum status (*tally)(void *context, const struct update_extrapolation *how);
    /* The present parameters, which K steps have reached, against those of slot `foretold`; both
     * began at those of slot `start`. */
    enum status (*compare)(void *context, int start, int foretold, struct update_errors *found);
};

/* Before the rule runs on its batch. The problem has the slots of gxpo and UPDATE_SLOT_FORETOLD, and
 * room for the optimizer's state. A stop that a gradient call asks for is passed on once all is as it
 * was. */
enum status update_diagnose(const struct update_settings *settings,
                            const struct update_problem *problem,
                            const struct update_measures *measures,
                            struct update_errors *found) MUST_USE;

#endif
