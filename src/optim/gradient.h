/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of a mini-batch: the sum of what every tile of every rank adds to it.
 *
 * Exact (the default): addends become 64-bit fixed point, × 2^54, and are summed as integers, so
 * the sum has no order and its bits do not depend on ranks, tiles per rank or threads (design,
 * section 3). A wrapped sum could not be seen, so each scaled addend is bounded by 2^62 / addends.
 * Where one is larger, the ranks agree on the largest of all and the whole gradient is computed
 * again at the finest power of two that fits it, which may be any that fp32 asks for: every finite
 * gradient is summed with the same promise, and only an addend or a sum that fp32 does not hold is
 * refused. Fast: plain fp32 sums, half the bytes to reduce, and that promise given up.
 *
 *     gradient_begin(g, addends);
 *     do {
 *         … model_backward with gradient_add as its sink, for each pass of this rank …
 *         TRY(gradient_finish(g, comm, &outcome));
 *     } while (outcome == GRADIENT_REPEAT);
 *
 * The exact kind holds 8 bytes per parameter: the fp32 result replaces the totals in their place.
 */
#ifndef OPTIM_GRADIENT_H
#define OPTIM_GRADIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "comm/comm.h"
#include "optim/vector.h"

enum gradient_reduction { GRADIENT_EXACT, GRADIENT_FAST };

enum gradient_outcome {
    GRADIENT_READY,  /* `values` and `norm` are those of the sum */
    GRADIENT_REPEAT, /* an addend was too large: compute all of it again; made ready for that */
    GRADIENT_SKIP,   /* not finite: there is no gradient, take no step; `norm` is NaN */
};

struct gradient {
    struct backend *backend;
    const struct vector_layout *layout;
    enum gradient_reduction reduction;
    /* (layout->elements), backend memory; valid after GRADIENT_READY until the next
     * gradient_begin */
    float *values;
    double norm; /* of `values`, before any clipping */

    void *memory;    /* exact: the totals behind a gap, where `values` begins; fast: the values */
    int64_t *totals; /* exact: (layout->elements) */
    int32_t scale_bits;
    int64_t addends;
    /* Of this rank since the last begin: the largest addend above the bound, 0 for none, and the
     * number of those that are not finite. */
    double refused;
    int64_t nonfinite;
};

/* The backend and the layout must outlive it; the backend's memory must be one that the
 * communicator given to gradient_finish can read. The caller destroys it. */
enum status gradient_create(struct gradient **gradient, struct backend *backend,
                            const struct vector_layout *layout,
                            enum gradient_reduction reduction) MUST_USE;
void gradient_destroy(struct gradient **gradient);

/* Backend memory that gradient_create takes. */
int64_t gradient_bytes(int64_t elements, enum gradient_reduction reduction);

/* Clears the sum. addends: how many additions at most may meet in one element, over all ranks. A
 * backward pass adds to an element once, or twice to a tied embedding's (from the head and from
 * the rows looked up), so twice the passes of the mini-batch on all ranks is always enough. It
 * must not depend on the number of ranks. */
enum status gradient_begin(struct gradient *gradient, int64_t addends) MUST_USE;

/* Adds values[0 … n − 1] (backend memory) to elements [offset, offset + n). `context` is the
 * gradient: model.h's gradient_sink takes this function as it is. */
enum status gradient_add(void *context, int64_t offset, const float *values, int64_t n) MUST_USE;

/* Adds values (count, columns) to the rows `rows` (host, ascending) of the matrix of so many columns
 * at `offset`. */
enum status gradient_add_rows(void *context, int64_t offset, int64_t columns, const int32_t *rows,
                              int64_t count, const float *values) MUST_USE;

/* The sum over all ranks; collective, the outcome is the same everywhere. */
enum status gradient_finish(struct gradient *gradient, struct comm *comm,
                            enum gradient_outcome *outcome) MUST_USE;

#endif
