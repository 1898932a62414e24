/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sums of gradients over the ranks cost. Two questions: how fast is each beside the copies
 * that it is made of, and how much longer does a gradient take with it, all ranks computing one group.
 */
#include "cli/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "optim/gradient.h"
#include "run/run.h"

struct reduce_case {
    const struct bench *bench;
    struct comm *comm;
    struct reducer reducer;
    struct vector_layout *layout;
    struct shard *shard; /* of all ranks, or of one */
    struct gradient *gradient;
    struct bench_groups *groups;
    float *vector; /* (elements), as the parameters */
};

/* Seconds of the fastest of all calls that fit into bench->seconds, each as long as on the slowest
 * rank. Collective. */
static enum status shared_time(struct reduce_case *c, enum status (*call)(struct reduce_case *),
                               double *best_s) {
    double total_s = 0.0;
    *best_s = 1e30;
    for (int round = 0; round < 3 || total_s < c->bench->seconds; round++) {
        TRY(comm_barrier(c->comm, 0.0, "bench"));
        const double start_s = clock_now_s();
        TRY(comm_agree(c->comm, call(c)));
        double taken_s = clock_now_s() - start_s;
        TRY(comm_maximum(c->comm, &taken_s, 1));
        total_s += taken_s;
        *best_s = taken_s < *best_s ? taken_s : *best_s;
    }
    return STATUS_OK;
}

/* --- what is timed --- */

static enum status copy_half(struct reduce_case *c) {
    const int64_t half = c->layout->elements / 2;
    return backend_run(c->bench->backend, copy, .x = c->vector, .out = c->vector + half, .n = half);
}

static enum status sum_whole(struct reduce_case *c) {
    struct gradient *g = c->gradient;
    const int64_t n = c->layout->elements;
    if (g->reduction == GRADIENT_FAST)
        return reducer_sum_fast(&c->reducer, g->values, n, g->room, g->room_bytes);
    return reducer_sum_exact(&c->reducer, g->totals, n, g->room, g->room_bytes);
}

static enum status scatter(struct reduce_case *c) {
    const struct model *model = c->groups->model;
    for (int64_t i = 0; i < model_gradient_piece_count(model); i++) {
        const struct gradient_piece piece = model_gradient_piece(model, i);
        if (piece.columns == 0) /* rows of the embedding are few */
            TRY(gradient_add(c->gradient, &(struct exchange_piece){.offset = piece.offset,
                                                                   .n = piece.n,
                                                                   .values = c->vector}));
    }
    return gradient_settle(c->gradient);
}

static enum status gather(struct reduce_case *c) {
    return shard_gather(c->shard, &c->reducer, c->vector);
}

static enum status swallow(void *context, const struct gradient_piece *piece) {
    (void)context, (void)piece;
    return STATUS_OK;
}

enum status bench_give(void *context, const struct gradient_piece *piece) {
    return gradient_add(context, &(struct exchange_piece){.offset = piece->offset,
                                                          .n = piece->n,
                                                          .values = piece->values,
                                                          .columns = piece->columns,
                                                          .rows = piece->rows,
                                                          .count = piece->count});
}

static enum status bare_gradient(struct reduce_case *c) {
    return bench_groups_gradient(c->groups, &(const struct gradient_sink){.add = swallow});
}

static enum status progress(void *context) {
    return gradient_progress(context);
}

static enum status summed_gradient(struct reduce_case *c) {
    enum gradient_outcome outcome;
    const bool overlaps = c->gradient->overlaps;
    const struct gradient_sink sink = {.add = bench_give,
                                       .progress = overlaps ? progress : NULL,
                                       .lasts = overlaps,
                                       .context = c->gradient};
    TRY(gradient_begin(c->gradient, 1 << 20));
    TRY(bench_groups_gradient(c->groups, &sink));
    TRY(gradient_finish(c->gradient, &outcome));
    return shard_gather(c->shard, &c->reducer, c->vector);
}

/* --- one kind of sum --- */

struct kind {
    const char *name;
    enum gradient_reduction reduction;
    bool sharded;
};

static void close_kind(struct reduce_case *c) {
    gradient_destroy(&c->gradient);
    shard_destroy(&c->shard);
}

static enum status open_kind(struct reduce_case *c, const struct kind *kind) {
    TRY(shard_create(&c->shard, c->layout, kind->sharded ? c->comm->rank : 0,
                     kind->sharded ? c->comm->size : 1));
    TRY(gradient_create(&c->gradient, c->bench->backend, c->shard, &c->reducer, kind->reduction));
    return gradient_begin(c->gradient, 1 << 20);
}

/* A message is read on one rank and written on another: both count, as in the copy. */
static void print_sum(const struct reduce_case *c, const char *name, double bytes, double taken_s,
                      double copy_bytes_per_s) {
    const double moved = 2.0 * bytes * (c->comm->size - 1) / c->comm->size;
    if (c->comm->rank == 0)
        printf("%-44s %9.1f ms %8.2f GB/s a rank %6.1f %% of the copy\n", name, 1e3 * taken_s,
               1e-9 * moved / taken_s, 100.0 * moved / taken_s / copy_bytes_per_s);
}

/* On shards also with messages on their way during the backward: how much of what they add to it is
 * hidden then. */
static enum status time_gradients(struct reduce_case *c, double bare_s) {
    double gradient_s, overlapped_s;
    TRY(shared_time(c, summed_gradient, &gradient_s));
    if (c->comm->rank == 0)
        printf("%-44s %9.1f ms %+8.1f %% of the time without sums\n",
               "         a group's gradient with it", 1e3 * gradient_s,
               100.0 * (gradient_s / bare_s - 1.0));
    if (gradient_is_shared(c->gradient)) {
        c->gradient->overlaps = true;
        TRY(shared_time(c, summed_gradient, &overlapped_s));
        if (c->comm->rank == 0)
            printf("%-44s %9.1f ms %+8.1f %% of the time without sums, %.1f ms hidden\n",
                   "         the same, overlapped", 1e3 * overlapped_s,
                   100.0 * (overlapped_s / bare_s - 1.0), 1e3 * (gradient_s - overlapped_s));
    }
    fflush(stdout);
    return STATUS_OK;
}

static enum status time_kind(struct reduce_case *c, const struct kind *kind,
                             double copy_bytes_per_s, double bare_s) {
    const double n = (double)c->layout->elements;
    const double size = kind->sharded || kind->reduction == GRADIENT_FAST ? 4.0 : 8.0;
    double sum_s, gather_s;
    char name[64];
    TRY(comm_agree(c->comm, open_kind(c, kind)));
    TRY(shared_time(c, kind->sharded ? scatter : sum_whole, &sum_s));
    if (kind->sharded) {
        TRY(shared_time(c, gather, &gather_s));
        snprintf(name, sizeof name, "%s: pieces of a gradient to their owners", kind->name);
        print_sum(c, name, n * size, sum_s, copy_bytes_per_s);
        print_sum(c, "         parameters to all", n * size, gather_s, copy_bytes_per_s);
    } else {
        snprintf(name, sizeof name, "%s: sum of the whole", kind->name);
        print_sum(c, name, 2.0 * n * size, sum_s, copy_bytes_per_s);
    }
    return time_gradients(c, bare_s);
}

static enum status time_all(struct reduce_case *c) {
    static const struct kind kinds[] = {{"exact", GRADIENT_EXACT, false},
                                        {"fast", GRADIENT_FAST, false},
                                        {"sharded", GRADIENT_EXACT, true},
                                        {"sharded, fast", GRADIENT_FAST, true}};
    const int count = c->comm->size > 1 ? 4 : 2;
    double copy_s, bare_s;
    TRY(shared_time(c, copy_half, &copy_s));
    TRY(shared_time(c, bare_gradient, &bare_s));
    const double copy_bytes_per_s = 4.0 * (double)c->layout->elements / copy_s;
    if (c->comm->rank == 0)
        printf("%d ranks, %.1f million parameters\n%-44s %12s %8.2f GB/s a rank\n%-44s %9.1f ms\n",
               c->comm->size, 1e-6 * (double)c->layout->elements,
               "memory copy (read + write), all at once", "", 1e-9 * copy_bytes_per_s,
               "a group's gradient without sums", 1e3 * bare_s);
    enum status status = STATUS_OK;
    for (int k = 0; k < count && status == STATUS_OK; k++) {
        status = time_kind(c, &kinds[k], copy_bytes_per_s, bare_s);
        close_kind(c);
    }
    return status;
}

static enum status open_case(struct reduce_case *c, struct model *model) {
    TRY(run_layout_create(&c->layout, c->bench->backend, model_trained(model), c->bench->dtype));
    TRY(backend_new(c->bench->backend, &c->vector, c->layout->elements, "bench vector"));
    TRY(bench_fill(c->bench->backend, c->vector, DTYPE_F32, c->layout->elements, 1e-3f));
    return STATUS_OK;
}

enum status bench_reduce(const struct bench *bench, struct model *model, struct comm *comm) {
    struct bench_groups groups = {.model = model, .batch = BATCH_EMPTY};
    struct reduce_case c = {.bench = bench, .comm = comm, .groups = &groups};
    enum status status = bench_groups_init(&groups, model, 1);
    if (status == STATUS_OK)
        status = open_case(&c, model);
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = gradient_open_reducer(&c.reducer, bench->backend, comm);
    if (status == STATUS_OK)
        status = time_all(&c);
    reducer_close(&c.reducer);
    backend_release(bench->backend, &c.vector);
    vector_layout_destroy(&c.layout);
    bench_groups_release(&groups);
    return status;
}
