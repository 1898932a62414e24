/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/extrapolate.h"

#include <math.h>

#include "base/memory.h"

/* What the call works in. */
struct work {
    struct optimizer *optimizer;
    const struct optimizer_extrapolation *args;
    double *thresholds;                /* (layout->count) */
    struct extrapolation_sums *sums;   /* backend memory, of this rank's blocks */
    struct extrapolation_sums *own;    /* the same on the host */
    struct extrapolation_sums *blocks; /* of all blocks of the vector */
    int64_t count;                     /* of this rank's */
};

static enum status open_work(struct work *work) {
    const struct vector_layout *layout = work->optimizer->shard->layout;
    TRY(memory_new(&work->thresholds, layout->count, "thresholds of tensors"));
    TRY(memory_new(&work->own, layout->block_count, "sums of blocks"));
    TRY(memory_new(&work->blocks, layout->block_count, "sums of blocks"));
    return backend_new(work->optimizer->backend, &work->sums, layout->block_count,
                       "sums of blocks");
}

static void close_work(struct work *work) {
    memory_release(&work->thresholds);
    memory_release(&work->own);
    memory_release(&work->blocks);
    backend_release(work->optimizer->backend, &work->sums);
}

enum status optimizer_extrapolate_rehearse(struct optimizer *optimizer) {
    struct work work = {.optimizer = optimizer};
    const enum status status = open_work(&work);
    close_work(&work);
    return status;
}

enum status optimizer_thresholds(const struct optimizer *optimizer, struct comm *comm,
                                 const float *first, double activity, bool relative,
                                 double *thresholds) {
    const struct vector_layout *layout = optimizer->shard->layout;
    if (relative)
        TRY(comm_agree(comm, shard_dot_parts(optimizer->shard, comm, first, first, thresholds)));
    for (int64_t i = 0; i < layout->count; i++) {
        const double mean = thresholds[i] / (double)layout->parts[i].elements;
        thresholds[i] = activity * (relative ? sqrt(mean) : 1);
    }
    return STATUS_OK;
}

/* Elements [at, stop) of one tensor. */
static enum status extrapolate_part(struct work *work, const struct vector_part *part, int64_t at,
                                    int64_t stop, int64_t place) {
    const struct optimizer_extrapolation *args = work->args;
    struct optimizer *optimizer = work->optimizer;
    const struct optimizer_kept *start = &args->start;
    const struct adamw_extrapolate_args call = {
        .step = optimizer_step_args(optimizer, &args->step, at, place, stop - at),
        .start = start->parameters + place,
        .start_gradient = start->gradient + place,
        .start_direction = start->direction != NULL ? start->direction + place : NULL,
        .start_scale = args->start_scale,
        .threshold = work->thresholds[part - optimizer->shard->layout->parts],
        .how = args->how,
        .leaves_moments = args->leaves_state,
        .working = part->working,
        .blocks = work->sums + work->count};
    work->count += (stop - at + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    return optimizer->backend->ops->adamw_extrapolate(optimizer->backend, &call);
}

static enum status extrapolate_own(struct work *work) {
    struct backend *backend = work->optimizer->backend;
    const struct shard *shard = work->optimizer->shard;
    const struct vector_layout *layout = shard->layout;
    for (int64_t i = 0; i < shard_range_count(shard, shard->rank); i++) {
        const struct shard_range range = shard_range_at(shard, shard->rank, i);
        for (int64_t at = range.begin, stop; at < range.end; at = stop) {
            const struct vector_part *part = &layout->parts[vector_layout_part(layout, at)];
            const int64_t end = part->offset + part->elements;
            stop = end < range.end ? end : range.end;
            TRY(extrapolate_part(work, part, at, stop, range.place + (at - range.begin)));
        }
    }
    work->optimizer->steps++;
    return backend->ops->download(backend, work->own, work->sums,
                                  (size_t)work->count * sizeof *work->own);
}

static void add_block(struct extrapolation_sums *to, const struct extrapolation_sums *block) {
    to->coordinates += block->coordinates;
    to->active += block->active;
    to->ratio_clamped += block->ratio_clamped;
    to->scale_clamped += block->scale_clamped;
    to->ratio += block->ratio;
    to->ratio_square += block->ratio_square;
    to->scale += block->scale;
    to->scale_most = fmax(to->scale_most, block->scale_most);
    to->moved += block->moved;
    to->extended += block->extended;
    to->product += block->product;
    to->changed += block->changed;
}

static enum status compute(struct work *work, struct comm *comm, struct extrapolation_sums *found) {
    const struct shard *shard = work->optimizer->shard;
    const struct optimizer_extrapolation *args = work->args;
    const float *first =
        args->start.direction != NULL ? args->start.direction : args->start.gradient;
    TRY(optimizer_thresholds(work->optimizer, comm, first, args->activity, args->relative,
                             work->thresholds));
    TRY(comm_agree(comm, extrapolate_own(work)));
    TRY(shard_gather_blocks(shard, comm, work->own, work->count, sizeof *work->own, work->blocks));
    *found = work->blocks[0];
    for (int64_t b = 1; b < shard->layout->block_count; b++)
        add_block(found, &work->blocks[b]);
    return STATUS_OK;
}

enum status optimizer_extrapolate(struct optimizer *optimizer, struct comm *comm,
                                  const struct optimizer_extrapolation *args,
                                  struct extrapolation_sums *found) {
    struct work work = {.optimizer = optimizer, .args = args};
    enum status status = comm_agree(comm, open_work(&work));
    if (status == STATUS_OK)
        status = compute(&work, comm, found);
    close_work(&work);
    return status;
}
