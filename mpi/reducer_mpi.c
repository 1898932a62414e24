/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of vectors in host memory: messages between all pairs of ranks, and additions of our own. A
 * sum is a reduce-scatter, in which every rank adds up its part from all others, and an all-gather
 * of the parts; each moves (size − 1) / size of the bytes in and out of every rank, as a ring would,
 * and what is added in which order does not depend on what MPI makes of a reduction.
 */
#include "mpi/mpi_state.h"

/* --- messages given by the caller --- */

static struct mpi_message exchange_to(const void *context, int rank) {
    const struct reducer_exchange *e = context;
    if (e->send_count[rank] == 0)
        return (struct mpi_message){NULL, 0};
    return (struct mpi_message){(char *)(uintptr_t)(e->send + e->send_at[rank]),
                                e->send_count[rank] * (int64_t)sizeof *e->send};
}

static struct mpi_message exchange_from(const void *context, int rank) {
    const struct reducer_exchange *e = context;
    if (e->receive_count[rank] == 0)
        return (struct mpi_message){NULL, 0};
    return (struct mpi_message){(char *)(e->receive + e->receive_at[rank]),
                                e->receive_count[rank] * (int64_t)sizeof *e->receive};
}

static enum status exchange_begin(struct reducer *reducer, const struct reducer_exchange *e) {
    struct mpi_transfer *flight = &mpi_state_of(reducer->comm)->flight;
    ASSERT(flight->count == 0);
    flight->messages = (struct mpi_messages){e, exchange_to, exchange_from};
    flight->tag = MPI_TAG_FLIGHT;
    return mpi_transfer_begin(reducer->comm, flight);
}

static enum status exchange_test(struct reducer *reducer, bool wait, bool *come) {
    return mpi_transfer_test(reducer->comm, &mpi_state_of(reducer->comm)->flight, wait,
                             "exchange of gradients", come);
}

/* --- parts of one vector --- */

/* A stretch of a vector of elements of `size` bytes, cut into as many parts as there are ranks. Part
 * r begins at element borders[r] where these are given, else the parts are even. */
struct stretch {
    const struct comm *comm;
    char *values, *room; /* room: (ranks, elements of the own part) */
    int64_t n, size;
    const int64_t *borders;
};

static int64_t border(const struct stretch *s, int rank) {
    return s->borders != NULL ? s->borders[rank] : s->n * rank / s->comm->size;
}

static struct mpi_message part(const struct stretch *s, int rank) {
    const int64_t begin = border(s, rank), end = border(s, rank + 1);
    return (struct mpi_message){s->values + begin * s->size, (end - begin) * s->size};
}

static struct mpi_message part_of(const void *stretch, int rank) {
    return part(stretch, rank);
}

static struct mpi_message own_part(const void *stretch, int rank) {
    const struct stretch *s = stretch;
    (void)rank;
    return part(s, s->comm->rank);
}

/* Where rank's addend to the own part goes. */
static struct mpi_message addend_of(const void *stretch, int rank) {
    const struct stretch *s = stretch;
    const int64_t bytes = part(s, s->comm->rank).n;
    return (struct mpi_message){s->room + rank * bytes, bytes};
}

static enum status gather_parts(struct comm *comm, const struct stretch *s) {
    const struct mpi_messages messages = {s, own_part, part_of};
    return mpi_exchange(comm, &messages, "all-gather");
}

static enum status all_gather(struct reducer *reducer, float *values, const int64_t *borders) {
    const struct stretch s = {.comm = reducer->comm,
                              .values = (char *)values,
                              .size = sizeof *values,
                              .borders = borders};
    return gather_parts(reducer->comm, &s);
}

/* --- sums --- */

/* Unsigned, for which C promises that sums wrap; the bits are those of the signed sum. */
static void add_integers(void *sum, const void *addend, int64_t n) {
    uint64_t *restrict const out = sum;
    const uint64_t *restrict const in = addend;
    for (int64_t i = 0; i < n; i++)
        out[i] += in[i];
}

static void add_floats(void *sum, const void *addend, int64_t n) {
    float *restrict const out = sum;
    const float *restrict const in = addend;
    for (int64_t i = 0; i < n; i++)
        out[i] += in[i];
}

static enum status sum_stretch(struct comm *comm, const struct stretch *s,
                               void (*add)(void *, const void *, int64_t)) {
    const struct mpi_messages messages = {s, part_of, addend_of};
    const struct mpi_message own = part(s, comm->rank);
    TRY(mpi_exchange(comm, &messages, "reduction"));
    for (int r = 0; r < comm->size; r++)
        if (r != comm->rank)
            add(own.bytes, addend_of(s, r).bytes, own.n / s->size);
    return gather_parts(comm, s);
}

/* In stretches whose addends fit into the room. */
static enum status sum(struct reducer *reducer, void *values, int64_t n, int64_t size, void *room,
                       size_t room_bytes, void (*add)(void *, const void *, int64_t)) {
    struct comm *comm = reducer->comm;
    const int64_t most = (int64_t)room_bytes / size / comm->size * comm->size;
    if (comm->size == 1)
        return STATUS_OK;
    TRY(mpi_arrive(comm, 0.0, "reduction"));
    for (int64_t at = 0; at < n; at += most) {
        const struct stretch s = {.comm = comm,
                                  .values = (char *)values + at * size,
                                  .room = room,
                                  .n = n - at < most ? n - at : most,
                                  .size = size};
        TRY(sum_stretch(comm, &s, add));
    }
    return STATUS_OK;
}

static enum status sum_exact(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                             size_t room_bytes) {
    return sum(reducer, values, n, sizeof *values, room, room_bytes, add_integers);
}

static enum status sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                            size_t room_bytes) {
    return sum(reducer, values, n, sizeof *values, room, room_bytes, add_floats);
}

static void close_reducer(struct reducer *reducer) {
    (void)reducer;
}

const struct reducer_ops reducer_mpi = {
    .name = "mpi",
    .text = "processes of an MPI job, host memory",
    .sum_exact = sum_exact,
    .sum_fast = sum_fast,
    .exchange_begin = exchange_begin,
    .exchange_test = exchange_test,
    .all_gather = all_gather,
    .close = close_reducer,
};
