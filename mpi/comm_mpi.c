/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives over MPI. Everything goes in pieces that MPI can count in int, in calls that do not
 * block (mpi_wait.c).
 */
#include "mpi/comm_mpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/memory.h"
#include "mpi/mpi_state.h"

enum { PIECE_BYTES = 1 << 22 }; /* stays in cache: 2 to 5 times as fast as 128 MiB on one node */

#define START_S 1800.0 /* longest that processes of a job may start apart */

static enum status mpi_broadcast(struct comm *comm, void *data, size_t bytes, int root) {
    const struct mpi_state *state = mpi_state_of(comm);
    MPI_Request request;
    TRY(mpi_arrive(comm, 0.0, "broadcast"));
    for (size_t at = 0; at < bytes;) {
        const int n = mpi_piece(state, (int64_t)(bytes - at));
        MPI(MPI_Ibcast((char *)data + at, n, MPI_BYTE, root, state->mpi, &request));
        TRY(mpi_wait(comm, &request, 1, MPI_PACE_TRANSFER, 0.0, "broadcast"));
        at += (size_t)n;
    }
    return STATUS_OK;
}

/* Blocks of any size that go to one rank, or to all. */
struct blocks {
    const struct comm *comm;
    int root; /* −1: all */
    const char *data;
    size_t bytes;
    char *out;
    const size_t *sizes;
};

static struct mpi_message block_to(const void *context, int rank) {
    const struct blocks *b = context;
    const bool wanted = b->root < 0 || b->root == rank;
    return (struct mpi_message){(char *)(uintptr_t)b->data, wanted ? (int64_t)b->bytes : 0};
}

static struct mpi_message block_from(const void *context, int rank) {
    const struct blocks *b = context;
    char *at = b->out;
    if (b->root >= 0 && b->root != b->comm->rank)
        return (struct mpi_message){NULL, 0};
    for (int r = 0; r < rank; r++)
        at += b->sizes[r];
    return (struct mpi_message){at, (int64_t)b->sizes[rank]};
}

static enum status gather_blocks(struct comm *comm, const struct blocks *blocks, const char *what) {
    const struct mpi_messages messages = {blocks, block_to, block_from};
    TRY(mpi_arrive(comm, 0.0, what));
    if (blocks->bytes > 0 && (blocks->root < 0 || blocks->root == comm->rank))
        memcpy(block_from(blocks, comm->rank).bytes, blocks->data, blocks->bytes);
    return mpi_exchange(comm, &messages, what);
}

static enum status mpi_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                              const size_t *sizes, int root) {
    const struct blocks blocks = {comm, root, data, bytes, out, sizes};
    return gather_blocks(comm, &blocks, "gather");
}

static enum status mpi_all_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                                  const size_t *sizes) {
    const struct blocks blocks = {comm, -1, data, bytes, out, sizes};
    return gather_blocks(comm, &blocks, "all-gather");
}

/* No rank has all words before all have come. */
static enum status mpi_words_begin(struct comm *comm, int64_t word, int64_t *words) {
    struct mpi_state *state = mpi_state_of(comm);
    if (state->lost)
        return STATUS_COMM;
    state->word = word;
    MPI(MPI_Iallgather(&state->word, 1, MPI_INT64_T, words, 1, MPI_INT64_T, state->mpi,
                       &state->meeting));
    return STATUS_OK;
}

static enum status mpi_words_test(struct comm *comm, bool wait, bool *come) {
    return mpi_test(comm, &mpi_state_of(comm)->meeting, 1, wait, MPI_PACE_MEETING, "meeting", come);
}

/* MPI_MAX promises nothing for a NaN; here it wins. */
static void maximum_or_nan(void *in, void *inout, int *n, MPI_Datatype *type) {
    (void)type;
    const double *a = in;
    double *b = inout;
    for (int i = 0; i < *n; i++)
        if (!(a[i] <= b[i]) && b[i] == b[i])
            b[i] = a[i];
}

static enum status reduce_all(struct comm *comm, void *values, int64_t n, int64_t size,
                              MPI_Datatype type, MPI_Op op) {
    const struct mpi_state *state = mpi_state_of(comm);
    MPI_Request request;
    TRY(mpi_arrive(comm, 0.0, "reduction"));
    for (int64_t at = 0; at < n;) {
        const int m = mpi_piece(state, (n - at) * size) / (int)size;
        char *piece = (char *)values + at * size;
        MPI(MPI_Iallreduce(MPI_IN_PLACE, piece, m, type, op, state->mpi, &request));
        TRY(mpi_wait(comm, &request, 1, MPI_PACE_TRANSFER, 0.0, "reduction"));
        at += m;
    }
    return STATUS_OK;
}

static enum status mpi_maximum(struct comm *comm, double *values, int64_t n) {
    return reduce_all(comm, values, n, sizeof *values, MPI_DOUBLE,
                      mpi_state_of(comm)->maximum_or_nan);
}

/* Unsigned, for which C promises that sums wrap; the bits are those of the signed sum. */
static enum status mpi_sum_exact(struct comm *comm, int64_t *values, int64_t n) {
    return reduce_all(comm, values, n, sizeof *values, MPI_UINT64_T, MPI_SUM);
}

static enum status attach(struct comm *comm, MPI_Comm mpi, int64_t piece, bool ends_mpi);

/* Calls of MPI that block, and cannot be looked at. */
static void say_blocked(void *call, double seconds) {
    fprintf(stderr,
            "gradus: error: %s does not come back for %.0f s: another process is lost or hangs\n",
            (const char *)call, seconds);
}

static enum status guard_library(struct guard **guard, double seconds, const char *call) {
    *guard = NULL;
    if (seconds <= 0.0)
        return STATUS_OK;
    return guard_create(guard, seconds, status_exit(STATUS_COMM), say_blocked,
                        (void *)(uintptr_t)call);
}

static enum status mpi_split(struct comm *comm, int color, struct comm *out) {
    const struct mpi_state *state = mpi_state_of(comm);
    TRY(mpi_arrive(comm, 0.0, "split"));
    MPI_Comm part;
    struct guard *guard;
    TRY(guard_library(&guard, comm->deadline_s, "MPI_Comm_split"));
    const int code = MPI_Comm_split(state->mpi, color, comm->rank, &part);
    guard_destroy(&guard);
    TRY(mpi_status(code, "MPI_Comm_split"));
    TRY(attach(out, part, state->piece, false));
    comm_on_wait(out, comm->wait, comm->wait_context);
    comm_deadline(out, comm->deadline_s);
    return STATUS_OK;
}

static void mpi_abort(struct comm *comm, int exit_status) {
    (void)comm;
    MPI_Abort(MPI_COMM_WORLD, exit_status);
    _Exit(exit_status); /* MPI_Abort may return where it only asks the launcher */
}

static void mpi_close(struct comm *comm) {
    struct mpi_state *state = mpi_state_of(comm);
    struct guard *guard = NULL;
    if (!state->lost && mpi_arrive(comm, 0.0, "end of the job") != STATUS_OK)
        fprintf(stderr, "gradus: error: %s\n", status_sentence());
    if (state->lost) /* MPI_Finalize would wait for the lost rank */
        mpi_abort(comm, status_exit(STATUS_COMM));
    const bool ends_mpi = state->ends_mpi;
    if (guard_library(&guard, comm->deadline_s, "MPI_Finalize") != STATUS_OK)
        status_clear(); /* without a thread it goes on unguarded */
    MPI_Op_free(&state->maximum_or_nan);
    MPI_Comm_free(&state->mpi);
    memory_release(&comm->state);
    if (ends_mpi)
        MPI_Finalize();
    guard_destroy(&guard);
}

static const struct comm_ops comm_mpi = {
    .name = "mpi",
    .text = "processes of an MPI job, host buffers",
    .broadcast = mpi_broadcast,
    .gather = mpi_gather,
    .all_gather = mpi_all_gather,
    .maximum = mpi_maximum,
    .sum_exact = mpi_sum_exact,
    .words_begin = mpi_words_begin,
    .words_test = mpi_words_test,
    .barrier = mpi_arrive,
    .split = mpi_split,
    .close = mpi_close,
    .abort = mpi_abort,
    .reducer = &reducer_mpi,
};

/* Makes *comm of `mpi`, which it owns from now on. */
static enum status attach(struct comm *comm, MPI_Comm mpi, int64_t piece, bool ends_mpi) {
    int rank, size;
    MPI_Op maximum;
    MPI(MPI_Comm_rank(mpi, &rank));
    MPI(MPI_Comm_size(mpi, &size));
    MPI(MPI_Op_create(maximum_or_nan, 1, &maximum));
    struct mpi_state *state = NULL;
    TRY(memory_allocate(&state, 1, sizeof *state + 4 * (size_t)size * sizeof *state->requests,
                        "communicator"));
    *state = (struct mpi_state){.mpi = mpi,
                                .maximum_or_nan = maximum,
                                .piece = piece,
                                .ends_mpi = ends_mpi,
                                .meeting = MPI_REQUEST_NULL};
    state->flight.requests = state->requests + (size_t)2 * (size_t)size;
    *comm = (struct comm){.ops = &comm_mpi, .state = state, .rank = rank, .size = size};
    return STATUS_OK;
}

/* A process that MPI takes for the only one while its launcher counts several belongs to another
 * MPI than the program; each would believe itself the whole job and write the same files. */
static enum status check_launcher(int size) {
    static const char *const counts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                         "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; size == 1 && i < sizeof counts / sizeof *counts; i++) {
        const char *text = getenv(counts[i]);
        const long started = text != NULL ? strtol(text, NULL, 10) : 1;
        if (started > 1)
            return FAIL(
                STATUS_INPUT,
                "the launcher started %ld processes (%s), but MPI sees this one alone: start "
                "with the launcher of the MPI that gradus was built with",
                started, counts[i]);
    }
    return STATUS_OK;
}

static enum status start(int *argc, char ***argv, bool *started) {
    int running = 0, have = MPI_THREAD_SINGLE;
    MPI(MPI_Initialized(&running));
    *started = !running;
    if (running) {
        MPI(MPI_Query_thread(&have));
    } else {
        struct guard *guard;
        TRY(guard_library(&guard, START_S, "MPI_Init_thread"));
        const int code = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &have);
        guard_destroy(&guard);
        TRY(mpi_status(code, "MPI_Init_thread"));
    }
    if (have < MPI_THREAD_FUNNELED)
        return FAIL(STATUS_COMM, "this MPI does not support threads beside the one that calls it "
                                 "(MPI_THREAD_FUNNELED): use a build of MPI that does");
    return STATUS_OK;
}

static enum status open_all(struct comm *comm, bool started) {
    MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    int size = 1;
    MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    TRY(check_launcher(size));
    MPI_Comm all;
    MPI(MPI_Comm_dup(MPI_COMM_WORLD, &all));
    return attach(comm, all, PIECE_BYTES, started);
}

enum status comm_mpi_open(struct comm *comm, int *argc, char ***argv) {
    *comm = (struct comm){.ops = NULL};
    bool started;
    TRY(start(argc, argv, &started));
    const enum status status = open_all(comm, started);
    int size = 0;
    if (status != STATUS_OK && started && MPI_Comm_size(MPI_COMM_WORLD, &size) == MPI_SUCCESS &&
        size == 1)
        MPI_Finalize(); /* with others it would wait for them: see comm_mpi_abort_job */
    return status;
}

void comm_mpi_abort_job(int exit_status) {
    int running = 0, over = 0;
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    if (running && !over)
        MPI_Abort(MPI_COMM_WORLD, exit_status);
}

void comm_mpi_set_piece(struct comm *comm, int64_t bytes) {
    ASSERT(comm->ops == &comm_mpi && bytes >= (int64_t)sizeof(double) && bytes <= INT32_MAX);
    mpi_state_of(comm)->piece = bytes;
}
