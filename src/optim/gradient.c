/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/gradient.h"

#include "base/memory.h"

#include <math.h>

enum { FINE_BITS = 54 };

/* Elements of the gap between the begin of the fp32 values and that of the totals. It lets the
 * totals be turned into values in their own memory, front to back, by operations whose input and
 * output never overlap: elements [a, b) are read at 4 GAP + 8 a and written up to 4 b. */
#define GAP INT64_C(16384)

int64_t gradient_bytes(int64_t elements, enum gradient_reduction reduction) {
    return reduction == GRADIENT_EXACT ? 4 * GAP + 8 * elements : 4 * elements;
}

enum status gradient_open_reducer(struct reducer *reducer, struct backend *backend,
                                  struct comm *comm) {
    if (backend->ops->open_reducer != NULL)
        return backend->ops->open_reducer(backend, comm, reducer);
    ASSERT(backend->ops->host_memory);
    reducer_open_host(reducer, comm);
    return STATUS_OK;
}

static enum status create_exact(struct gradient *gradient) {
    const int64_t bytes = gradient_bytes(gradient->shard->elements, GRADIENT_EXACT);
    char *memory;
    TRY(backend_new(gradient->backend, &memory, bytes, "gradient sums"));
    gradient->memory = memory;
    gradient->values = (float *)(void *)memory;
    gradient->totals = (int64_t *)(void *)(memory + 4 * GAP);
    return backend_new(gradient->backend, &gradient->refused, 1, "gradient sums");
}

static enum status create_fast(struct gradient *gradient) {
    TRY(backend_new(gradient->backend, &gradient->values, gradient->shard->elements, "gradient"));
    gradient->memory = gradient->values;
    return STATUS_OK;
}

static enum status create_parts(struct gradient *gradient) {
    const struct comm *comm = gradient->reducer->comm;
    TRY((gradient->reduction == GRADIENT_EXACT ? create_exact : create_fast)(gradient));
    if (gradient_is_shared(gradient))
        return exchange_init(&gradient->exchange, gradient->backend, gradient->shard,
                             gradient->reducer);
    if (comm->size == 1)
        return STATUS_OK;
    gradient->room_bytes = reducer_room_bytes(comm, gradient->shard->elements);
    return backend_new(gradient->backend, &gradient->room, gradient->room_bytes,
                       "gradients exchanged");
}

enum status gradient_create(struct gradient **gradient, struct backend *backend,
                            const struct shard *shard, struct reducer *reducer,
                            enum gradient_reduction reduction) {
    ASSERT(shard->size == 1 || shard->size == reducer->comm->size);
    TRY(memory_new(gradient, 1, "gradient"));
    **gradient = (struct gradient){
        .backend = backend, .shard = shard, .reducer = reducer, .reduction = reduction};
    const enum status status = create_parts(*gradient);
    if (status != STATUS_OK)
        gradient_destroy(gradient);
    return status;
}

void gradient_destroy(struct gradient **gradient) {
    if (*gradient == NULL)
        return;
    exchange_release(&(*gradient)->exchange);
    backend_release((*gradient)->backend, &(*gradient)->room);
    backend_release((*gradient)->backend, &(*gradient)->memory);
    backend_release((*gradient)->backend, &(*gradient)->refused);
    backend_release((*gradient)->backend, &(*gradient)->rows);
    memory_release(gradient);
}

bool gradient_is_shared(const struct gradient *gradient) {
    return gradient->shard->size > 1;
}

static enum status clear(struct gradient *gradient, int32_t scale_bits) {
    const size_t elements = (size_t)gradient->shard->elements;
    struct backend *backend = gradient->backend;
    gradient->scale_bits = scale_bits;
    gradient->norm = (double)NAN;
    if (gradient->reduction == GRADIENT_FAST)
        return backend->ops->clear(backend, gradient->values, elements * sizeof *gradient->values);
    TRY(backend->ops->clear(backend, gradient->refused, sizeof *gradient->refused));
    return backend->ops->clear(backend, gradient->totals, elements * sizeof *gradient->totals);
}

enum status gradient_begin(struct gradient *gradient, int64_t addends) {
    ASSERT(addends > 0);
    gradient->addends = addends;
    return clear(gradient, FINE_BITS);
}

/* The largest scaled addend: so many of them cannot wrap the sum. */
static double bound(const struct gradient *gradient) {
    return ldexp(1, 62) / (double)gradient->addends;
}

/* The finest scale at which an addend of size `largest` is within the bound. */
static int32_t fitting_bits(const struct gradient *gradient, double largest) {
    const int bits = ilogb(bound(gradient) / largest);
    return ldexp(largest, bits) <= bound(gradient) ? bits : bits - 1;
}

/* Adds what belongs to the memory of this rank from `place` on. */
static enum status add_own(void *context, int64_t place, const float *values, int64_t n) {
    struct gradient *gradient = context;
    if (gradient->reduction == GRADIENT_FAST)
        return backend_run(gradient->backend, add, .x = values, .out = gradient->values + place,
                           .n = n);
    return backend_run(
        gradient->backend, accumulate, .values = values, .total = gradient->totals + place, .n = n,
        .scale_bits = gradient->scale_bits, .bound = bound(gradient), .refused = gradient->refused);
}

static enum status upload_rows(struct gradient *gradient, const int32_t *rows, int64_t count) {
    struct backend *backend = gradient->backend;
    if (count > gradient->row_capacity) {
        backend_release(backend, &gradient->rows);
        gradient->row_capacity = 0;
        TRY(backend_new(backend, &gradient->rows, count, "rows of a gradient"));
        gradient->row_capacity = count;
    }
    return backend->ops->upload(backend, gradient->rows, rows, (size_t)count * sizeof *rows);
}

static enum status add_own_rows(struct gradient *gradient, const struct exchange_piece *piece) {
    TRY(upload_rows(gradient, piece->rows, piece->count));
    if (gradient->reduction == GRADIENT_FAST)
        return backend_run(gradient->backend, scatter_rows, .x = piece->values,
                           .rows = gradient->rows, .out = gradient->values + piece->offset,
                           .R = piece->count, .C = piece->columns);
    return backend_run(gradient->backend, accumulate_rows, .values = piece->values,
                       .rows = gradient->rows, .total = gradient->totals + piece->offset,
                       .R = piece->count, .C = piece->columns, .scale_bits = gradient->scale_bits,
                       .bound = bound(gradient), .refused = gradient->refused);
}

enum status gradient_add(struct gradient *gradient, const struct exchange_piece *piece) {
    const struct exchange_owner owner = {.add = add_own, .context = gradient};
    ASSERT(piece->offset >= 0 && piece->n > 0 &&
           piece->offset + piece->n <= gradient->shard->layout->elements);
    if (gradient_is_shared(gradient)) {
        TRY(exchange_begin(&gradient->exchange, piece, &owner));
        return gradient->overlaps ? STATUS_OK : exchange_finish(&gradient->exchange);
    }
    ASSERT(piece->values != NULL);
    if (piece->columns > 0)
        return add_own_rows(gradient, piece);
    return add_own(gradient, piece->offset, piece->values, piece->n);
}

enum status gradient_progress(struct gradient *gradient) {
    return gradient_is_shared(gradient) ? exchange_progress(&gradient->exchange) : STATUS_OK;
}

enum status gradient_settle(struct gradient *gradient) {
    return gradient_is_shared(gradient) ? exchange_finish(&gradient->exchange) : STATUS_OK;
}

/* See GAP. Each piece is twice as long as all before it. */
static enum status resolve_in_place(struct gradient *gradient) {
    const int64_t n = gradient->shard->elements;
    for (int64_t begin = 0, end; begin < n; begin = end) {
        end = 2 * begin + GAP < n ? 2 * begin + GAP : n;
        TRY(backend_run(gradient->backend, resolve, .total = gradient->totals + begin,
                        .out = gradient->values + begin, .n = end - begin,
                        .scale_bits = gradient->scale_bits));
    }
    return STATUS_OK;
}

/* The norm of the sum in `values`. A sum that fp32 does not hold is no gradient. Of fast sums it is
 * agreed, for a floating sum may differ from rank to rank. */
static enum status finish_values(struct gradient *gradient, enum gradient_outcome *outcome) {
    struct comm *comm = gradient->reducer->comm;
    TRY(shard_norm(gradient->shard, comm, gradient->values, &gradient->norm));
    double sizes[] = {isfinite(gradient->norm) ? 0 : 1, gradient->norm};
    if (gradient->reduction == GRADIENT_FAST)
        TRY(comm_maximum(comm, sizes, 2));
    *outcome = sizes[0] > 0 ? GRADIENT_SKIP : GRADIENT_READY;
    gradient->norm = *outcome == GRADIENT_READY ? sizes[1] : (double)NAN;
    return STATUS_OK;
}

/* Every rank repeats at the scale that the largest addend of all asks for. That addend is one of
 * the same tiles whoever computes them, so the scale does not depend on the ranks either. */
static enum status repeat(struct gradient *gradient, double refused,
                          enum gradient_outcome *outcome) {
    const int32_t bits = fitting_bits(gradient, refused);
    if (bits >= gradient->scale_bits || gradient->scale_bits != FINE_BITS)
        return FAIL(STATUS_DEFECT,
                    "a gradient computed twice from the same numbers differs: an addend of "
                    "size %g exceeds the largest of the first time",
                    refused);
    *outcome = GRADIENT_REPEAT;
    return clear(gradient, bits);
}

static enum status finish_exact(struct gradient *gradient, enum gradient_outcome *outcome) {
    struct reducer *reducer = gradient->reducer;
    struct backend *backend = gradient->backend;
    struct refused own = {.largest = 0};
    TRY(comm_agree(reducer->comm,
                   backend->ops->download(backend, &own, gradient->refused, sizeof own)));
    double refused[] = {(double)own.nonfinite, own.largest};
    TRY(comm_maximum(reducer->comm, refused, 2));
    if (refused[0] > 0) {
        *outcome = GRADIENT_SKIP;
        return STATUS_OK;
    }
    if (refused[1] > 0)
        return repeat(gradient, refused[1], outcome);
    if (!gradient_is_shared(gradient))
        TRY(reducer_sum_exact(reducer, gradient->totals, gradient->shard->elements, gradient->room,
                              gradient->room_bytes));
    TRY(comm_agree(reducer->comm, resolve_in_place(gradient)));
    return finish_values(gradient, outcome);
}

static enum status finish_fast(struct gradient *gradient, enum gradient_outcome *outcome) {
    struct reducer *reducer = gradient->reducer;
    if (!gradient_is_shared(gradient))
        TRY(reducer_sum_fast(reducer, gradient->values, gradient->shard->elements, gradient->room,
                             gradient->room_bytes));
    return finish_values(gradient, outcome);
}

enum status gradient_finish(struct gradient *gradient, enum gradient_outcome *outcome) {
    TRY(comm_agree(gradient->reducer->comm, gradient_settle(gradient)));
    return (gradient->reduction == GRADIENT_EXACT ? finish_exact : finish_fast)(gradient, outcome);
}

enum status gradient_join(struct gradient *gradient, const float *other,
                          enum gradient_outcome *outcome) {
    TRY(comm_agree(gradient->reducer->comm,
                   backend_run(gradient->backend, add, .x = other, .out = gradient->values,
                               .n = gradient->shard->elements)));
    return finish_values(gradient, outcome);
}
