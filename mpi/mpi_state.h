/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share: the state of a communicator over MPI, its errors in our words,
 * and the only places where a rank waits.
 */
#ifndef MPI_MPI_STATE_H
#define MPI_MPI_STATE_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"
#include "comm/reducer.h"

/* Messages between all pairs of ranks: what goes to, and comes from, each of them. What a rank has
 * for itself is not moved. */
struct mpi_message {
    char *bytes;
    int64_t n;
};
struct mpi_messages {
    const void *context;
    struct mpi_message (*to)(const void *context, int rank);
    struct mpi_message (*from)(const void *context, int rank);
};

/* Messages on their way, in pieces. Those of different tags do not meet. */
enum { MPI_TAG_EXCHANGE, MPI_TAG_FLIGHT };
struct mpi_transfer {
    struct mpi_messages messages;
    int tag;
    int64_t at;            /* bytes [at, at + piece) of each are in the requests */
    int count;             /* of the requests; 0: all has come */
    MPI_Request *requests; /* (2 size), borrowed */
};

struct mpi_state {
    MPI_Comm mpi;
    MPI_Op maximum_or_nan;
    int64_t piece; /* bytes in one call */
    bool ends_mpi; /* this communicator started MPI */
    bool lost;     /* a wait was given up: its requests never end, nothing can follow */
    int64_t word;  /* of words_begin, and its request */
    MPI_Request meeting;
    struct mpi_transfer flight; /* of the reducer, between begin and test */
    MPI_Request requests[];     /* (2 size) of mpi_exchange, (2 size) of the flight */
};

struct mpi_state *mpi_state_of(const struct comm *comm);

/* Calls MPI and hands its error on in our words, with the name of the function from the text of the
 * call. */
#define MPI(call) TRY(mpi_status((call), #call))
enum status mpi_status(int code, const char *call) MUST_USE;

/* How a rank waits: for others, which may be far behind, in short sleeps, because the waiting inside
 * MPI burns a core that another rank may need; or for bytes that are on their way. */
enum mpi_pace { MPI_PACE_MEETING, MPI_PACE_TRANSFER };

/* Waits until all requests are done. At most deadline_s seconds, unless 0; else as comm_on_wait or
 * comm_deadline says. `what` is the call, for people. */
enum status mpi_wait(struct comm *comm, MPI_Request *requests, int count, enum mpi_pace pace,
                     double deadline_s, const char *what) MUST_USE;

/* The same when `wait`; else looks once: whether they are done. */
enum status mpi_test(struct comm *comm, MPI_Request *requests, int count, bool wait,
                     enum mpi_pace pace, const char *what, bool *done) MUST_USE;

/* Waits until all ranks have come here. */
enum status mpi_arrive(struct comm *comm, double deadline_s, const char *what) MUST_USE;

/* Bytes that go in the next call when n are left. */
int mpi_piece(const struct mpi_state *state, int64_t n);

enum status mpi_transfer_begin(struct comm *comm, struct mpi_transfer *transfer) MUST_USE;
enum status mpi_transfer_test(struct comm *comm, struct mpi_transfer *transfer, bool wait,
                              const char *what, bool *come) MUST_USE;

/* Begins them and waits. */
enum status mpi_exchange(struct comm *comm, const struct mpi_messages *messages,
                         const char *what) MUST_USE;

extern const struct reducer_ops reducer_mpi;

#endif
