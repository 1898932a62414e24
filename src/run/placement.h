/* SPDX-License-Identifier: Apache-2.0
 *
 * Where each rank runs: host, cores, GPUs that it may see, and who started it; the first thing to
 * look at when a job is slow, or when it should be one job and is several.
 */
#ifndef RUN_PLACEMENT_H
#define RUN_PLACEMENT_H

#include "backend/backend.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "comm/comm.h"
#include "comm/reducer.h"

/* Refuses two ranks that compute with the same device and, where `alike`, ranks whose devices are of
 * different kinds, so that bits would depend on who computes what. Collective. */
enum status placement_check(struct comm *comm, const struct backend *backend, bool alike) MUST_USE;

/* One line of the log for each rank, in their order, and one for what sums over them. Collective. */
enum status placement_report(struct comm *comm, const struct backend *backend,
                             const struct reducer *reducer) MUST_USE;

/* Appends the host names of all ranks, separated by blanks, on rank 0. Collective. */
enum status placement_hosts(struct comm *comm, struct strbuf *out) MUST_USE;

/* What started this process: "srun (step 12.0)", "mpirun of Open MPI", "none". Returns out. */
enum { PLACEMENT_TEXT_BYTES = 256 };
const char *placement_launcher(char out[PLACEMENT_TEXT_BYTES]);

/* Numbers of cores as "0-3,8"; "…" stands for what has no room. Returns out. cpu_set
 * is a cpu_set_t. */
const char *placement_cores(const void *cpu_set, char out[PLACEMENT_TEXT_BYTES]);

/* Appends what computes, as far as bits depend on it: the backend, and the kind of GPU or the model of
 * the processor, as the system calls it. */
enum status placement_device(const struct backend *backend, struct strbuf *out) MUST_USE;

#endif
