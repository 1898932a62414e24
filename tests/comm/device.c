/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over the ranks of vectors in the memory of the CUDA backend, by NCCL and through the host, on
 * the ranks of an MPI job; with GRADUS_CUDA=HOST the host stands in for the GPUs and for NCCL.
 */
#include "comm/device_memory.h"

#include "backends.h"
#include "cuda/reducers.h"
#include "mpi/comm_mpi.h"

int main(int argc, char **argv) {
    struct comm comm;
    struct backend backend;
    struct reducer reducer;
    if (comm_mpi_open(&comm, &argc, &argv) != STATUS_OK)
        return 1;
    CHECK(backends_have_cuda());
    CHECK_OK(backend_open(&backend, "cuda", 1));
    if (argc > 1)
        CHECK_EQ(comm.size, strtol(argv[1], NULL, 10));
    CHECK_OK(reducer_nccl_open(&reducer, &backend, &comm));
    CHECK_TEXT(reducer.ops->name, "nccl");
    device_conform(&reducer, &backend);
    reducer_close(&reducer);
    CHECK_OK(reducer_staged_open(&reducer, &backend, &comm));
    device_conform(&reducer, &backend);
    reducer_close(&reducer);
    CHECK_OK(cuda_open_reducer(&backend, &comm, &reducer));
    CHECK_TEXT(reducer.ops->name, comm.size > 1 ? "nccl" : "mpi");
    reducer_close(&reducer);
    backend_close(&backend);
    comm_close(&comm);
    return CHECK_END();
}
