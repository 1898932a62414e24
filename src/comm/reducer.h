/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of large vectors over the ranks. The vectors stand in the memory of a backend, so a reducer
 * belongs to a communicator and to a kind of memory: the communicator brings the one for host memory
 * (reducer_open_host); one for device memory works beside the backend's queue and is opened by the
 * backend (backend.h, open_reducer). What ranks tell one another besides (agreement, gathers,
 * broadcasts) stays with the communicator.
 *
 * Every function is collective, in the same order on all ranks, but for the tests. A reducer
 * allocates nothing: `room` is scratch of the same memory, of `room_bytes` bytes, at least 8 for each
 * rank and equal on all; REDUCER_ROOM is as much as is of use.
 *
 * The order of work. On a device a reducer has a queue of its own, so that messages travel while the
 * backend computes. reducer_follow takes what the backend has queued so far as what comes before all
 * that is begun from then on; reducer_join waits on the host until that is through, looking at errors
 * and deadlines meanwhile, so that what the backend is given afterwards comes behind it; the backend's
 * queue itself never waits for another rank, which may be lost. Sums do both by themselves; around exchanges and
 * gathers the caller does. Operations of the backend between reducer_beside(r, true) and (r, false)
 * are put behind the messages, not into the backend's queue. In host memory all of this is nothing.
 *
 * To add one: fill a struct reducer_ops and put it through tests/comm/conform.h.
 */
#ifndef COMM_REDUCER_H
#define COMM_REDUCER_H

#include <stdbool.h>
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

/* The last three are NULL where the vectors are in host memory: what is begun has been done then when
 * the call comes back, or a test says so. */
struct reducer_ops {
    const char *name, *text;
    enum status (*sum_exact)(struct reducer *, int64_t *values, int64_t n, void *room,
                             size_t room_bytes);
    enum status (*sum_fast)(struct reducer *, float *values, int64_t n, void *room,
                            size_t room_bytes);
    enum status (*exchange_begin)(struct reducer *, const struct reducer_exchange *);
    enum status (*exchange_test)(struct reducer *, bool wait, bool *come);
    enum status (*all_gather)(struct reducer *, float *values, const int64_t *borders);
    void (*close)(struct reducer *);
    enum status (*follow)(struct reducer *);
    enum status (*join)(struct reducer *, const char *what);
    void (*beside)(struct reducer *, bool on);
};

struct reducer {
    const struct reducer_ops *ops;
    struct comm *comm; /* borrowed */
    void *state;
    char by[64]; /* what it goes by, for the log: a library and its version; or "" */
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

/* All messages of `exchange`, which stays as it is, with its arrays, until a test says that they have
 * come; so does what is sent, and what is received is not looked at. Then operations put beside may
 * read it. `wait`: the test comes back with it. One exchange at a time; other calls may come in
 * between, and tests need not be as many on all ranks. */
enum status reducer_exchange_begin(struct reducer *reducer,
                                   const struct reducer_exchange *exchange) MUST_USE;
enum status reducer_exchange_test(struct reducer *reducer, bool wait, bool *come) MUST_USE;

/* Rank r's part values[borders[r] … borders[r + 1]) to all ranks, in place; borders (size + 1). */
enum status reducer_all_gather(struct reducer *reducer, float *values,
                               const int64_t *borders) MUST_USE;

/* See above. `what` the host waits in, for people. */
enum status reducer_follow(struct reducer *reducer) MUST_USE;
enum status reducer_join(struct reducer *reducer, const char *what) MUST_USE;
void reducer_beside(struct reducer *reducer, bool on);

#endif
