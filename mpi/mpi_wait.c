/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for other ranks. Nothing here blocks inside MPI: requests are looked at until they are
 * done, so that a deadline can end the wait.
 */
#include "mpi/mpi_state.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum {
    SPINS = 2000,           /* looks before the first sleep: some 100 µs */
    SPINS_TRANSFER = 20000, /* while bytes move, a sleep costs more than it gives */
    SLEEP_STEP_NS = 10000,
    SLEEP_MAX_NS = 500000, /* a rank that waits long looks 2000 times a second */
    LOOKS_PER_CLOCK = 64   /* looks without a sleep between two looks at the clock */
};

struct mpi_state *mpi_state_of(const struct comm *comm) {
    return comm->state;
}

enum status mpi_status(int code, const char *call) {
    if (code == MPI_SUCCESS)
        return STATUS_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return FAIL(STATUS_COMM, "%.*s failed: %.*s; another process may have ended",
                (int)strcspn(call, "("), call, length, text);
}

/* A wait that has begun. */
struct patience {
    double start_s, called_s;
    double deadline_s;
    const char *what;
};

static enum status expire(const struct comm *comm, const struct patience *patience,
                          double waited_s) {
    return FAIL(STATUS_COMM,
                "rank %d of %d waited %.3g s in '%s' for another rank, which is lost or hangs: "
                "what it said stands in the output of its node",
                comm->rank, comm->size, waited_s, patience->what);
}

/* Whether to go on waiting. The caller's own deadline first; then, once a second, whoever watches;
 * else that of the communicator. */
static enum status look(struct comm *comm, struct patience *patience) {
    const double now_s = clock_now_s(), waited_s = now_s - patience->start_s;
    if (patience->deadline_s > 0.0 && waited_s > patience->deadline_s)
        return expire(comm, patience, patience->deadline_s);
    if (now_s - patience->called_s < 1.0)
        return STATUS_OK;
    patience->called_s = now_s;
    if (comm->wait != NULL)
        return comm->wait(comm->wait_context, patience->what, waited_s);
    if (comm->deadline_s > 0.0 && waited_s > comm->deadline_s)
        return expire(comm, patience, comm->deadline_s);
    return STATUS_OK;
}

/* Between two looks at the requests; whether the clock is worth a look. */
static bool pause_between(enum mpi_pace pace, int64_t looks, long *sleep_ns) {
    const int64_t spins = pace == MPI_PACE_MEETING ? SPINS : SPINS_TRANSFER;
    if (looks < spins) {
        if (pace == MPI_PACE_TRANSFER)
            sched_yield();
        return looks % LOOKS_PER_CLOCK == 0;
    }
    *sleep_ns = *sleep_ns < SLEEP_MAX_NS ? *sleep_ns + SLEEP_STEP_NS : SLEEP_MAX_NS;
    nanosleep(&(struct timespec){.tv_nsec = *sleep_ns}, NULL);
    return true;
}

enum status mpi_wait(struct comm *comm, MPI_Request *requests, int count, enum mpi_pace pace,
                     double deadline_s, const char *what) {
    struct mpi_state *state = mpi_state_of(comm);
    struct patience patience = {.deadline_s = deadline_s, .what = what};
    long sleep_ns = 0;
    if (state->lost)
        return STATUS_COMM;
    patience.start_s = patience.called_s = clock_now_s();
    for (int64_t looks = 1;; looks++) {
        int done = 0;
        enum status status =
            mpi_status(MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE), "MPI_Testall");
        if (status == STATUS_OK && done)
            return STATUS_OK;
        if (status == STATUS_OK && pause_between(pace, looks, &sleep_ns))
            status = look(comm, &patience);
        state->lost = status != STATUS_OK;
        TRY(status);
    }
}

enum status mpi_arrive(struct comm *comm, double deadline_s, const char *what) {
    const struct mpi_state *state = mpi_state_of(comm);
    MPI_Request request;
    if (state->lost)
        return STATUS_COMM;
    MPI(MPI_Ibarrier(state->mpi, &request));
    return mpi_wait(comm, &request, 1, MPI_PACE_MEETING, deadline_s, what);
}

int mpi_piece(const struct mpi_state *state, int64_t n) {
    return (int)(n < state->piece ? n : state->piece);
}

/* Starts the bytes [at, at + piece) of all messages; *count of them have as many. */
static enum status post(struct comm *comm, const struct mpi_messages *messages, int64_t at,
                        int *count) {
    struct mpi_state *state = mpi_state_of(comm);
    *count = 0;
    for (int i = 1; i < comm->size; i++) { /* not all with the same one first */
        const int r = (comm->rank + comm->size - i) % comm->size;
        const struct mpi_message from = messages->from(messages->context, r);
        if (from.n > at)
            MPI(MPI_Irecv(from.bytes + at, mpi_piece(state, from.n - at), MPI_BYTE, r, 0,
                          state->mpi, &state->requests[(*count)++]));
    }
    for (int i = 1; i < comm->size; i++) {
        const int r = (comm->rank + i) % comm->size;
        const struct mpi_message to = messages->to(messages->context, r);
        if (to.n > at)
            MPI(MPI_Isend(to.bytes + at, mpi_piece(state, to.n - at), MPI_BYTE, r, 0, state->mpi,
                          &state->requests[(*count)++]));
    }
    return STATUS_OK;
}

enum status mpi_exchange(struct comm *comm, const struct mpi_messages *messages, const char *what) {
    struct mpi_state *state = mpi_state_of(comm);
    int count = 1;
    if (state->lost)
        return STATUS_COMM;
    for (int64_t at = 0; count > 0; at += state->piece) {
        TRY(post(comm, messages, at, &count));
        TRY(mpi_wait(comm, state->requests, count, MPI_PACE_TRANSFER, 0.0, what));
    }
    return STATUS_OK;
}
