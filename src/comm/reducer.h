/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of large vectors over the ranks. The vectors stand in the memory of a backend, so a reducer
 * belongs to a communicator and to a kind of memory: the communicator brings the one for host memory
 * (reducer_open_host); one for device memory works in the order of the backend's queue and is opened
 * beside it. What ranks tell one another besides (agreement, gathers, broadcasts) stays with the
 * communicator.
 *
 * Every function is collective, in the same order on all ranks. A reducer allocates nothing: `room`
 * is scratch of the same memory, of `room_bytes` bytes, at least 8 for each rank and equal on all;
 * REDUCER_ROOM is as much as is of use. To add one: fill a struct reducer_ops and put it through
 * tests/comm/conform.h.
 */
#ifndef COMM_REDUCER_H
#define COMM_REDUCER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

/* What goes over at a time stays in cache: 2 to 5 times as fast as 128 MiB on one node. */
enum { REDUCER_ROOM = 8 << 20 };

struct reducer;

/* Messages between all pairs of ranks; arrays (size of the communicator), counted in elements. What
 * a rank sends itself is not moved: counts for the own rank are 0. */
struct reducer_exchange {
    const float *send;
    const int64_t *send_at, *send_count; /* to rank r: send[send_at[r] … + send_count[r]) */
    float *receive;
    const int64_t *receive_at, *receive_count; /* from rank r; as many as it sends */
};

struct reducer_ops {
    const char *name, *text;
    enum status (*sum_exact)(struct reducer *, int64_t *values, int64_t n, void *room,
                             size_t room_bytes);
    enum status (*sum_fast)(struct reducer *, float *values, int64_t n, void *room,
                            size_t room_bytes);
    enum status (*exchange)(struct reducer *, const struct reducer_exchange *);
    enum status (*all_gather)(struct reducer *, float *values, const int64_t *borders);
    void (*close)(struct reducer *);
};

struct reducer {
    const struct reducer_ops *ops;
    struct comm *comm; /* borrowed */
    void *state;
};

/* The communicator's own, for vectors in host memory; *comm outlives it and does not move. The
 * caller closes it; a zero-filled or closed one may be. */
void reducer_open_host(struct reducer *reducer, struct comm *comm);
void reducer_close(struct reducer *reducer);

/* Bytes of room for vectors of n elements at most. */
size_t reducer_room_bytes(const struct comm *comm, int64_t n);

/* Element by element over the ranks, in place, the result on all. Integer sums wrap (modulo 2^64)
 * and are equal for any number of ranks; floating sums are equal on all ranks, but not for any
 * number. */
enum status reducer_sum_exact(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                              size_t room_bytes) MUST_USE;
enum status reducer_sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                             size_t room_bytes) MUST_USE;

/* All messages of `exchange`. Returns when what is received can be read and what was sent written
 * again. */
enum status reducer_exchange(struct reducer *reducer,
                             const struct reducer_exchange *exchange) MUST_USE;

/* Rank r's part values[borders[r] … borders[r + 1]) to all ranks, in place; borders (size + 1). */
enum status reducer_all_gather(struct reducer *reducer, float *values,
                               const int64_t *borders) MUST_USE;

#endif
