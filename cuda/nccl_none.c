/* SPDX-License-Identifier: Apache-2.0
 *
 * A build without NCCL: sums of ranks go through the host (reducer_staged.c).
 */
#include "cuda/nccl_calls.h"

static enum status none(void) {
    return FAIL(STATUS_DEFECT, "this build has no NCCL");
}

bool nccl_describe(char *out, size_t size) {
    (void)out, (void)size;
    return false;
}

enum status nccl_id_make(struct nccl_id *id) {
    (void)id;
    return none();
}

enum status nccl_open(struct nccl *nccl, struct device *device, struct comm *comm,
                      const struct nccl_id *id) {
    (void)nccl, (void)device, (void)comm, (void)id;
    return none();
}

enum status nccl_look(struct nccl *nccl, bool *taken_up) {
    (void)nccl, (void)taken_up;
    return none();
}

enum status nccl_finish(struct nccl *nccl) {
    (void)nccl;
    return STATUS_OK;
}

void nccl_release(struct nccl *nccl, bool abort) {
    (void)nccl, (void)abort;
}

enum status nccl_sum_integers(struct nccl *nccl, void *stream, int64_t *values, int64_t n) {
    (void)nccl, (void)stream, (void)values, (void)n;
    return none();
}

enum status nccl_sum_floats(struct nccl *nccl, void *stream, float *values, int64_t n) {
    (void)nccl, (void)stream, (void)values, (void)n;
    return none();
}

enum status nccl_gather(struct nccl *nccl, void *stream, float *values, int64_t n) {
    (void)nccl, (void)stream, (void)values, (void)n;
    return none();
}

enum status nccl_group_begin(struct nccl *nccl) {
    (void)nccl;
    return none();
}

enum status nccl_send(struct nccl *nccl, void *stream, const float *values, int64_t n, int to) {
    (void)nccl, (void)stream, (void)values, (void)n, (void)to;
    return none();
}

enum status nccl_receive(struct nccl *nccl, void *stream, float *values, int64_t n, int from) {
    (void)nccl, (void)stream, (void)values, (void)n, (void)from;
    return none();
}

enum status nccl_group_end(struct nccl *nccl, void *stream) {
    (void)nccl, (void)stream;
    return none();
}
