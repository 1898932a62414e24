/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) over the flat fp32
 * master vector, or over the shard of it that a rank owns. Its state is 8 bytes per parameter of the
 * shard and a counter: both moments, in the places of the shard, and the number of steps taken, all
 * of which a checkpoint keeps.
 */
#ifndef OPTIM_OPTIMIZER_H
#define OPTIM_OPTIMIZER_H

#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "optim/shard.h"

struct optimizer_settings {
    double beta1, beta2, epsilon;
    double weight_decay; /* of the parts of the layout that have `decay` */
};

struct optimizer {
    struct backend *backend;
    const struct shard *shard;
    struct optimizer_settings settings;
    float *exp_avg, *exp_avg_sq; /* (shard->elements), backend memory, zero at first */
    int64_t steps;               /* taken so far */
};

/* The backend and the shard must outlive it. The caller destroys it. */
enum status optimizer_create(struct optimizer **optimizer, struct backend *backend,
                             const struct shard *shard,
                             const struct optimizer_settings *settings) MUST_USE;
void optimizer_destroy(struct optimizer **optimizer);

/* Backend memory that optimizer_create takes. */
int64_t optimizer_bytes(int64_t elements);

/* The second moments of a gradient whose norm, scaled, is larger would not fit fp32. */
#define OPTIMIZER_NORM_MAX 1e18

/* One step: the elements of the shard in `master`, the whole vector, move along gradient_scale ×
 * gradient, which is the shard's (both backend memory). */
enum status optimizer_step(struct optimizer *optimizer, float *master, const float *gradient,
                           double learning_rate, double gradient_scale) MUST_USE;

#endif
