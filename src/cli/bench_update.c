/* SPDX-License-Identifier: Apache-2.0
 *
 * What the vectors of a step of gxpo cost: two fast steps, the place that they foretell, the last step.
 * Bytes are counted where the operations are called, by a backend that stands before the real one and
 * looks at their arguments; time is compared with the copy, of the same run, by bytes.
 */
#include "cli/bench.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "model/adapter.h"
#include "optim/extrapolate.h"
#include "run/run.h"

/* --- the backend that counts --- */

struct meter {
    struct backend *inner;
    double bytes;
};

static struct meter *meter_of(const struct backend *backend) {
    return backend->state;
}

static double kept(const void *address) {
    return address != NULL ? 4.0 : 0.0;
}

static enum status meter_adamw(struct backend *backend, const struct adamw_args *args) {
    struct meter *meter = meter_of(backend);
    meter->bytes += (double)args->n * (28.0 + kept(args->kept_parameters) +
                                       kept(args->kept_gradient) + kept(args->kept_direction));
    return meter->inner->ops->adamw(meter->inner, args);
}

/* Reads parameters, moments, both gradients and what was kept; writes parameters and moments. */
static enum status meter_extrapolate(struct backend *backend,
                                     const struct adamw_extrapolate_args *args) {
    struct meter *meter = meter_of(backend);
    meter->bytes += (double)args->step.n *
                    (28.0 + kept(args->start_direction) + (args->leaves_moments ? 0.0 : 8.0));
    return meter->inner->ops->adamw_extrapolate(meter->inner, args);
}

static enum status meter_dot(struct backend *backend, const struct dot_args *args) {
    struct meter *meter = meter_of(backend);
    meter->bytes += (double)args->n * (args->x == args->y ? 4.0 : 8.0);
    return meter->inner->ops->dot(meter->inner, args);
}

static enum status meter_copy(struct backend *backend, const struct copy_args *args) {
    struct meter *meter = meter_of(backend);
    meter->bytes += (double)args->n * 8.0;
    return meter->inner->ops->copy(meter->inner, args);
}

static enum status meter_allocate(struct backend *backend, void **out, size_t bytes,
                                  const char *label) {
    struct backend *inner = meter_of(backend)->inner;
    return inner->ops->allocate(inner, out, bytes, label);
}

static void meter_release(struct backend *backend, void *memory) {
    struct backend *inner = meter_of(backend)->inner;
    inner->ops->release(inner, memory);
}

static enum status meter_download(struct backend *backend, void *to, const void *from,
                                  size_t bytes) {
    struct backend *inner = meter_of(backend)->inner;
    return inner->ops->download(inner, to, from, bytes);
}

static enum status meter_synchronize(struct backend *backend) {
    struct backend *inner = meter_of(backend)->inner;
    return inner->ops->synchronize(inner);
}

/* No others are called by what is timed. */
static const struct backend_ops meter_ops = {.name = "meter",
                                             .allocate = meter_allocate,
                                             .release = meter_release,
                                             .download = meter_download,
                                             .synchronize = meter_synchronize,
                                             .adamw = meter_adamw,
                                             .adamw_extrapolate = meter_extrapolate,
                                             .dot = meter_dot,
                                             .copy = meter_copy};

/* --- what is timed --- */

struct update_case {
    struct backend metered; /* its state is `meter` */
    struct meter meter;
    struct comm comm;
    struct vector_layout *layout;
    struct shard *shard;
    struct optimizer *optimizer;
    float *master, *gradient, *slots[3];
    struct optimizer_saved saved;
    bool directions, transactional;
};

static struct optimizer_step step_of(const struct update_case *c) {
    return (struct optimizer_step){
        .master = c->master, .gradient = c->gradient, .learning_rate = 1e-6, .gradient_scale = 1};
}

static struct optimizer_kept kept_of(const struct update_case *c) {
    return (struct optimizer_kept){.parameters = c->slots[0],
                                   .gradient = c->slots[1],
                                   .direction = c->directions ? c->slots[2] : NULL};
}

static enum status first(void *context) {
    struct update_case *c = context;
    const struct optimizer_step step = step_of(c);
    const struct optimizer_kept kept = kept_of(c);
    if (c->transactional)
        TRY(optimizer_save(c->optimizer, &c->saved));
    return optimizer_step_keeping(c->optimizer, &step, &kept);
}

static enum status second(void *context) {
    struct update_case *c = context;
    struct extrapolation_sums found;
    const struct optimizer_extrapolation args = {.step = step_of(c),
                                                 .start = kept_of(c),
                                                 .start_scale = 1,
                                                 .how = {.steps = 5,
                                                         .reposition = 0.5,
                                                         .ratio_least = -2,
                                                         .ratio_most = 3,
                                                         .scale_least = 1,
                                                         .scale_most = 3.5},
                                                 .activity = c->directions ? 1e-3 : 1e-8,
                                                 .relative = c->directions,
                                                 .leaves_state = c->transactional};
    TRY(optimizer_extrapolate(c->optimizer, &c->comm, &args, &found));
    if (c->transactional)
        optimizer_take_back(c->optimizer, &c->saved);
    return STATUS_OK;
}

static enum status third(void *context) {
    struct update_case *c = context;
    return optimizer_step(c->optimizer, c->master, c->gradient, 1e-6, 1);
}

static enum status all_three(void *context) {
    TRY(first(context));
    TRY(second(context));
    return third(context);
}

static enum status cosine(void *context) {
    struct update_case *c = context;
    double product;
    return shard_dot(c->shard, &c->comm, c->slots[1], c->gradient, &product);
}

/* --- figures --- */

static enum status time_part(const struct bench *bench, struct update_case *c, const char *name,
                             enum status (*part)(void *context)) {
    const double n = (double)c->layout->elements;
    double best_s;
    c->meter.bytes = 0;
    TRY(part(c));
    const double bytes = c->meter.bytes;
    TRY(bench_best_time(bench->backend, bench->seconds, part, c, &best_s));
    printf("%-44s %6.0f bytes/parameter %9.2f ms %8.1f GB/s %6.1f %% of the copy\n", name,
           bytes / n, 1e3 * best_s, 1e-9 * bytes / best_s,
           100.0 * bytes / best_s / bench->ceilings.copy_bytes_all);
    fflush(stdout);
    return STATUS_OK;
}

static enum status time_parts(const struct bench *bench, struct update_case *c) {
    printf("update, %.1f million parameters\n", 1e-6 * (double)c->layout->elements);
    TRY(time_part(bench, c, "first step, what it begins with kept", first));
    TRY(time_part(bench, c, "second step, and the place foretold", second));
    TRY(time_part(bench, c, "last step", third));
    TRY(time_part(bench, c, "gxpo", all_three));
    TRY(time_part(bench, c, "cosine of first and last gradient, besides", cosine));
    c->transactional = true;
    TRY(time_part(bench, c, "gxpo, transactional", all_three));
    c->transactional = false;
    c->directions = true;
    TRY(time_part(bench, c, "gxpo, retention of directions", all_three));
    c->directions = false;
    return STATUS_OK;
}

static enum status open_vectors(struct update_case *c, struct backend *backend) {
    const struct optimizer_settings settings = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    const int64_t n = c->layout->elements;
    float **vectors[] = {&c->master,   &c->gradient,      &c->slots[0],        &c->slots[1],
                         &c->slots[2], &c->saved.exp_avg, &c->saved.exp_avg_sq};
    TRY(shard_create(&c->shard, c->layout, 0, 1));
    TRY(optimizer_create(&c->optimizer, &c->metered, c->shard, &settings));
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        TRY(backend_new(backend, vectors[i], n, "bench update"));
    TRY(bench_fill(backend, c->master, DTYPE_F32, n, 0.05f));
    return bench_fill(backend, c->gradient, DTYPE_F32, n, 1e-3f);
}

static void close_case(struct update_case *c, struct backend *backend) {
    backend_release(backend, &c->master);
    backend_release(backend, &c->gradient);
    for (int i = 0; i < 3; i++)
        backend_release(backend, &c->slots[i]);
    backend_release(backend, &c->saved.exp_avg);
    backend_release(backend, &c->saved.exp_avg_sq);
    optimizer_destroy(&c->optimizer);
    shard_destroy(&c->shard);
    vector_layout_destroy(&c->layout);
    comm_close(&c->comm);
}

/* All weights of the shape, or an adapter's factors. */
static enum status list_trained(const struct hparams *shape, int64_t rank, struct parameter **items,
                                struct parameter_set *set) {
    const struct adapter_settings adapter = {
        .rank = rank, .alpha = (double)rank, .targets = {true, true, true, true, true, true, true}};
    if (rank > 0)
        return adapter_parameters_list(shape, &adapter, items, set);
    int64_t count;
    TRY(parameters_list(shape, items, &count));
    *set = (struct parameter_set){*items, count, parameters_elements(shape)};
    return STATUS_OK;
}

enum status bench_update(const struct bench *bench, const struct hparams *shape, int64_t rank) {
    struct update_case c = {.meter = {.inner = bench->backend}};
    struct parameter *items = NULL;
    struct parameter_set set;
    c.metered = (struct backend){.ops = &meter_ops, .state = &c.meter};
    comm_self_open(&c.comm);
    enum status status = list_trained(shape, rank, &items, &set);
    if (status == STATUS_OK)
        status =
            run_layout_create(&c.layout, &c.metered, &set, rank > 0 ? DTYPE_F32 : bench->dtype);
    if (status == STATUS_OK)
        status = open_vectors(&c, bench->backend);
    if (status == STATUS_OK)
        status = time_parts(bench, &c);
    close_case(&c, bench->backend);
    memory_release(&items);
    return status;
}
