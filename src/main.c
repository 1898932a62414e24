/* SPDX-License-Identifier: Apache-2.0
 *
 * The program: which communicators and backends were built, and the command line. The only file that
 * knows them.
 */
#include "base/memory.h"
#include "base/status.h"
#include "cli/cli.h"
#include "file/provenance.h"
#include "mpi/comm_mpi.h"
#ifdef GRADUS_WITH_CUDA
#include "cuda/backend_cuda.h"
#endif

#include <signal.h>

static void end_job_of_defect(void) {
    comm_mpi_abort_job(status_exit(STATUS_DEFECT));
}

int main(int argc, char **argv) {
    const struct cli_host host = {.comm_open = comm_mpi_open,
                                  .job_abort = comm_mpi_abort_job,
                                  .version = provenance_version()};
    /* A file that may grow no further is a write that failed, as on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    memory_give_back();
#ifdef GRADUS_WITH_CUDA
    backend_add(&cuda_backend);
#endif
    status_on_defect(end_job_of_defect);
    return cli_main(argc, argv, &host);
}
