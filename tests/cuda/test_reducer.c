/* SPDX-License-Identifier: Apache-2.0
 *
 * The reducer over NCCL on one rank, which needs no MPI: on a GPU the library itself is opened, sums
 * and is closed. On the host that stands in: a rank that waits for one that never comes gives up at the
 * deadline, and an error that NCCL has to tell ends the wait; the communicator is lost then, and
 * nothing hangs.
 */
#include "comm/device_memory.h"

#include "cuda/backend_cuda.h"
#include "cuda/cuda.h"
#include "cuda/nccl_calls.h"
#include "cuda/reducers.h"
#ifdef GRADUS_CUDA_ON_HOST
#include "cuda/host/faults.h"

#include "base/clock.h"

/* A sum that goes wrong by `fault`, and what is asked afterwards. */
static void check_fault(struct backend *backend, struct comm *comm, bool stalls, int looks,
                        const char *sentence) {
    int64_t *values;
    struct reducer reducer;
    CHECK_OK(backend_new(backend, &values, 100, "test"));
    CHECK_OK(reducer_nccl_open(&reducer, backend, comm));
    faults_stall(stalls);
    faults_nccl(looks);
    const double start_s = clock_now_s();
    CHECK_STATUS(reducer_sum_exact(&reducer, values, 100, values, 800), STATUS_COMM, sentence);
    CHECK(clock_now_s() - start_s < 10.0);
    faults_stall(false);
    faults_nccl(-1);
    CHECK(reducer_sum_exact(&reducer, values, 100, values, 800) == STATUS_COMM);
    CHECK(reducer_join(&reducer, "afterwards") == STATUS_COMM);
    reducer_close(&reducer);
    backend_release(backend, &values);
}

static void check_faults(struct backend *backend, struct comm *comm) {
    comm_deadline(comm, 0.5);
    check_fault(backend, comm, true, -1,
                "rank 0 of 1 waited 0.5 s in 'reduction' for another rank");
    check_fault(backend, comm, false, 0, "remote process exited"); /* when it is called */
    check_fault(backend, comm, true, 3, "remote process exited");  /* while it is waited for */
}
#else
static void check_faults(struct backend *backend, struct comm *comm) {
    (void)backend, (void)comm; /* what goes wrong on other ranks needs other ranks */
}
#endif

int main(void) {
    struct comm comm;
    struct backend backend;
    struct reducer reducer;
    char text[64];
    int count = 0;
    CHECK_OK(device_count(&count));
    if (count == 0 || !nccl_describe(text, sizeof text)) {
        printf("skipped: no GPU, or a build without NCCL\n");
        return 77;
    }
    comm_self_open(&comm);
    backend_add(&cuda_backend);
    CHECK_OK(backend_open(&backend, "cuda", 1));
    CHECK_OK(reducer_nccl_open(&reducer, &backend, &comm));
    printf("%s\n", reducer.by);
    device_conform(&reducer, &backend);
    reducer_close(&reducer);
    check_faults(&backend, &comm);
    backend_close(&backend);
    comm_close(&comm);
    return CHECK_END();
}
