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
 * gradient, which is the shard's (both backend memory), all by one learning rate. */
enum status optimizer_step(struct optimizer *optimizer, float *master, const float *gradient,
                           double learning_rate, double gradient_scale) MUST_USE;

/* The same, and what the step begins with and goes along is kept: places of the shard, backend memory
 * (shard->elements) each, or NULL. The direction is d of
 * parameters = (1 − learning_rate weight_decay) parameters − learning_rate d. */
struct optimizer_step {
    float *master;
    const float *gradient;
    double learning_rate, gradient_scale;
    double head_learning_rate; /* of the parts of the layout that have `head` */
};
struct optimizer_kept {
    float *parameters, *gradient, *direction;
};
enum status optimizer_step_keeping(struct optimizer *optimizer, const struct optimizer_step *step,
                                   const struct optimizer_kept *kept) MUST_USE;

/* What the next step does to n elements from `at` on, which share their weight decay and learning
 * rate and stand from `place` of the shard on. */
struct adamw_args optimizer_step_args(const struct optimizer *optimizer,
                                      const struct optimizer_step *step, int64_t at, int64_t place,
                                      int64_t n);

/* The state at one time, in memory of the caller's: backend memory (shard->elements) each.
 * optimizer_take_back brings it back, once, and leaves the later one in *saved: the vectors change
 * places. */
struct optimizer_saved {
    float *exp_avg, *exp_avg_sq;
    int64_t steps;
};
enum status optimizer_save(struct optimizer *optimizer, struct optimizer_saved *saved) MUST_USE;
void optimizer_take_back(struct optimizer *optimizer, struct optimizer_saved *saved);

#endif
