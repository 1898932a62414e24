/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of vectors in the memory of GPUs by NCCL, in a stream of their own.
 *
 * Whole vectors are one all-reduce of 64-bit integers, or of floats. On shards every rank sends the
 * others their parts of its fp32 addends and adds what it receives (optim/exchange.h): the bytes of a
 * reduce-scatter in floating point with the bits of one in integers; additions put beside stand in the
 * same stream, behind their messages.
 *
 * The host waits by looking, in nccl_look and at the deadlines of the communicator, and puts what comes
 * after into the backend's stream only then. That stream never waits for this one: a rank that is lost
 * stops nothing that the host would wait for without looking. What goes wrong ends NCCL's communicator
 * (abort).
 */
#include "cuda/reducers.h"

#include <sched.h>
#include <time.h>

#include "base/memory.h"
#include "comm/patience.h"
#include "cuda/cuda.h"
#include "cuda/kernel/vector.h"
#include "cuda/nccl_calls.h"

#define OPEN_S  300.0 /* longest that ranks may come apart to the opening */
#define CLOSE_S 10.0

enum { SPINS = 5000, SLEEP_NS = 50000 };

struct state {
    struct backend *backend;
    struct nccl nccl;
    /* The stream beside the backend's and the scratch of operations in it; while operations are put
     * beside, the backend's are here and these are the backend's. */
    void *stream;
    struct cuda_scratch scratch;
    bool beside;
    void *before, *through; /* events: what the messages follow; their end */
    bool lost;
};

static struct state *state_of(const struct reducer *reducer) {
    return reducer->state;
}

static struct device *device_of(const struct state *state) {
    return &cuda_state(state->backend)->device;
}

/* --- waiting --- */

/* A moment, while somebody else works. */
static void pause_between(int64_t looks) {
    if (looks < SPINS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
}

/* After a failure nothing more is asked of NCCL. */
static enum status lose(struct reducer *reducer, enum status status) {
    struct state *state = state_of(reducer);
    if (status != STATUS_OK && !state->lost)
        nccl_release(&state->nccl, true);
    state->lost = state->lost || status != STATUS_OK;
    return status;
}

/* Until NCCL has taken up the last call. */
static enum status settle(struct reducer *reducer, double deadline_s, const char *what) {
    struct patience patience;
    patience_begin(&patience, deadline_s, what);
    for (int64_t looks = 0;; looks++) {
        bool taken_up = false;
        TRY(nccl_look(&state_of(reducer)->nccl, &taken_up));
        if (taken_up)
            return STATUS_OK;
        TRY(patience_look(&patience, reducer->comm));
        pause_between(looks);
    }
}

/* Until the event has been passed. */
static enum status await(struct reducer *reducer, void *event, const char *what) {
    struct state *state = state_of(reducer);
    struct patience patience;
    patience_begin(&patience, 0.0, what);
    for (int64_t looks = 0;; looks++) {
        bool passed = false, taken_up;
        TRY(device_event_passed(device_of(state), event, &passed));
        if (passed)
            return STATUS_OK;
        TRY(nccl_look(&state->nccl, &taken_up));
        TRY(patience_look(&patience, reducer->comm));
        pause_between(looks);
    }
}

/* Calls of NCCL, unless it is lost. */
#define CALLS(reducer, ...)                                                                        \
    do {                                                                                           \
        if (state_of(reducer)->lost)                                                               \
            return STATUS_COMM;                                                                    \
        enum status called = (__VA_ARGS__);                                                        \
        if (called == STATUS_OK)                                                                   \
            called = settle((reducer), 0.0, "NCCL");                                               \
        TRY(lose((reducer), called));                                                              \
    } while (0)

/* --- the order of work --- */

static enum status follow(struct reducer *reducer) {
    struct state *state = state_of(reducer);
    struct device *device = device_of(state);
    TRY(device_event_record(device, state->before, device->stream));
    return device_event_wait(device, state->stream, state->before);
}

static enum status join(struct reducer *reducer, const char *what) {
    struct state *state = state_of(reducer);
    struct device *device = device_of(state);
    if (state->lost)
        return STATUS_COMM;
    TRY(device_event_record(device, state->through, state->stream));
    return lose(reducer, await(reducer, state->through, what));
}

static void beside(struct reducer *reducer, bool on) {
    struct state *state = state_of(reducer);
    struct cuda_state *cuda = cuda_state(state->backend);
    void *stream = cuda->device.stream;
    const struct cuda_scratch scratch = cuda->scratch;
    ASSERT(on != state->beside);
    cuda->device.stream = state->stream;
    cuda->scratch = state->scratch;
    state->stream = stream;
    state->scratch = scratch;
    state->beside = on;
}

/* --- sums, messages --- */

static enum status sum_exact(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                             size_t room_bytes) {
    struct state *state = state_of(reducer);
    (void)room, (void)room_bytes;
    CALLS(reducer, nccl_sum_integers(&state->nccl, state->stream, values, n));
    return STATUS_OK;
}

static enum status sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                            size_t room_bytes) {
    struct state *state = state_of(reducer);
    (void)room, (void)room_bytes;
    CALLS(reducer, nccl_sum_floats(&state->nccl, state->stream, values, n));
    return STATUS_OK;
}

static enum status call_group(struct state *state, const struct reducer_exchange *e) {
    TRY(nccl_group_begin(&state->nccl));
    for (int r = 0; r < state->nccl.size; r++) {
        if (e->send_count[r] > 0)
            TRY(nccl_send(&state->nccl, state->stream, e->send + e->send_at[r], e->send_count[r],
                          r));
        if (e->receive_count[r] > 0)
            TRY(nccl_receive(&state->nccl, state->stream, e->receive + e->receive_at[r],
                             e->receive_count[r], r));
    }
    return nccl_group_end(&state->nccl, state->stream);
}

static enum status exchange_begin(struct reducer *reducer, const struct reducer_exchange *e) {
    CALLS(reducer, call_group(state_of(reducer), e));
    return STATUS_OK;
}

/* The stream keeps what follows behind the messages. */
static enum status exchange_test(struct reducer *reducer, bool wait, bool *come) {
    (void)reducer, (void)wait;
    *come = true;
    return STATUS_OK;
}

static bool are_equal(const int64_t *borders, int size) {
    for (int r = 1; r < size; r++)
        if (borders[r + 1] - borders[r] != borders[1] - borders[0])
            return false;
    return true;
}

/* Parts of different lengths, which NCCL has no gather for, are messages between all pairs. */
static enum status call_parts(struct state *state, float *values, const int64_t *borders) {
    const int own = state->nccl.rank;
    const int64_t mine = borders[own + 1] - borders[own];
    TRY(nccl_group_begin(&state->nccl));
    for (int r = 0; r < state->nccl.size; r++) {
        const int64_t theirs = borders[r + 1] - borders[r];
        if (r != own && mine > 0)
            TRY(nccl_send(&state->nccl, state->stream, values + borders[own], mine, r));
        if (r != own && theirs > 0)
            TRY(nccl_receive(&state->nccl, state->stream, values + borders[r], theirs, r));
    }
    return nccl_group_end(&state->nccl, state->stream);
}

static enum status all_gather(struct reducer *reducer, float *values, const int64_t *borders) {
    struct state *state = state_of(reducer);
    if (are_equal(borders, state->nccl.size))
        CALLS(reducer, nccl_gather(&state->nccl, state->stream, values + borders[0],
                                   borders[1] - borders[0]));
    else
        CALLS(reducer, call_parts(state, values, borders));
    return STATUS_OK;
}

/* --- opening and closing --- */

static void close_reducer(struct reducer *reducer) {
    struct state *state = state_of(reducer);
    struct device *device = device_of(state);
    bool failed = state->lost;
    if (!failed && state->nccl.state != NULL)
        failed = nccl_finish(&state->nccl) != STATUS_OK ||
                 settle(reducer, CLOSE_S, "end of NCCL") != STATUS_OK;
    nccl_release(&state->nccl, failed);
    device_event_destroy(device, state->before);
    device_event_destroy(device, state->through);
    device_stream_destroy(device, state->stream);
    cuda_release(state->backend, state->scratch.memory);
    memory_release(&reducer->state);
}

static const struct reducer_ops reducer_nccl = {
    .name = "nccl",
    .text = "from GPU to GPU",
    .sum_exact = sum_exact,
    .sum_fast = sum_fast,
    .exchange_begin = exchange_begin,
    .exchange_test = exchange_test,
    .all_gather = all_gather,
    .close = close_reducer,
    .follow = follow,
    .join = join,
    .beside = beside,
};

static enum status open_streams(struct state *state) {
    struct device *device = device_of(state);
    TRY(device_stream_create(device, &state->stream));
    TRY(device_event_create(device, &state->before));
    return device_event_create(device, &state->through);
}

/* What additions put beside will take, so that no step takes memory. */
static enum status reserve_scratch(struct reducer *reducer) {
    struct cuda_need need = {0};
    (void)cuda_need(&need, VECTOR_PARTS * (int64_t)sizeof(struct refused));
    beside(reducer, true);
    const enum status status = cuda_reserve(state_of(reducer)->backend, &need);
    beside(reducer, false);
    return status;
}

/* The id comes from rank 0. */
static enum status share_id(struct comm *comm, struct nccl_id *id) {
    *id = (struct nccl_id){.bytes = {0}};
    TRY(comm_agree(comm, comm->rank == 0 ? nccl_id_make(id) : STATUS_OK));
    return comm_broadcast(comm, id, sizeof *id, 0);
}

enum status reducer_nccl_open(struct reducer *reducer, struct backend *backend, struct comm *comm) {
    struct nccl_id id;
    struct state *state = NULL;
    *reducer = (struct reducer){.ops = NULL};
    enum status status = memory_new(&state, 1, "sums over the ranks");
    if (status == STATUS_OK) {
        *state = (struct state){.backend = backend};
        *reducer = (struct reducer){.ops = &reducer_nccl, .comm = comm, .state = state};
        (void)nccl_describe(reducer->by, sizeof reducer->by);
        status = open_streams(state);
        if (status == STATUS_OK)
            status = reserve_scratch(reducer);
    }
    status = comm_agree(comm, status);
    if (status == STATUS_OK)
        status = share_id(comm, &id);
    if (status == STATUS_OK) {
        status = nccl_open(&state->nccl, device_of(state), comm, &id);
        if (status == STATUS_OK)
            status = settle(reducer, OPEN_S, "opening of NCCL");
        status = comm_agree(comm, lose(reducer, status));
    }
    if (status != STATUS_OK)
        reducer_close(reducer);
    return status;
}
