/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of vectors in the memory of GPUs through the host: pieces are copied to host memory, go through
 * the communicator's own reducer, and are copied back. For a build without NCCL; nothing overlaps.
 */
#include "cuda/reducers.h"

#include "base/memory.h"
#include "cuda/cuda.h"
#include "cuda/nccl_calls.h"

struct state {
    struct backend *backend;
    struct reducer host;
    char *values, *room;                  /* host memory, `bytes` each */
    size_t bytes;                         /* enough for the room of any caller */
    const struct reducer_exchange *asked; /* the exchange at work */
    struct reducer_exchange exchange; /* the same in host memory, one message behind the other */
    int64_t *lists;                   /* (2 ranks + 1): places of messages, or borders of parts */
};

static struct state *state_of(const struct reducer *reducer) {
    return reducer->state;
}

static enum status fetch(struct state *state, void *to_host, const void *from, int64_t n,
                         size_t size) {
    struct backend *b = state->backend;
    return n > 0 ? b->ops->download(b, to_host, from, (size_t)n * size) : STATUS_OK;
}

static enum status put(struct state *state, void *to, const void *from_host, int64_t n,
                       size_t size) {
    struct backend *b = state->backend;
    return n > 0 ? b->ops->upload(b, to, from_host, (size_t)n * size) : STATUS_OK;
}

/* --- sums --- */

static enum status sum_piece(struct state *state, char *values, int64_t n, size_t size,
                             bool exact) {
    TRY(comm_agree(state->host.comm, fetch(state, state->values, values, n, size)));
    if (exact)
        TRY(reducer_sum_exact(&state->host, (void *)state->values, n, state->room, state->bytes));
    else
        TRY(reducer_sum_fast(&state->host, (void *)state->values, n, state->room, state->bytes));
    return put(state, values, state->values, n, size);
}

static enum status sum(struct reducer *reducer, void *values, int64_t n, size_t size, bool exact) {
    struct state *state = state_of(reducer);
    const int64_t most = (int64_t)(state->bytes / size);
    for (int64_t at = 0; at < n; at += most)
        TRY(sum_piece(state, (char *)values + at * (int64_t)size, n - at < most ? n - at : most,
                      size, exact));
    return STATUS_OK;
}

static enum status sum_exact(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                             size_t room_bytes) {
    (void)room, (void)room_bytes;
    return sum(reducer, values, n, sizeof *values, true);
}

static enum status sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                            size_t room_bytes) {
    (void)room, (void)room_bytes;
    return sum(reducer, values, n, sizeof *values, false);
}

/* --- messages --- */

/* Places of messages one behind the other; returns how much they are. */
static int64_t lay_out(int size, const int64_t *counts, int64_t *at) {
    int64_t end = 0;
    for (int r = 0; r < size; end += counts[r], r++)
        at[r] = end;
    return end;
}

static enum status exchange_begin(struct reducer *reducer, const struct reducer_exchange *e) {
    struct state *state = state_of(reducer);
    const int size = reducer->comm->size;
    int64_t *send_at = state->lists, *receive_at = state->lists + size;
    const int64_t sent = lay_out(size, e->send_count, send_at),
                  received = lay_out(size, e->receive_count, receive_at);
    float *send = (void *)state->values;
    ASSERT((size_t)(sent > received ? sent : received) * sizeof *send <= state->bytes);
    for (int r = 0; r < size; r++)
        TRY(fetch(state, send + send_at[r], e->send + e->send_at[r], e->send_count[r],
                  sizeof *send));
    state->asked = e;
    state->exchange = (struct reducer_exchange){.send = send,
                                                .send_at = send_at,
                                                .send_count = e->send_count,
                                                .receive = (void *)state->room,
                                                .receive_at = receive_at,
                                                .receive_count = e->receive_count};
    return reducer_exchange_begin(&state->host, &state->exchange);
}

static enum status exchange_test(struct reducer *reducer, bool wait, bool *come) {
    struct state *state = state_of(reducer);
    const struct reducer_exchange *e = state->asked, *host = &state->exchange;
    TRY(reducer_exchange_test(&state->host, wait, come));
    for (int r = 0; r < reducer->comm->size && *come; r++)
        TRY(put(state, e->receive + e->receive_at[r], host->receive + host->receive_at[r],
                e->receive_count[r], sizeof *e->receive));
    return STATUS_OK;
}

/* Elements [at, at + width) of every part. */
static enum status gather_piece(struct reducer *reducer, float *values, const int64_t *borders,
                                int64_t at, int64_t width) {
    struct state *state = state_of(reducer);
    const int size = reducer->comm->size, own = reducer->comm->rank;
    int64_t *ends = state->lists;
    float *host = (void *)state->values;
    ends[0] = 0;
    for (int r = 0; r < size; r++) {
        const int64_t left = borders[r + 1] - borders[r] - at;
        ends[r + 1] = ends[r] + (left < 0 ? 0 : left < width ? left : width);
    }
    TRY(comm_agree(reducer->comm, fetch(state, host + ends[own], values + borders[own] + at,
                                        ends[own + 1] - ends[own], sizeof *host)));
    TRY(reducer_all_gather(&state->host, host, ends));
    for (int r = 0; r < size; r++)
        if (r != own)
            TRY(put(state, values + borders[r] + at, host + ends[r], ends[r + 1] - ends[r],
                    sizeof *host));
    return STATUS_OK;
}

static enum status all_gather(struct reducer *reducer, float *values, const int64_t *borders) {
    const int size = reducer->comm->size;
    const int64_t width = (int64_t)(state_of(reducer)->bytes / sizeof *values) / size;
    int64_t longest = 0;
    for (int r = 0; r < size; r++)
        longest = borders[r + 1] - borders[r] > longest ? borders[r + 1] - borders[r] : longest;
    for (int64_t at = 0; at < longest; at += width)
        TRY(gather_piece(reducer, values, borders, at, width));
    return STATUS_OK;
}

/* --- opening and closing --- */

static void close_reducer(struct reducer *reducer) {
    struct state *state = state_of(reducer);
    reducer_close(&state->host);
    memory_release(&state->values);
    memory_release(&state->room);
    memory_release(&state->lists);
    memory_release(&reducer->state);
}

static const struct reducer_ops reducer_staged = {
    .name = "staged",
    .text = "from GPU to host and by MPI to the others, because this build has no NCCL: slow",
    .sum_exact = sum_exact,
    .sum_fast = sum_fast,
    .exchange_begin = exchange_begin,
    .exchange_test = exchange_test,
    .all_gather = all_gather,
    .close = close_reducer,
};

static enum status reserve(struct state *state, struct comm *comm) {
    state->bytes = reducer_room_bytes(comm, REDUCER_ROOM);
    TRY(memory_new(&state->values, state->bytes, "sums through the host"));
    TRY(memory_new(&state->room, state->bytes, "sums through the host"));
    return memory_new(&state->lists, 2 * comm->size + 1, "sums through the host");
}

enum status reducer_staged_open(struct reducer *reducer, struct backend *backend,
                                struct comm *comm) {
    struct state *state = NULL;
    *reducer = (struct reducer){.ops = NULL};
    enum status status = memory_new(&state, 1, "sums through the host");
    if (status == STATUS_OK) {
        *state = (struct state){.backend = backend};
        reducer_open_host(&state->host, comm);
        *reducer = (struct reducer){.ops = &reducer_staged, .comm = comm, .state = state};
        status = reserve(state, comm);
    }
    status = comm_agree(comm, status);
    if (status != STATUS_OK)
        reducer_close(reducer);
    return status;
}

enum status cuda_open_reducer(struct backend *backend, struct comm *comm, struct reducer *reducer) {
    char text[64];
    if (cuda_plans(backend) || comm->size == 1) {
        reducer_open_host(reducer, comm);
        return STATUS_OK;
    }
    if (nccl_describe(text, sizeof text))
        return reducer_nccl_open(reducer, backend, comm);
    return reducer_staged_open(reducer, backend, comm);
}
