/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of the conformance tests in the memory of a backend, and what reducers of devices must do
 * besides: keep the order of work. For the tests on ranks of a job, and on one rank without MPI.
 */
#ifndef TESTS_COMM_DEVICE_MEMORY_H
#define TESTS_COMM_DEVICE_MEMORY_H

#include "backend/backend.h"
#include "comm/conform.h"

static void *device_put(void *context, const void *host, size_t bytes) {
    struct backend *backend = context;
    void *memory;
    CHECK_OK(backend->ops->allocate(backend, &memory, bytes > 0 ? bytes : 1, "test"));
    CHECK_OK(backend->ops->upload(backend, memory, host, bytes));
    return memory;
}

static void device_take(void *context, void *host, void *memory, size_t bytes) {
    struct backend *backend = context;
    CHECK_OK(backend->ops->download(backend, host, memory, bytes));
    backend_release(backend, &memory);
}

/* What is put beside reads what has come, although the backend's own queue is emptied before; what is
 * sent is what the backend's queue had made of it when the messages were to follow, not afterwards. */
static void device_order(struct reducer *reducer, struct backend *backend) {
    enum { N = 1000 };
    const int rank = reducer->comm->rank, size = reducer->comm->size;
    int64_t lists[3][64] = {{0}};
    float host[2 * N], *send, *receive, *sum, want = 0;
    CHECK_OK(backend_new(backend, &send, 2 * N, "test"));
    CHECK_OK(backend_new(backend, &receive, (int64_t)N * size, "test"));
    CHECK_OK(backend_new(backend, &sum, N, "test"));
    for (int i = 0; i < N; i++)
        host[i] = (float)(rank + 1);
    for (int r = 0; r < size; r++) {
        lists[0][r] = (int64_t)r * N;
        lists[1][r] = r == rank ? 0 : N;
        want += r == rank ? 0 : 2 * (float)(r + 1);
    }
    CHECK_OK(backend->ops->upload(backend, send, host, N * sizeof *host));
    CHECK_OK(backend_run(backend, add, .x = send, .out = send + N, .n = N));
    CHECK_OK(backend_run(backend, add, .x = send, .out = send + N, .n = N));
    for (int r = 0; r < size; r++) /* the second half to all */
        lists[2][r] = N;
    const struct reducer_exchange exchange = {.send = send,
                                              .send_at = lists[2],
                                              .send_count = lists[1],
                                              .receive = receive,
                                              .receive_at = lists[0],
                                              .receive_count = lists[1]};
    bool come;
    CHECK_OK(reducer_follow(reducer));
    CHECK_OK(reducer_exchange_begin(reducer, &exchange));
    CHECK_OK(reducer_exchange_test(reducer, true, &come));
    reducer_beside(reducer, true);
    for (int r = 0; r < size; r++)
        if (r != rank)
            CHECK_OK(backend_run(backend, add, .x = receive + (int64_t)r * N, .out = sum, .n = N));
    reducer_beside(reducer, false);
    CHECK_OK(backend->ops->synchronize(backend));
    CHECK_OK(reducer_join(reducer, "order"));
    CHECK_OK(backend->ops->download(backend, host, sum, N * sizeof *host));
    for (int i = 0; i < N; i++)
        if (host[i] != want)
            CHECK_FAILED("sum[%d] is %g, expected %g", i, (double)host[i], (double)want);
    backend_release(backend, &send);
    backend_release(backend, &receive);
    backend_release(backend, &sum);
}

static void device_conform(struct reducer *reducer, struct backend *backend) {
    static const int64_t sizes[] = {0, 1, 130, 1009};
    const struct conform_memory memory = {device_put, device_take, backend};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        conform_reducer(reducer, &memory, sizes[i]);
    device_order(reducer, backend);
}

#endif
