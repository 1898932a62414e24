/* SPDX-License-Identifier: Apache-2.0
 *
 * The conformance test on the ranks of an MPI job: in whole pieces, in small ones that cut every
 * message, and on two halves of the ranks.
 */
#include "comm/conform.h"

#include "mpi/comm_mpi.h"

int main(int argc, char **argv) {
    struct comm comm;
    if (comm_mpi_open(&comm, &argc, &argv) != STATUS_OK) {
        fprintf(stderr, "%s\n", status_sentence());
        return 1;
    }
    CHECK_TEXT(comm.ops->name, "mpi");
    if (argc > 1) /* the number of ranks that the test asked for */
        CHECK_EQ(comm.size, strtol(argv[1], NULL, 10));
    conform_all(&comm);
    comm_mpi_set_piece(&comm, 1003);
    conform_all(&comm);
    conform_split(&comm);
    comm_close(&comm);
    return CHECK_END();
}
