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

static enum status create_exact(struct gradient *gradient) {
    const int64_t bytes = gradient_bytes(gradient->layout->elements, GRADIENT_EXACT);
    char *memory;
    TRY(backend_new(gradient->backend, &memory, bytes, "gradient sums"));
    gradient->memory = memory;
    gradient->values = (float *)(void *)memory;
    gradient->totals = (int64_t *)(void *)(memory + 4 * GAP);
    return STATUS_OK;
}

static enum status create_fast(struct gradient *gradient) {
    TRY(backend_new(gradient->backend, &gradient->values, gradient->layout->elements, "gradient"));
    gradient->memory = gradient->values;
    return STATUS_OK;
}

enum status gradient_create(struct gradient **gradient, struct backend *backend,
                            const struct vector_layout *layout, enum gradient_reduction reduction) {
    TRY(memory_new(gradient, 1, "gradient"));
    **gradient = (struct gradient){.backend = backend, .layout = layout, .reduction = reduction};
    const enum status status =
        reduction == GRADIENT_EXACT ? create_exact(*gradient) : create_fast(*gradient);
    if (status != STATUS_OK)
        gradient_destroy(gradient);
    return status;
}

void gradient_destroy(struct gradient **gradient) {
    if (*gradient == NULL)
        return;
    backend_release((*gradient)->backend, &(*gradient)->memory);
    memory_release(gradient);
}

static enum status clear(struct gradient *gradient, int32_t scale_bits) {
    const size_t elements = (size_t)gradient->layout->elements;
    gradient->scale_bits = scale_bits;
    gradient->refused = 0;
    gradient->nonfinite = 0;
    gradient->norm = (double)NAN;
    if (gradient->reduction == GRADIENT_FAST)
        return gradient->backend->ops->clear(gradient->backend, gradient->values,
                                             elements * sizeof *gradient->values);
    return gradient->backend->ops->clear(gradient->backend, gradient->totals,
                                         elements * sizeof *gradient->totals);
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

static enum status add_exact(struct gradient *gradient, int64_t offset, const float *values,
                             int64_t n) {
    return backend_run(gradient->backend, accumulate, .values = values,
                       .total = gradient->totals + offset, .n = n,
                       .scale_bits = gradient->scale_bits, .bound = bound(gradient),
                       .refused = &gradient->refused, .nonfinite = &gradient->nonfinite);
}

enum status gradient_add(void *context, int64_t offset, const float *values, int64_t n) {
    struct gradient *gradient = context;
    ASSERT(offset >= 0 && n >= 0 && offset + n <= gradient->layout->elements);
    if (gradient->reduction == GRADIENT_EXACT)
        return add_exact(gradient, offset, values, n);
    return backend_run(gradient->backend, add, .x = values, .out = gradient->values + offset,
                       .n = n);
}

/* Neighbouring rows go in one call. */
enum status gradient_add_rows(void *context, int64_t offset, int64_t columns, const int32_t *rows,
                              int64_t count, const float *values) {
    for (int64_t i = 0, run; i < count; i += run) {
        for (run = 1; i + run < count && rows[i + run] == rows[i] + run;)
            run++;
        TRY(gradient_add(context, offset + rows[i] * columns, values + i * columns, run * columns));
    }
    return STATUS_OK;
}

/* See GAP. Each piece is twice as long as all before it. */
static enum status resolve_in_place(struct gradient *gradient) {
    const int64_t n = gradient->layout->elements;
    for (int64_t begin = 0, end; begin < n; begin = end) {
        end = 2 * begin + GAP < n ? 2 * begin + GAP : n;
        TRY(backend_run(gradient->backend, resolve, .total = gradient->totals + begin,
                        .out = gradient->values + begin, .n = end - begin,
                        .scale_bits = gradient->scale_bits));
    }
    return STATUS_OK;
}

/* The norm of the sum in `values`. A sum that fp32 does not hold is no gradient. */
static enum status finish_values(struct gradient *gradient, enum gradient_outcome *outcome) {
    TRY(vector_norm(gradient->backend, gradient->layout, gradient->values, &gradient->norm));
    *outcome = isfinite(gradient->norm) ? GRADIENT_READY : GRADIENT_SKIP;
    if (*outcome == GRADIENT_SKIP)
        gradient->norm = (double)NAN;
    return STATUS_OK;
}

/* Every rank repeats at the scale that the largest addend of all asks for. That addend is one of
 * the same tiles whoever computes them, so the scale does not depend on the ranks either. */
static enum status finish_exact(struct gradient *gradient, struct comm *comm,
                                enum gradient_outcome *outcome) {
    double refused[] = {(double)gradient->nonfinite, gradient->refused};
    TRY(comm_maximum(comm, refused, 2));
    if (refused[0] > 0) {
        *outcome = GRADIENT_SKIP;
        return STATUS_OK;
    }
    if (refused[1] > 0) {
        const int32_t bits = fitting_bits(gradient, refused[1]);
        if (bits >= gradient->scale_bits || gradient->scale_bits != FINE_BITS)
            return FAIL(STATUS_DEFECT,
                        "a gradient computed twice from the same numbers differs: an addend of "
                        "size %g exceeds the largest of the first time",
                        refused[1]);
        *outcome = GRADIENT_REPEAT;
        return clear(gradient, bits);
    }
    TRY(comm_sum_exact(comm, gradient->totals, gradient->layout->elements));
    TRY(resolve_in_place(gradient));
    return finish_values(gradient, outcome);
}

/* The norm is agreed, for a floating sum may differ from rank to rank. */
static enum status finish_fast(struct gradient *gradient, struct comm *comm,
                               enum gradient_outcome *outcome) {
    TRY(comm_sum_fast(comm, gradient->values, gradient->layout->elements));
    TRY(finish_values(gradient, outcome));
    double sizes[] = {*outcome == GRADIENT_SKIP ? 1 : 0, gradient->norm};
    TRY(comm_maximum(comm, sizes, 2));
    *outcome = sizes[0] > 0 ? GRADIENT_SKIP : GRADIENT_READY;
    gradient->norm = *outcome == GRADIENT_READY ? sizes[1] : (double)NAN;
    return STATUS_OK;
}

enum status gradient_finish(struct gradient *gradient, struct comm *comm,
                            enum gradient_outcome *outcome) {
    return gradient->reduction == GRADIENT_EXACT ? finish_exact(gradient, comm, outcome)
                                                 : finish_fast(gradient, comm, outcome);
}
