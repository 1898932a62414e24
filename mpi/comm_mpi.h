/* SPDX-License-Identifier: Apache-2.0
 *
 * The processes that an MPI launcher started, with host buffers: MPI 3.0, MPI_THREAD_FUNNELED.
 */
#ifndef MPI_COMM_MPI_H
#define MPI_COMM_MPI_H

#include <stdint.h>

#include "comm/comm.h"

/* Starts MPI, if nobody has yet, and fills *comm with all processes of the job; without a launcher
 * that is this process alone. Processes that were started together by the launcher of another MPI,
 * and so would be alone without knowing, are refused with STATUS_INPUT: trying again would not
 * help. The caller closes *comm; that ends MPI when the call started it. After a failure the others
 * may be waiting for this process, so the caller says its sentence and calls comm_mpi_abort_job. */
enum status comm_mpi_open(struct comm *comm, int *argc, char ***argv) MUST_USE;

/* Ends all processes of the job at once with this exit status; does nothing while MPI is not
 * running. For failures that no communicator can bring to the others. */
void comm_mpi_abort_job(int exit_status);

/* Sends at most `bytes` (8 or more) in one call of MPI; comm_mpi_open sets 4 MiB, and
 * communicators split off inherit it. The same on all ranks. Bounds MPI's buffers; tests make it
 * small. */
void comm_mpi_set_piece(struct comm *comm, int64_t bytes);

#endif
