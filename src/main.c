/* SPDX-License-Identifier: Apache-2.0
 *
 * The program: which communicators were built, and the command line. The only file that knows them.
 */
#include "base/status.h"
#include "cli/cli.h"
#include "file/provenance.h"
#include "mpi/comm_mpi.h"

#include <signal.h>

int main(int argc, char **argv) {
    const struct cli_host host = {.comm_open = comm_mpi_open, .version = provenance_version()};
    /* A file that may grow no further is a write that failed, as on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    status_on_defect(comm_mpi_abort_job);
    return cli_main(argc, argv, &host);
}
