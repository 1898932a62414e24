/* SPDX-License-Identifier: Apache-2.0
 *
 * The pieces of gradients that a backward gives, brought to the ranks that own them (optim/shard.h)
 * while it goes on: a reduce-scatter whose additions are the owner's.
 *
 * All ranks take part in each piece, in the same order, and each brings its own values or nothing. A
 * piece goes as the fp32 numbers that it is, half the bytes of fixed point, and the owner turns each
 * addend into fixed point: the same addends meet in a total as on one rank. Nothing as long as the
 * vector, or as a layer, is held for it: the room is reducer_room_bytes. Rows of a matrix travel as
 * their numbers and values alone.
 *
 * A rank whose own work fails still takes part, with nothing; the ranks agree between microbatches.
 */
#ifndef OPTIM_EXCHANGE_H
#define OPTIM_EXCHANGE_H

#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"
#include "comm/reducer.h"
#include "optim/shard.h"

struct exchange {
    struct backend *backend;
    const struct shard *shard;
    struct reducer *reducer;
    float *room;       /* backend memory: from each rank `width` elements */
    int64_t width;     /* elements of one message */
    int64_t *messages; /* (5, ranks): words, and what reducer_exchange reads */
};

/* What one rank brings of a piece: all elements of it, or rows of a matrix, or nothing. */
struct exchange_piece {
    int64_t offset, n;   /* elements [offset, offset + n) */
    const float *values; /* backend memory: (n), or (count, columns); NULL: nothing */
    int64_t columns;     /* 0: all elements; else those of the matrix that the piece is */
    const int32_t *rows; /* host, (count), ascending */
    int64_t count;
};

/* Called on the owner for every stretch of addends: `n` of them (backend memory) for the places from
 * `place` on. */
struct exchange_owner {
    enum status (*add)(void *context, int64_t place, const float *values, int64_t n);
    void *context;
};

/* What it is made of must outlive it. The caller releases it. */
enum status exchange_init(struct exchange *exchange, struct backend *backend,
                          const struct shard *shard, struct reducer *reducer) MUST_USE;
void exchange_release(struct exchange *exchange);

/* Brings one piece from all ranks to its owners. Collective. What fails in `owner` is returned when
 * the piece is through. */
enum status exchange_bring(struct exchange *exchange, const struct exchange_piece *piece,
                           const struct exchange_owner *owner) MUST_USE;

#endif
