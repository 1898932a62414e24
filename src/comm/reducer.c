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

enum status reducer_sum_exact(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                              size_t room_bytes) {
    ASSERT(n >= 0 && (values != NULL || n == 0));
    check_room(reducer, room, room_bytes);
    return reducer->ops->sum_exact(reducer, values, n, room, room_bytes);
}

enum status reducer_sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                             size_t room_bytes) {
    ASSERT(n >= 0 && (values != NULL || n == 0));
    check_room(reducer, room, room_bytes);
    return reducer->ops->sum_fast(reducer, values, n, room, room_bytes);
}

enum status reducer_exchange(struct reducer *reducer, const struct reducer_exchange *exchange) {
    const int rank = reducer->comm->rank;
    ASSERT(exchange->send_count[rank] == 0 && exchange->receive_count[rank] == 0);
    return reducer->ops->exchange(reducer, exchange);
}

enum status reducer_all_gather(struct reducer *reducer, float *values, const int64_t *borders) {
    ASSERT(values != NULL && borders[0] <= borders[reducer->comm->size]);
    return reducer->ops->all_gather(reducer, values, borders);
}
