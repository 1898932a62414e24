/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over the ranks of vectors in the memory of GPUs (comm/reducer.h): by NCCL, or through the host
 * and the communicator's own reducer, where the build has no NCCL.
 */
#ifndef CUDA_REDUCERS_H
#define CUDA_REDUCERS_H

#include "backend/backend.h"
#include "base/status.h"
#include "comm/reducer.h"

/* Collective. The backend and the communicator outlive it; it is closed before them. */
enum status reducer_nccl_open(struct reducer *reducer, struct backend *backend,
                              struct comm *comm) MUST_USE;
enum status reducer_staged_open(struct reducer *reducer, struct backend *backend,
                                struct comm *comm) MUST_USE;

/* The one for a run: NCCL where the build has it. One rank, and a plan, need neither. */
enum status cuda_open_reducer(struct backend *backend, struct comm *comm,
                              struct reducer *reducer) MUST_USE;

#endif
