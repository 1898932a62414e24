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
 * A piece is begun, and is on its way while the caller computes the next one; on the CPU it moves on
 * when exchange_progress looks, on a device by itself once it has been looked at. First the ranks tell
 * one another what each brings (words), then messages go in windows that fit the room, and each
 * window is added before the next. Additions of integers have no order, so their bits do not depend
 * on when that happens; in floating point they are in the order of pieces and ranks.
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

/* How far the piece at work is. */
enum exchange_stage {
    EXCHANGE_IDLE,
    EXCHANGE_MEETING,  /* words are on their way */
    EXCHANGE_MESSAGES, /* a window is */
    EXCHANGE_ADDED,    /* all windows have been added, or will be behind their messages */
};

struct exchange {
    struct backend *backend;
    const struct shard *shard;
    struct reducer *reducer;
    float *room;       /* backend memory: from each rank `width` elements */
    int64_t width;     /* elements of one message */
    int64_t *messages; /* (5, ranks): words, and what reducer_exchange reads */

    enum exchange_stage stage;
    struct exchange_piece piece; /* at work */
    struct exchange_owner owner;
    int32_t *rows;       /* gathered from all ranks, one behind the other; NULL: no matrix */
    size_t *bytes;       /* (ranks) of them */
    int64_t round, step; /* the window: round of the deal, and which part of it */
    struct reducer_exchange flight;
    bool flies;         /* the window has messages */
    enum status status; /* of the owner */
};

/* What it is made of must outlive it. The caller releases it. */
enum status exchange_init(struct exchange *exchange, struct backend *backend,
                          const struct shard *shard, struct reducer *reducer) MUST_USE;
void exchange_release(struct exchange *exchange);

/* Begins to bring one piece from all ranks to its owners, when the one before is through; that of a
 * matrix is through when it comes back. Its values stay as they are until then. Collective. What fails
 * in `owner` is returned when the piece is through. */
enum status exchange_begin(struct exchange *exchange, const struct exchange_piece *piece,
                           const struct exchange_owner *owner) MUST_USE;

/* Looks whether the piece can go on, without waiting. Not collective. */
enum status exchange_progress(struct exchange *exchange) MUST_USE;

/* The piece is through. Collective. */
enum status exchange_finish(struct exchange *exchange) MUST_USE;

#endif
