/* SPDX-License-Identifier: Apache-2.0 */
#include "comm/reducer.h"

void reducer_open_host(struct reducer *reducer, struct comm *comm) {
    *reducer = (struct reducer){.ops = comm->ops->reducer, .comm = comm};
}

void reducer_close(struct reducer *reducer) {
    if (reducer->ops != NULL)
        reducer->ops->close(reducer);
    *reducer = (struct reducer){.ops = NULL};
}

size_t reducer_room_bytes(const struct comm *comm, int64_t n) {
    const size_t least = 8 * (size_t)comm->size, needed = 8 * (size_t)n;
    const size_t most = needed < REDUCER_ROOM ? needed : REDUCER_ROOM;
    return most > least ? most : least;
}

static void check_room(const struct reducer *reducer, const void *room, size_t room_bytes) {
    ASSERT(reducer->comm->size == 1 ||
           (room != NULL && room_bytes >= 8 * (size_t)reducer->comm->size));
}

enum status reducer_follow(struct reducer *reducer) {
    return reducer->ops->follow != NULL ? reducer->ops->follow(reducer) : STATUS_OK;
}

enum status reducer_join(struct reducer *reducer, const char *what) {
    return reducer->ops->join != NULL ? reducer->ops->join(reducer, what) : STATUS_OK;
}

void reducer_beside(struct reducer *reducer, bool on) {
    if (reducer->ops->beside != NULL)
        reducer->ops->beside(reducer, on);
}

enum status reducer_sum_exact(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                              size_t room_bytes) {
    ASSERT(n >= 0 && (values != NULL || n == 0));
    check_room(reducer, room, room_bytes);
    TRY(reducer_follow(reducer));
    TRY(reducer->ops->sum_exact(reducer, values, n, room, room_bytes));
    return reducer_join(reducer, "reduction");
}

enum status reducer_sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                             size_t room_bytes) {
    ASSERT(n >= 0 && (values != NULL || n == 0));
    check_room(reducer, room, room_bytes);
    TRY(reducer_follow(reducer));
    TRY(reducer->ops->sum_fast(reducer, values, n, room, room_bytes));
    return reducer_join(reducer, "reduction");
}

enum status reducer_exchange_begin(struct reducer *reducer,
                                   const struct reducer_exchange *exchange) {
    const int rank = reducer->comm->rank;
    ASSERT(exchange->send_count[rank] == 0 && exchange->receive_count[rank] == 0);
    return reducer->ops->exchange_begin(reducer, exchange);
}

enum status reducer_exchange_test(struct reducer *reducer, bool wait, bool *come) {
    return reducer->ops->exchange_test(reducer, wait, come);
}

enum status reducer_all_gather(struct reducer *reducer, float *values, const int64_t *borders) {
    ASSERT(values != NULL && borders[0] <= borders[reducer->comm->size]);
    return reducer->ops->all_gather(reducer, values, borders);
}
