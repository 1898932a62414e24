/* SPDX-License-Identifier: Apache-2.0
 *
 * This process alone: what each collective means when there is one rank. A plan sets `size` to
 * more, and all of them bring what this one brings. The parameters are not const because the slots
 * of struct comm_ops are not.
 */
#include "comm/comm.h"

#include "comm/reducer.h"

#include <stdlib.h>
#include <string.h>

static enum status self_broadcast(struct comm *comm, void *data, size_t bytes, int root) {
    (void)comm, (void)data, (void)bytes, (void)root;
    return STATUS_OK;
}

static enum status self_all_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                                   const size_t *sizes) {
    (void)sizes;
    for (int r = 0; r < comm->size && bytes > 0; r++)
        memcpy((char *)out + (size_t)r * bytes, data, bytes);
    return STATUS_OK;
}

static enum status self_words_begin(struct comm *comm, int64_t word, int64_t *words) {
    for (int r = 0; r < comm->size; r++)
        words[r] = word;
    return STATUS_OK;
}

static enum status self_words_test(struct comm *comm, bool wait, bool *come) {
    (void)comm, (void)wait;
    *come = true;
    return STATUS_OK;
}

static enum status self_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                               const size_t *sizes, int root) {
    (void)comm, (void)sizes, (void)root;
    if (bytes > 0)
        memcpy(out, data, bytes);
    return STATUS_OK;
}

static enum status self_maximum(struct comm *comm, double *values, int64_t n) {
    (void)comm, (void)values, (void)n;
    return STATUS_OK;
}

static enum status self_sum_exact(struct comm *comm, int64_t *values, int64_t n) {
    (void)comm, (void)values, (void)n;
    return STATUS_OK;
}

static enum status self_barrier(struct comm *comm, double deadline_s, const char *what) {
    (void)comm, (void)deadline_s, (void)what;
    return STATUS_OK;
}

static enum status self_split(struct comm *comm, int color, struct comm *out) {
    (void)comm, (void)color;
    comm_self_open(out);
    return STATUS_OK;
}

static void self_close(struct comm *comm) {
    (void)comm;
}

static void self_abort(struct comm *comm, int exit_status) {
    (void)comm;
    _Exit(exit_status); /* the one meaning that this slot has */
}

/* --- sums --- */

static enum status self_sum_vector(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                                   size_t room_bytes) {
    (void)reducer, (void)values, (void)n, (void)room, (void)room_bytes;
    return STATUS_OK;
}

static enum status self_sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                                 size_t room_bytes) {
    (void)reducer, (void)values, (void)n, (void)room, (void)room_bytes;
    return STATUS_OK;
}

static enum status self_exchange_begin(struct reducer *reducer,
                                       const struct reducer_exchange *exchange) {
    (void)reducer, (void)exchange;
    return STATUS_OK;
}

static enum status self_exchange_test(struct reducer *reducer, bool wait, bool *come) {
    (void)reducer, (void)wait;
    *come = true;
    return STATUS_OK;
}

static enum status self_gather_parts(struct reducer *reducer, float *values,
                                     const int64_t *borders) {
    (void)reducer, (void)values, (void)borders;
    return STATUS_OK;
}

static void self_close_reducer(struct reducer *reducer) {
    (void)reducer;
}

static const struct reducer_ops reducer_self = {
    .name = "self",
    .text = "this process alone",
    .sum_exact = self_sum_vector,
    .sum_fast = self_sum_fast,
    .exchange_begin = self_exchange_begin,
    .exchange_test = self_exchange_test,
    .all_gather = self_gather_parts,
    .close = self_close_reducer,
};

static const struct comm_ops comm_self = {
    .name = "self",
    .text = "this process alone",
    .broadcast = self_broadcast,
    .gather = self_gather,
    .all_gather = self_all_gather,
    .words_begin = self_words_begin,
    .words_test = self_words_test,
    .maximum = self_maximum,
    .sum_exact = self_sum_exact,
    .barrier = self_barrier,
    .split = self_split,
    .close = self_close,
    .abort = self_abort,
    .reducer = &reducer_self,
};

void comm_self_open(struct comm *comm) {
    *comm = (struct comm){.ops = &comm_self, .rank = 0, .size = 1};
}
