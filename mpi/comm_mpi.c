/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives over MPI. Each has two parts: `arrive` waits until all ranks are there, in short
 * sleeps, because the waiting inside MPI burns a core that another rank may need; then the blocking
 * collective takes only as long as the bytes do. Everything goes in pieces that MPI can count in
 * int.
 */
#include "mpi/comm_mpi.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
    PIECE_BYTES = 1 << 22, /* stays in cache: 2 to 5 times as fast as 128 MiB on one node */
    SPINS = 2000,          /* looks before the first sleep: some 100 µs */
    SLEEP_MAX_NS = 500000  /* a rank that waits long looks 2000 times a second */
};

struct state {
    MPI_Comm mpi;
    MPI_Op maximum_or_nan;
    int64_t piece; /* bytes */
    bool ends_mpi; /* this communicator started MPI */
    bool lost;     /* a barrier was given up: its request never ends, nothing can follow */
};

/* Calls MPI and hands its error on in our words, with the name of the function from the text of the
 * call. */
#define MPI(call) TRY(mpi_status((call), #call))

static enum status mpi_status(int code, const char *call) {
    if (code == MPI_SUCCESS)
        return STATUS_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return FAIL(STATUS_COMM, "%.*s failed: %.*s; another process may have ended",
                (int)strcspn(call, "("), call, length, text);
}

static struct state *state_of(struct comm *comm) {
    return comm->state;
}

static void sleep_ns(long ns) {
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Lets the caller do what it does while it waits, once a second. */
static void call_wait(const struct comm *comm, double *called_s) {
    if (comm->wait == NULL || clock_now_s() - *called_s < 1.0)
        return;
    comm->wait(comm->wait_context);
    *called_s = clock_now_s();
}

/* Waits until all ranks have come here, at most deadline_s seconds (0: for ever). */
static enum status arrive(struct comm *comm, double deadline_s, const char *what) {
    struct state *state = state_of(comm);
    ASSERT(!state->lost);
    const double start = clock_now_s();
    MPI_Request request;
    MPI(MPI_Ibarrier(state->mpi, &request));
    long pause_ns = 0;
    double called_s = start;
    for (int64_t looks = 0;; looks++) {
        int all_here = 0;
        MPI(MPI_Test(&request, &all_here, MPI_STATUS_IGNORE));
        if (all_here)
            return STATUS_OK;
        if (looks < SPINS)
            continue;
        pause_ns = pause_ns < SLEEP_MAX_NS ? pause_ns + 10000 : SLEEP_MAX_NS;
        sleep_ns(pause_ns);
        call_wait(comm, &called_s);
        if (deadline_s > 0.0 && clock_now_s() - start > deadline_s)
            break;
    }
    state->lost = true;
    return FAIL(STATUS_COMM,
                "rank %d of %d waited %.3g s in '%s' for another rank, which is lost or hangs: "
                "what it said stands in the output of its node",
                comm->rank, comm->size, deadline_s, what);
}

/* Elements of `size` bytes that go in the next call when n are left. */
static int piece_of(const struct state *state, int64_t n, int64_t size) {
    const int64_t most = state->piece / size;
    return (int)(n < most ? n : most);
}

/* The bytes of `root` to all, without waiting politely. */
static enum status send_to_all(struct comm *comm, void *data, size_t bytes, int root) {
    const struct state *state = state_of(comm);
    for (size_t at = 0; at < bytes;) {
        const int n = piece_of(state, (int64_t)(bytes - at), 1);
        MPI(MPI_Bcast((char *)data + at, n, MPI_BYTE, root, state->mpi));
        at += (size_t)n;
    }
    return STATUS_OK;
}

static enum status mpi_broadcast(struct comm *comm, void *data, size_t bytes, int root) {
    TRY(arrive(comm, 0.0, "broadcast"));
    return send_to_all(comm, data, bytes, root);
}

/* The bytes of rank `from` to `root`. */
static enum status receive_bytes(struct comm *comm, char *out, size_t bytes, int from) {
    const struct state *state = state_of(comm);
    for (size_t at = 0; at < bytes;) {
        const int n = piece_of(state, (int64_t)(bytes - at), 1);
        MPI(MPI_Recv(out + at, n, MPI_BYTE, from, 0, state->mpi, MPI_STATUS_IGNORE));
        at += (size_t)n;
    }
    return STATUS_OK;
}

static enum status send_bytes(struct comm *comm, const char *data, size_t bytes, int to) {
    const struct state *state = state_of(comm);
    for (size_t at = 0; at < bytes;) {
        const int n = piece_of(state, (int64_t)(bytes - at), 1);
        MPI(MPI_Send(data + at, n, MPI_BYTE, to, 0, state->mpi));
        at += (size_t)n;
    }
    return STATUS_OK;
}

static enum status mpi_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                              const size_t *sizes, int root) {
    TRY(arrive(comm, 0.0, "gather"));
    if (comm->rank != root)
        return send_bytes(comm, data, bytes, root);
    char *at = out;
    for (int r = 0; r < comm->size; at += sizes[r], r++) {
        if (r != root)
            TRY(receive_bytes(comm, at, sizes[r], r));
        else if (bytes > 0)
            memcpy(at, data, bytes);
    }
    return STATUS_OK;
}

static enum status mpi_all_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                                  const size_t *sizes) {
    TRY(arrive(comm, 0.0, "all-gather"));
    char *at = out;
    for (int r = 0; r < comm->size; at += sizes[r], r++) {
        if (r == comm->rank && bytes > 0)
            memcpy(at, data, bytes);
        TRY(send_to_all(comm, at, sizes[r], r));
    }
    return STATUS_OK;
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
    const struct state *state = state_of(comm);
    TRY(arrive(comm, 0.0, "reduction"));
    for (int64_t at = 0; at < n;) {
        const int m = piece_of(state, n - at, size);
        char *piece = (char *)values + at * size;
        MPI(MPI_Allreduce(MPI_IN_PLACE, piece, m, type, op, state->mpi));
        at += m;
    }
    return STATUS_OK;
}

static enum status mpi_maximum(struct comm *comm, double *values, int64_t n) {
    return reduce_all(comm, values, n, sizeof *values, MPI_DOUBLE, state_of(comm)->maximum_or_nan);
}

/* Unsigned, for which C promises that sums wrap; the bits are those of the signed sum. */
static enum status mpi_sum_exact(struct comm *comm, int64_t *values, int64_t n) {
    return reduce_all(comm, values, n, sizeof *values, MPI_UINT64_T, MPI_SUM);
}

static enum status mpi_sum_fast(struct comm *comm, float *values, int64_t n) {
    return reduce_all(comm, values, n, sizeof *values, MPI_FLOAT, MPI_SUM);
}

struct part {
    int64_t begin, length; /* length ≤ 0: nothing */
};

/* Elements [at, at + most) of rank r's shard. */
static struct part part_of(const struct comm *comm, int64_t n, int64_t block, int r, int64_t at,
                           int64_t most) {
    const int64_t begin = comm_shard_begin(n, block, r, comm->size) + at;
    const int64_t left = comm_shard_begin(n, block, r + 1, comm->size) - begin;
    return (struct part){.begin = begin, .length = left < most ? left : most};
}

/* A reduce-scatter in rounds of at most `width` elements of each shard, through a copy, because
 * shards differ in length and MPI_Reduce with MPI_IN_PLACE at another root than 0 crashes in MPICH
 * 4.0 and 4.1 (pmodels/mpich#6540). `all` has room for size × width elements, `own` for width. */
static enum status scatter_rounds(struct comm *comm, int64_t *values, int64_t n, int64_t block,
                                  int64_t width, int64_t *all, int64_t *own) {
    const int64_t longest = comm_shard_begin(n, block, 1, comm->size);
    for (int64_t at = 0; at < longest; at += width) {
        const int64_t m = longest - at < width ? longest - at : width;
        for (int r = 0; r < comm->size; r++) {
            const struct part part = part_of(comm, n, block, r, at, m);
            if (part.length > 0)
                memcpy(all + r * m, values + part.begin, (size_t)part.length * sizeof *values);
        }
        MPI(MPI_Reduce_scatter_block(all, own, (int)m, MPI_UINT64_T, MPI_SUM, state_of(comm)->mpi));
        const struct part mine = part_of(comm, n, block, comm->rank, at, m);
        if (mine.length > 0)
            memcpy(values + mine.begin, own, (size_t)mine.length * sizeof *values);
    }
    return STATUS_OK;
}

static enum status mpi_reduce_scatter_exact(struct comm *comm, int64_t *values, int64_t n,
                                            int64_t block) {
    if (comm->size == 1)
        return STATUS_OK;
    const int64_t longest = comm_shard_begin(n, block, 1, comm->size);
    const int64_t most = state_of(comm)->piece / ((int64_t)sizeof *values * comm->size);
    const int64_t width = most < 1 ? 1 : most < longest ? most : longest;
    int64_t *all = NULL, *own = NULL;
    enum status status = memory_new(&all, width * comm->size, "reduce-scatter");
    if (status == STATUS_OK)
        status = memory_new(&own, width, "reduce-scatter");
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = scatter_rounds(comm, values, n, block, width, all, own);
    memory_release(&all);
    memory_release(&own);
    return status;
}

static enum status attach(struct comm *comm, MPI_Comm mpi, int64_t piece, bool ends_mpi);

static enum status mpi_split(struct comm *comm, int color, struct comm *out) {
    const struct state *state = state_of(comm);
    TRY(arrive(comm, 0.0, "split"));
    MPI_Comm part;
    MPI(MPI_Comm_split(state->mpi, color, comm->rank, &part));
    return attach(out, part, state->piece, false);
}

static void mpi_abort(struct comm *comm, int exit_status) {
    (void)comm;
    MPI_Abort(MPI_COMM_WORLD, exit_status);
    _Exit(exit_status); /* MPI_Abort may return where it only asks the launcher */
}

static void mpi_close(struct comm *comm) {
    struct state *state = state_of(comm);
    if (state->lost) /* MPI_Finalize would wait for the lost rank */
        mpi_abort(comm, status_exit(STATUS_COMM));
    const bool ends_mpi = state->ends_mpi;
    MPI_Op_free(&state->maximum_or_nan);
    MPI_Comm_free(&state->mpi);
    memory_release(&comm->state);
    if (ends_mpi)
        MPI_Finalize();
}

static const struct comm_ops comm_mpi = {
    .name = "mpi",
    .text = "processes of an MPI job, host buffers",
    .broadcast = mpi_broadcast,
    .gather = mpi_gather,
    .all_gather = mpi_all_gather,
    .maximum = mpi_maximum,
    .sum_exact = mpi_sum_exact,
    .sum_fast = mpi_sum_fast,
    .reduce_scatter_exact = mpi_reduce_scatter_exact,
    .barrier = arrive,
    .split = mpi_split,
    .close = mpi_close,
    .abort = mpi_abort,
};

/* Makes *comm of `mpi`, which it owns from now on. */
static enum status attach(struct comm *comm, MPI_Comm mpi, int64_t piece, bool ends_mpi) {
    int rank, size;
    MPI_Op maximum;
    MPI(MPI_Comm_rank(mpi, &rank));
    MPI(MPI_Comm_size(mpi, &size));
    MPI(MPI_Op_create(maximum_or_nan, 1, &maximum));
    struct state *state = NULL;
    TRY(memory_new(&state, 1, "communicator"));
    *state =
        (struct state){.mpi = mpi, .maximum_or_nan = maximum, .piece = piece, .ends_mpi = ends_mpi};
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
    if (running)
        MPI(MPI_Query_thread(&have));
    else
        MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &have));
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
    state_of(comm)->piece = bytes;
}
