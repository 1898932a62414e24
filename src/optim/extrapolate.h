/* SPDX-License-Identifier: Apache-2.0
 *
 * The second of two fast steps and the place that both foretell, over the shard of a rank, in one
 * pass (backend.h: adamw_extrapolate; the arithmetic is backend/extrapolation.h). What it finds is
 * summed block by block in the order of the vector, so that it is the same for any number of ranks
 * and threads.
 */
#ifndef OPTIM_EXTRAPOLATE_H
#define OPTIM_EXTRAPOLATE_H

#include "backend/extrapolation.h"
#include "base/status.h"
#include "optim/optimizer.h"

struct optimizer_extrapolation {
    struct optimizer_step step;  /* the second; the shard's elements of master end at their place */
    struct optimizer_kept start; /* of the first; direction NULL: ratios are of gradients */
    double start_scale;          /* gradient_scale of the first */
    struct extrapolation how;
    /* A coordinate's ratio counts where its gradient, or direction, is above this by size: as it is, or
     * times the root mean square of its tensor. */
    double activity;
    bool relative;
    bool leaves_state; /* moments are left as the first step has them; the count goes on */
};

/* *found: over all coordinates of the vector. Collective, with or without shards. */
enum status optimizer_extrapolate(struct optimizer *optimizer, struct comm *comm,
                                  const struct optimizer_extrapolation *args,
                                  struct extrapolation_sums *found) MUST_USE;

/* Takes the memory that it needs, and gives it back: a device keeps it for the calls that come. */
enum status optimizer_extrapolate_rehearse(struct optimizer *optimizer) MUST_USE;

/* What the size of a coordinate of `first`, the shard's gradients or directions (backend memory), must
 * exceed for its ratio to count: thresholds (layout->count), one a tensor. Collective. */
enum status optimizer_thresholds(const struct optimizer *optimizer, struct comm *comm,
                                 const float *first, double activity, bool relative,
                                 double *thresholds) MUST_USE;

#endif
