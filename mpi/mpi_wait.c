/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for other ranks. Nothing here blocks inside MPI: requests are looked at until they are
 * done, so that a deadline can end the wait.
 */
#include "mpi/mpi_state.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "comm/patience.h"

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
    struct patience patience;
    long sleep_ns = 0;
    if (state->lost)
        return STATUS_COMM;
    patience_begin(&patience, deadline_s, what);
    for (int64_t looks = 1;; looks++) {
        int done = 0;
        enum status status =
            mpi_status(MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE), "MPI_Testall");
        if (status == STATUS_OK && done)
            return STATUS_OK;
        if (status == STATUS_OK && pause_between(pace, looks, &sleep_ns))
            status = patience_look(&patience, comm);
        state->lost = status != STATUS_OK;
        TRY(status);
    }
}

enum status mpi_test(struct comm *comm, MPI_Request *requests, int count, bool wait,
                     enum mpi_pace pace, const char *what, bool *done) {
    int all = 1;
    if (wait)
        TRY(mpi_wait(comm, requests, count, pace, 0.0, what));
    else if (mpi_state_of(comm)->lost)
        return STATUS_COMM;
    else
        MPI(MPI_Testall(count, requests, &all, MPI_STATUSES_IGNORE));
    *done = all;
    return STATUS_OK;
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

/* Starts the bytes [at, at + piece) of all messages; transfer->count of them have as many. */
static enum status post(struct comm *comm, struct mpi_transfer *transfer) {
    struct mpi_state *state = mpi_state_of(comm);
    const struct mpi_messages *messages = &transfer->messages;
    const int64_t at = transfer->at;
    MPI_Request *next = transfer->requests;
    for (int i = 1; i < comm->size; i++) { /* not all with the same one first */
        const int r = (comm->rank + comm->size - i) % comm->size;
        const struct mpi_message from = messages->from(messages->context, r);
        if (from.n > at)
            MPI(MPI_Irecv(from.bytes + at, mpi_piece(state, from.n - at), MPI_BYTE, r,
                          transfer->tag, state->mpi, next++));
    }
    for (int i = 1; i < comm->size; i++) {
        const int r = (comm->rank + i) % comm->size;
        const struct mpi_message to = messages->to(messages->context, r);
        if (to.n > at)
            MPI(MPI_Isend(to.bytes + at, mpi_piece(state, to.n - at), MPI_BYTE, r, transfer->tag,
                          state->mpi, next++));
    }
    transfer->count = (int)(next - transfer->requests);
    return STATUS_OK;
}

enum status mpi_transfer_begin(struct comm *comm, struct mpi_transfer *transfer) {
    if (mpi_state_of(comm)->lost)
        return STATUS_COMM;
    transfer->at = 0;
    return post(comm, transfer);
}

enum status mpi_transfer_test(struct comm *comm, struct mpi_transfer *transfer, bool wait,
                              const char *what, bool *come) {
    bool done = true;
    while (transfer->count > 0 && done) {
        TRY(mpi_test(comm, transfer->requests, transfer->count, wait, MPI_PACE_TRANSFER, what,
                     &done));
        if (!done)
            break;
        transfer->at += mpi_state_of(comm)->piece;
        TRY(post(comm, transfer));
    }
    *come = done;
    return STATUS_OK;
}

enum status mpi_exchange(struct comm *comm, const struct mpi_messages *messages, const char *what) {
    struct mpi_transfer transfer = {
        .messages = *messages, .tag = MPI_TAG_EXCHANGE, .requests = mpi_state_of(comm)->requests};
    bool come;
    TRY(mpi_transfer_begin(comm, &transfer));
    return mpi_transfer_test(comm, &transfer, true, what, &come);
}
