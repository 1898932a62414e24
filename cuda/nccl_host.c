/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator's own reducer in place of NCCL. What a call sends is read, and goes to the other
 * ranks, when the call is made, behind all that its stream waits for; what it receives is put into
 * place when the stream comes to it. So a stream that does not wait for what is sent, and one that
 * does not wait for what is received, both show, and no order in which ranks look at their streams
 * can make them wait for each other. What is sent must still be there when the stream comes past.
 */
#include "cuda/nccl_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/reducer.h"
#include "cuda/host/faults.h"
#include "cuda/host/queue.h"

static int looks_left = -1;

void faults_nccl(int looks) {
    looks_left = looks;
}

/* One message of a group. */
struct message {
    const float *sent;
    float *received;
    int64_t n;
};

struct state {
    struct device *device;
    struct reducer reducer;
    void *room;
    size_t room_bytes;
    struct message *to, *from; /* (ranks) of the open group */
    bool grouped;
};

bool nccl_describe(char *out, size_t size) {
    snprintf(out, size, "the host in place of NCCL");
    return true;
}

enum status nccl_id_make(struct nccl_id *id) {
    memset(id->bytes, 0x5a, sizeof id->bytes);
    return STATUS_OK;
}

enum status nccl_open(struct nccl *nccl, struct device *device, struct comm *comm,
                      const struct nccl_id *id) {
    struct nccl_id same;
    TRY(nccl_id_make(&same));
    ASSERT(memcmp(id, &same, sizeof same) == 0); /* it came from the rank that made it */
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return FAIL(STATUS_MEMORY, "no memory for the stand-in of NCCL");
    *nccl = (struct nccl){.state = state, .rank = comm->rank, .size = comm->size};
    state->device = device;
    state->room_bytes = reducer_room_bytes(comm, REDUCER_ROOM);
    state->room = malloc(state->room_bytes);
    state->to = calloc((size_t)comm->size, sizeof *state->to);
    state->from = calloc((size_t)comm->size, sizeof *state->from);
    reducer_open_host(&state->reducer, comm);
    return state->room != NULL && state->to != NULL && state->from != NULL
               ? STATUS_OK
               : FAIL(STATUS_MEMORY, "no memory for the stand-in of NCCL");
}

enum status nccl_look(struct nccl *nccl, bool *taken_up) {
    (void)nccl;
    *taken_up = true;
    if (looks_left > 0)
        looks_left--;
    else if (looks_left == 0)
        return FAIL(STATUS_COMM, "a sum over the ranks by NCCL failed: remote process exited");
    return STATUS_OK;
}

enum status nccl_finish(struct nccl *nccl) {
    (void)nccl;
    return STATUS_OK;
}

void nccl_release(struct nccl *nccl, bool abort) {
    struct state *state = nccl->state;
    (void)abort;
    if (state == NULL)
        return;
    reducer_close(&state->reducer);
    free(state->room);
    free(state->to);
    free(state->from);
    free(state);
    nccl->state = NULL;
}

/* --- what waits in the stream --- */

struct delivery {
    void *to;
    void *bytes; /* owned */
    size_t size;
    const void *sent;
    void *sent_bytes; /* owned: as they were when the call was made */
    size_t sent_size;
};

static void deliver(void *closure) {
    const struct delivery *d = closure;
    if (d->sent_size > 0) /* nobody has written what was still being sent */
        ASSERT(memcmp(d->sent, d->sent_bytes, d->sent_size) == 0);
    if (d->size > 0)
        memcpy(d->to, d->bytes, d->size);
}

static void release_delivery(void *closure) {
    struct delivery *d = closure;
    free(d->bytes);
    free(d->sent_bytes);
    free(d);
}

static void *copy_of(const void *bytes, size_t size) {
    void *copy = malloc(size > 0 ? size : 1);
    ASSERT(copy != NULL); /* the stand-in is for tests */
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* Both arrays belong to the delivery from here on. */
static enum status put_delivery(void *stream, struct delivery values) {
    struct delivery *d = copy_of(&values, sizeof values);
    ASSERT(queue_is_device_memory(d->to) && queue_is_device_memory(d->sent));
    return device_launched(queue_push(stream, (struct queue_task){deliver, release_delivery, d}),
                           "a delivery");
}

/* --- sums and gathers --- */

/* Of one vector in place: `bytes` from `begin` on are what this rank brings, *copy is the whole. */
static enum status begin_vector(struct nccl *nccl, void *stream, void *values, size_t size,
                                void **copy) {
    struct state *state = nccl->state;
    TRY(device_synchronize(state->device, stream));
    *copy = copy_of(values, size);
    return STATUS_OK;
}

static enum status end_vector(enum status status, void *stream, void *values, size_t size,
                              void *copy, const void *sent, size_t sent_size) {
    if (status != STATUS_OK) {
        free(copy);
        return status;
    }
    return put_delivery(stream, (struct delivery){.to = values,
                                                  .bytes = copy,
                                                  .size = size,
                                                  .sent = sent,
                                                  .sent_bytes = copy_of(sent, sent_size),
                                                  .sent_size = sent_size});
}

enum status nccl_sum_integers(struct nccl *nccl, void *stream, int64_t *values, int64_t n) {
    struct state *state = nccl->state;
    const size_t size = (size_t)n * sizeof *values;
    void *copy;
    TRY(begin_vector(nccl, stream, values, size, &copy));
    const enum status status =
        reducer_sum_exact(&state->reducer, copy, n, state->room, state->room_bytes);
    return end_vector(status, stream, values, size, copy, values, size);
}

enum status nccl_sum_floats(struct nccl *nccl, void *stream, float *values, int64_t n) {
    struct state *state = nccl->state;
    const size_t size = (size_t)n * sizeof *values;
    void *copy;
    TRY(begin_vector(nccl, stream, values, size, &copy));
    const enum status status =
        reducer_sum_fast(&state->reducer, copy, n, state->room, state->room_bytes);
    return end_vector(status, stream, values, size, copy, values, size);
}

enum status nccl_gather(struct nccl *nccl, void *stream, float *values, int64_t n) {
    struct state *state = nccl->state;
    const size_t part = (size_t)n * sizeof *values, size = part * (size_t)nccl->size;
    int64_t *borders = calloc((size_t)nccl->size + 1, sizeof *borders);
    void *copy;
    ASSERT(borders != NULL);
    for (int r = 0; r < nccl->size; r++)
        borders[r + 1] = borders[r] + n;
    enum status status = begin_vector(nccl, stream, values, size, &copy);
    if (status == STATUS_OK) {
        status = reducer_all_gather(&state->reducer, copy, borders);
        status = end_vector(status, stream, values, size, copy, values + nccl->rank * n, part);
    }
    free(borders);
    return status;
}

/* --- messages --- */

enum status nccl_group_begin(struct nccl *nccl) {
    struct state *state = nccl->state;
    ASSERT(!state->grouped);
    state->grouped = true;
    memset(state->to, 0, (size_t)nccl->size * sizeof *state->to);
    memset(state->from, 0, (size_t)nccl->size * sizeof *state->from);
    return STATUS_OK;
}

enum status nccl_send(struct nccl *nccl, void *stream, const float *values, int64_t n, int to) {
    struct state *state = nccl->state;
    (void)stream;
    ASSERT(state->grouped && to != nccl->rank && state->to[to].n == 0);
    state->to[to] = (struct message){.sent = values, .n = n};
    return STATUS_OK;
}

enum status nccl_receive(struct nccl *nccl, void *stream, float *values, int64_t n, int from) {
    struct state *state = nccl->state;
    (void)stream;
    ASSERT(state->grouped && from != nccl->rank && state->from[from].n == 0);
    state->from[from] = (struct message){.received = values, .n = n};
    return STATUS_OK;
}

/* Where messages stand one behind the other: at and count (ranks). Returns how much that is. */
static int64_t lay_out(const struct nccl *nccl, const struct message *messages, int64_t *at,
                       int64_t *count) {
    int64_t end = 0;
    for (int r = 0; r < nccl->size; r++) {
        at[r] = end;
        count[r] = messages[r].n;
        end += count[r];
    }
    return end;
}

static enum status pass_messages(struct nccl *nccl, void *stream, int64_t *lists) {
    struct state *state = nccl->state;
    const int64_t ranks = nccl->size;
    int64_t *at = lists, *count = at + ranks, *from = count + ranks, *wanted = from + ranks;
    float *send = malloc(((size_t)lay_out(nccl, state->to, at, count) + 1) * sizeof *send);
    float *receive =
        malloc(((size_t)lay_out(nccl, state->from, from, wanted) + 1) * sizeof *receive);
    ASSERT(send != NULL && receive != NULL);
    for (int r = 0; r < nccl->size; r++)
        if (count[r] > 0)
            memcpy(send + at[r], state->to[r].sent, (size_t)count[r] * sizeof *send);
    const struct reducer_exchange exchange = {.send = send,
                                              .send_at = at,
                                              .send_count = count,
                                              .receive = receive,
                                              .receive_at = from,
                                              .receive_count = wanted};
    bool come;
    enum status status = reducer_exchange_begin(&state->reducer, &exchange);
    if (status == STATUS_OK)
        status = reducer_exchange_test(&state->reducer, true, &come);
    for (int r = 0; r < nccl->size && status == STATUS_OK; r++) {
        const size_t sent = (size_t)count[r] * sizeof *send,
                     size = (size_t)wanted[r] * sizeof *receive;
        status = put_delivery(stream, (struct delivery){.to = state->from[r].received,
                                                        .bytes = copy_of(receive + from[r], size),
                                                        .size = size,
                                                        .sent = state->to[r].sent,
                                                        .sent_bytes = copy_of(send + at[r], sent),
                                                        .sent_size = sent});
    }
    free(send);
    free(receive);
    return status;
}

enum status nccl_group_end(struct nccl *nccl, void *stream) {
    struct state *state = nccl->state;
    int64_t *lists = calloc(4 * (size_t)nccl->size, sizeof *lists);
    ASSERT(state->grouped && lists != NULL);
    state->grouped = false;
    enum status status = device_synchronize(state->device, stream);
    if (status == STATUS_OK)
        status = pass_messages(nccl, stream, lists);
    free(lists);
    return status;
}
