/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reducer on a GPU needs of NCCL: implemented by nccl_cuda.c over the library, by nccl_host.c
 * on the host, over the communicator's own reducer, and by nccl_none.c in a build without it.
 *
 * A communicator does not block: a call may come back before it has been taken up, and nccl_look says
 * when it has been; it also says what went wrong since, here or on another rank. Until then no other
 * call may be made. What has been taken up is in the stream, in the order of the calls, which is the
 * same on all ranks. Counts are of elements.
 */
#ifndef CUDA_NCCL_CALLS_H
#define CUDA_NCCL_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/comm.h"
#include "cuda/device.h"

enum { NCCL_ID_BYTES = 128 };
struct nccl_id {
    unsigned char bytes[NCCL_ID_BYTES];
};

struct nccl {
    void *state;
    int rank, size;
};

/* What stands behind, for the log: "NCCL 2.28.9"; false: nothing, this build has none. */
bool nccl_describe(char *out, size_t size);

/* One rank makes an id and brings it to the others; then all open. *comm, which the stand-in uses,
 * outlives it. */
enum status nccl_id_make(struct nccl_id *id) MUST_USE;
enum status nccl_open(struct nccl *nccl, struct device *device, struct comm *comm,
                      const struct nccl_id *id) MUST_USE;
enum status nccl_look(struct nccl *nccl, bool *taken_up) MUST_USE;

/* Nothing is in a stream any more, on any rank: looked at until it has been taken up, then released. */
enum status nccl_finish(struct nccl *nccl) MUST_USE;

/* Gives back what it has; `abort`: whatever is still in a stream ends. Accepts a zero-filled one. */
void nccl_release(struct nccl *nccl, bool abort);

/* Sums over the ranks, in place. */
enum status nccl_sum_integers(struct nccl *nccl, void *stream, int64_t *values, int64_t n) MUST_USE;
enum status nccl_sum_floats(struct nccl *nccl, void *stream, float *values, int64_t n) MUST_USE;

/* Rank r's part values[r n … (r + 1) n) to all, in place. */
enum status nccl_gather(struct nccl *nccl, void *stream, float *values, int64_t n) MUST_USE;

/* Messages, of which those between begin and end travel together, and none waits for another. */
enum status nccl_group_begin(struct nccl *nccl) MUST_USE;
enum status nccl_send(struct nccl *nccl, void *stream, const float *values, int64_t n,
                      int to) MUST_USE;
enum status nccl_receive(struct nccl *nccl, void *stream, float *values, int64_t n,
                         int from) MUST_USE;
enum status nccl_group_end(struct nccl *nccl, void *stream) MUST_USE;

#endif
