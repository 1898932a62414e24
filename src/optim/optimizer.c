/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/optimizer.h"

#include "base/memory.h"

#include <math.h>

static enum status create_moments(struct optimizer *optimizer) {
    const int64_t n = optimizer->shard->elements;
    TRY(backend_new(optimizer->backend, &optimizer->exp_avg, n, "first moments"));
    return backend_new(optimizer->backend, &optimizer->exp_avg_sq, n, "second moments");
}

enum status optimizer_create(struct optimizer **optimizer, struct backend *backend,
                             const struct shard *shard, const struct optimizer_settings *settings) {
    TRY(memory_new(optimizer, 1, "optimizer"));
    **optimizer = (struct optimizer){.backend = backend, .shard = shard, .settings = *settings};
    const enum status status = create_moments(*optimizer);
    if (status != STATUS_OK)
        optimizer_destroy(optimizer);
    return status;
}

void optimizer_destroy(struct optimizer **optimizer) {
    if (*optimizer == NULL)
        return;
    backend_release((*optimizer)->backend, &(*optimizer)->exp_avg);
    backend_release((*optimizer)->backend, &(*optimizer)->exp_avg_sq);
    memory_release(optimizer);
}

int64_t optimizer_bytes(int64_t elements) {
    return 2 * elements * (int64_t)sizeof(float);
}

/* Whether the optimizer moves two parts by the same numbers. */
static bool move_alike(const struct vector_part *a, const struct vector_part *b,
                       double weight_decay) {
    return a->head == b->head && (weight_decay == 0 || a->decay == b->decay);
}

/* End of the elements from `at` on, up to `end`, that move alike: one call of the backend. */
static int64_t run_end(const struct vector_layout *layout, double weight_decay, int64_t at,
                       int64_t end) {
    int64_t i = vector_layout_part(layout, at);
    const struct vector_part *const first = &layout->parts[i];
    while (i < layout->count && layout->parts[i].offset < end &&
           move_alike(first, &layout->parts[i], weight_decay))
        i++;
    return i < layout->count && layout->parts[i].offset < end ? layout->parts[i].offset : end;
}

struct adamw_args optimizer_step_args(const struct optimizer *optimizer,
                                      const struct optimizer_step *step, int64_t at, int64_t place,
                                      int64_t n) {
    const struct optimizer_settings *s = &optimizer->settings;
    const struct vector_layout *layout = optimizer->shard->layout;
    const struct vector_part *part = &layout->parts[vector_layout_part(layout, at)];
    const double t = (double)(optimizer->steps + 1);
    return (struct adamw_args){.parameters = step->master + at,
                               .exp_avg = optimizer->exp_avg + place,
                               .exp_avg_sq = optimizer->exp_avg_sq + place,
                               .gradient = step->gradient + place,
                               .n = n,
                               .learning_rate =
                                   part->head ? step->head_learning_rate : step->learning_rate,
                               .beta1 = s->beta1,
                               .beta2 = s->beta2,
                               .epsilon = s->epsilon,
                               .weight_decay = part->decay ? s->weight_decay : 0,
                               .gradient_scale = step->gradient_scale,
                               .correction1 = 1 - pow(s->beta1, t),
                               .correction2 = 1 - pow(s->beta2, t)};
}

static float *kept_at(float *kept, int64_t place) {
    return kept != NULL ? kept + place : NULL;
}

enum status optimizer_step_keeping(struct optimizer *optimizer, const struct optimizer_step *step,
                                   const struct optimizer_kept *kept) {
    const struct shard *shard = optimizer->shard;
    struct backend *backend = optimizer->backend;
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++) {
        const struct shard_range range = shard_range_at(shard, shard->rank, i);
        for (int64_t at = range.begin, stop; at < range.end; at = stop) {
            const int64_t place = range.place + (at - range.begin);
            stop = run_end(shard->layout, optimizer->settings.weight_decay, at, range.end);
            struct adamw_args args = optimizer_step_args(optimizer, step, at, place, stop - at);
            args.kept_parameters = kept_at(kept->parameters, place);
            args.kept_gradient = kept_at(kept->gradient, place);
            args.kept_direction = kept_at(kept->direction, place);
            TRY(backend->ops->adamw(backend, &args));
        }
    }
    optimizer->steps++;
    return STATUS_OK;
}

enum status optimizer_step(struct optimizer *optimizer, float *master, const float *gradient,
                           double learning_rate, double gradient_scale) {
    return optimizer_step_keeping(optimizer,
                                  &(struct optimizer_step){.master = master,
                                                           .gradient = gradient,
                                                           .learning_rate = learning_rate,
                                                           .head_learning_rate = learning_rate,
                                                           .gradient_scale = gradient_scale},
                                  &(struct optimizer_kept){.parameters = NULL});
}

/* --- the state taken back --- */

enum status optimizer_save(struct optimizer *optimizer, struct optimizer_saved *saved) {
    const int64_t n = optimizer->shard->elements;
    saved->steps = optimizer->steps;
    TRY(backend_run(optimizer->backend, copy, .x = optimizer->exp_avg, .out = saved->exp_avg,
                    .n = n));
    return backend_run(optimizer->backend, copy, .x = optimizer->exp_avg_sq,
                       .out = saved->exp_avg_sq, .n = n);
}

static void exchange(float **a, float **b) {
    float *const first = *a;
    *a = *b;
    *b = first;
}

void optimizer_take_back(struct optimizer *optimizer, struct optimizer_saved *saved) {
    exchange(&optimizer->exp_avg, &saved->exp_avg);
    exchange(&optimizer->exp_avg_sq, &saved->exp_avg_sq);
    optimizer->steps = saved->steps;
}
