/* SPDX-License-Identifier: Apache-2.0
 *
 * This process alone: what each collective means when there is one rank. The parameters are not
 * const because the slots of struct comm_ops are not.
 */
#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>

static enum status self_broadcast(struct comm *comm, void *data, size_t bytes, int root) {
    (void)comm, (void)data, (void)bytes, (void)root;
    return STATUS_OK;
}

static enum status self_all_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                                   const size_t *sizes) {
    (void)comm, (void)sizes;
    if (bytes > 0)
        memcpy(out, data, bytes);
    return STATUS_OK;
}

static enum status self_gather(struct comm *comm, const void *data, size_t bytes, void *out,
                               const size_t *sizes, int root) {
    (void)root;
    return self_all_gather(comm, data, bytes, out, sizes);
}

static enum status self_maximum(struct comm *comm, double *values, int64_t n) {
    (void)comm, (void)values, (void)n;
    return STATUS_OK;
}

static enum status self_sum_exact(struct comm *comm, int64_t *values, int64_t n) {
    (void)comm, (void)values, (void)n;
    return STATUS_OK;
}

static enum status self_sum_fast(struct comm *comm, float *values, int64_t n) {
    (void)comm, (void)values, (void)n;
    return STATUS_OK;
}

static enum status self_reduce_scatter_exact(struct comm *comm, int64_t *values, int64_t n,
                                             int64_t block) {
    (void)comm, (void)values, (void)n, (void)block;
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

static const struct comm_ops comm_self = {
    .name = "self",
    .text = "this process alone",
    .broadcast = self_broadcast,
    .gather = self_gather,
    .all_gather = self_all_gather,
    .maximum = self_maximum,
    .sum_exact = self_sum_exact,
    .sum_fast = self_sum_fast,
    .reduce_scatter_exact = self_reduce_scatter_exact,
    .barrier = self_barrier,
    .split = self_split,
    .close = self_close,
    .abort = self_abort,
};

void comm_self_open(struct comm *comm) {
    *comm = (struct comm){.ops = &comm_self, .rank = 0, .size = 1};
}
