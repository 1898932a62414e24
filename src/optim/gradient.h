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
 *         … model_backward with gradient_add as its sink, for each microbatch of this rank …
 *         TRY(gradient_finish(g, &outcome));
 *     } while (outcome == GRADIENT_REPEAT);
 *
 * The exact kind holds 8 bytes per parameter: the fp32 result replaces the totals in their place.
 *
 * On a shard (of more than one rank) a rank holds the totals of its own elements only. Additions are
 * collective then: every addend goes to its owner at once (optim/exchange.h), while the backward
 * computes the next where `overlaps`; all ranks keep step through the pieces of each backward, and a
 * rank without a microbatch attends those of the others.
 * Without shards ranks meet at the end only, when the whole totals are summed.
 */
#ifndef OPTIM_GRADIENT_H
#define OPTIM_GRADIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "comm/reducer.h"
#include "optim/exchange.h"
#include "optim/shard.h"

enum gradient_reduction { GRADIENT_EXACT, GRADIENT_FAST };

enum gradient_outcome {
    GRADIENT_READY,  /* `values` and `norm` are those of the sum */
    GRADIENT_REPEAT, /* an addend was too large: compute all of it again; made ready for that */
    GRADIENT_SKIP,   /* not finite: there is no gradient, take no step; `norm` is NaN */
};

struct gradient {
    struct backend *backend;
    const struct shard *shard; /* whose gradient it is: of one rank the whole vector's */
    struct reducer *reducer;
    enum gradient_reduction reduction;
    /* (shard->elements), backend memory; valid after GRADIENT_READY until the next gradient_begin */
    float *values;
    double norm; /* of the whole gradient, before any clipping */

    void *memory;    /* exact: the totals behind a gap, where `values` begins; fast: the values */
    int64_t *totals; /* exact: (shard->elements) */
    int32_t scale_bits;
    int64_t addends;
    struct refused *refused; /* exact: of this rank since the last begin (backend memory) */
    int32_t *rows;           /* (row_capacity), backend memory: those of the last piece of rows */
    int64_t row_capacity;

    struct exchange exchange; /* on a shard */
    bool overlaps;            /* see gradient_add; false at first */
    char *room;               /* whole on each of several ranks: of the reducer */
    size_t room_bytes;
};

/* What sums vectors in the backend's memory over the ranks; collective. The caller closes it. */
enum status gradient_open_reducer(struct reducer *reducer, struct backend *backend,
                                  struct comm *comm) MUST_USE;

/* The shard is that of all ranks of the reducer's communicator, or of one rank: then each holds all.
 * What it is made of must outlive it; the backend's memory must be the reducer's. The caller destroys
 * it. */
enum status gradient_create(struct gradient **gradient, struct backend *backend,
                            const struct shard *shard, struct reducer *reducer,
                            enum gradient_reduction reduction) MUST_USE;
void gradient_destroy(struct gradient **gradient);

/* Backend memory that gradient_create takes for so many elements of a shard, without what is
 * exchanged. */
int64_t gradient_bytes(int64_t elements, enum gradient_reduction reduction);

/* Clears the sum. addends: how many additions at most may meet in one element, over all ranks. A
 * backward pass adds to an element once, or twice to a tied embedding's (from the head and from
 * the rows looked up), so twice the passes of the mini-batch on all ranks is always enough. It
 * must not depend on the number of ranks. */
enum status gradient_begin(struct gradient *gradient, int64_t addends) MUST_USE;

/* Adds what the piece says. On a shard the ranks make these calls together, for the same elements;
 * one that has nothing to add where others have attends with values NULL. With `overlaps` a piece
 * there is on its way when the call comes back, and its values stay as they are until the next call,
 * or gradient_settle, has come back; rows, and everything without shards, are through at once. */
enum status gradient_add(struct gradient *gradient, const struct exchange_piece *piece) MUST_USE;

/* Moves on what is on its way, without waiting: called now and then while the next piece is computed.
 * Not collective. */
enum status gradient_progress(struct gradient *gradient) MUST_USE;

/* What was added is through; collective on a shard. Before ranks agree on anything else. */
enum status gradient_settle(struct gradient *gradient) MUST_USE;

/* Whether additions are collective. */
bool gradient_is_shared(const struct gradient *gradient);

/* The sum over all ranks; collective, the outcome is the same everywhere. */
enum status gradient_finish(struct gradient *gradient, enum gradient_outcome *outcome) MUST_USE;

/* Adds another gradient, such as was READY before, to the one that is: `other` (shard->elements),
 * backend memory. The outcome is READY, or SKIP where fp32 does not hold the sum. Collective. */
enum status gradient_join(struct gradient *gradient, const float *other,
                          enum gradient_outcome *outcome) MUST_USE;

#endif
