/* SPDX-License-Identifier: Apache-2.0
 *
 * What every communicator must do, on data whose result is known exactly for any number of ranks.
 * Used by the unit test of `self` and by the MPI program beside this file.
 */
#ifndef TESTS_COMM_CONFORM_H
#define TESTS_COMM_CONFORM_H

#include "check.h"

#include <stdint.h>
#include <time.h>

#include "base/memory.h"
#include "comm/comm.h"
#include "comm/reducer.h"

/* A byte, and an integer of any size and sign, that depend on who sends them
 * and where they stand. */
static unsigned char conform_byte(int rank, size_t i) {
    return (unsigned char)(31 * i + 101 * (size_t)rank + i / 251);
}

static int64_t conform_integer(int rank, int64_t i) {
    const uint64_t mixed = ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)(rank + 1) << 55;
    return (int64_t)(mixed * (uint64_t)(rank + 3));
}

/* Wrapped sum of conform_integer over the ranks. */
static int64_t conform_sum(int size, int64_t i) {
    uint64_t sum = 0;
    for (int r = 0; r < size; r++)
        sum += (uint64_t)conform_integer(r, i);
    return (int64_t)sum;
}

static size_t conform_block(int rank, size_t n) {
    return rank % 3 == 1 ? 0 : n * (size_t)(rank + 1) + (size_t)rank;
}

static void conform_broadcast(struct comm *comm, size_t n) {
    for (int root = 0; root < comm->size; root++) {
        unsigned char *data = NULL;
        CHECK_OK(memory_new(&data, n + 1, "test"));
        for (size_t i = 0; i < n; i++)
            data[i] = comm->rank == root ? conform_byte(root, i) : 0;
        CHECK_OK(comm_broadcast(comm, data, n, root));
        size_t wrong = 0;
        for (size_t i = 0; i < n; i++)
            wrong += data[i] != conform_byte(root, i);
        CHECK_EQ(wrong, 0);
        memory_release(&data);
    }
}

static void conform_gathered(const struct comm *comm, size_t n, const unsigned char *out,
                             const size_t *sizes) {
    size_t at = 0, wrong = 0;
    for (int r = 0; r < comm->size; r++) {
        CHECK_EQ(sizes[r], conform_block(r, n));
        for (size_t i = 0; i < sizes[r]; i++)
            wrong += out[at++] != conform_byte(r, i);
    }
    CHECK_EQ(wrong, 0);
}

static void conform_gathers(struct comm *comm, size_t n) {
    const size_t bytes = conform_block(comm->rank, n);
    unsigned char *data = NULL;
    void *out;
    size_t *sizes;
    CHECK_OK(memory_new(&data, bytes + 1, "test"));
    for (size_t i = 0; i < bytes; i++)
        data[i] = conform_byte(comm->rank, i);
    for (int root = 0; root < comm->size; root++) {
        CHECK_OK(comm_gather(comm, data, bytes, root, &out, &sizes));
        CHECK((out != NULL) == (comm->rank == root) && (sizes != NULL) == (comm->rank == root));
        if (out != NULL)
            conform_gathered(comm, n, out, sizes);
        memory_release(&out);
        memory_release(&sizes);
    }
    CHECK_OK(comm_all_gather(comm, data, bytes, &out, &sizes));
    conform_gathered(comm, n, out, sizes);
    memory_release(&out);
    memory_release(&sizes);
    memory_release(&data);
}

static void conform_maximum(struct comm *comm) {
    const int last = comm->size - 1;
    for (int who = 0; who < comm->size; who++) {
        double values[6] = {comm->rank,
                            -comm->rank,
                            comm->rank == who ? NAN : 5.0,
                            comm->rank == who ? INFINITY : NAN,
                            comm->rank == who ? 2.5 : -1e300,
                            -INFINITY};
        CHECK_OK(comm_maximum(comm, values, 6));
        CHECK_EQ(values[0], last);
        CHECK_EQ(values[1], 0);
        CHECK(isnan(values[2]));
        CHECK(comm->size == 1 ? isinf(values[3]) : isnan(values[3]));
        CHECK_NEAR(values[4], 2.5, 0.0);
        CHECK(isinf(values[5]) && values[5] < 0.0);
    }
    CHECK_OK(comm_maximum(comm, NULL, 0));
}

static void conform_sums(struct comm *comm, int64_t n) {
    int64_t *exact = NULL, wrong = 0;
    CHECK_OK(memory_new(&exact, n, "test"));
    for (int64_t i = 0; i < n; i++)
        exact[i] = conform_integer(comm->rank, i);
    CHECK_OK(comm_sum_exact(comm, exact, n));
    for (int64_t i = 0; i < n; i++)
        wrong += exact[i] != conform_sum(comm->size, i);
    CHECK_EQ(wrong, 0);
    memory_release(&exact);
}

static void conform_words(struct comm *comm) {
    int64_t words[64] = {0};
    CHECK_OK(comm_words(comm, conform_integer(comm->rank, 7), words));
    for (int r = 0; r < comm->size; r++)
        CHECK_EQ(words[r], conform_integer(r, 7));
}

/* --- sums of vectors --- */

/* The kind of memory that a reducer's vectors are in. NULL: the host's, where vectors stay as they are. */
struct conform_memory {
    void *(*put)(void *context, const void *host, size_t bytes); /* a copy in it */
    void (*take)(void *context, void *host, void *memory,
                 size_t bytes); /* back, and gives it back */
    void *context;
};

static void *conform_put(const struct conform_memory *memory, void *host, size_t bytes) {
    return memory != NULL ? memory->put(memory->context, host, bytes) : host;
}

static void conform_take(const struct conform_memory *memory, void *host, void *there,
                         size_t bytes) {
    if (memory != NULL)
        memory->take(memory->context, host, there, bytes);
}

static void conform_vector_sums(struct reducer *reducer, const struct conform_memory *memory,
                                int64_t n, size_t room_bytes) {
    const struct comm *comm = reducer->comm;
    const size_t exact_bytes = (size_t)n * sizeof(int64_t), fast_bytes = (size_t)n * sizeof(float);
    int64_t *exact = NULL, wrong = 0;
    float *fast = NULL;
    char *room = NULL;
    CHECK_OK(memory_new(&exact, n, "test"));
    CHECK_OK(memory_new(&fast, n, "test"));
    CHECK_OK(memory_new(&room, room_bytes, "test"));
    for (int64_t i = 0; i < n; i++) {
        exact[i] = conform_integer(comm->rank, i);
        fast[i] = (float)(i % 1000 + comm->rank); /* small integers, exact in any order */
    }
    void *there_exact = conform_put(memory, exact, exact_bytes),
         *there_fast = conform_put(memory, fast, fast_bytes),
         *there_room = conform_put(memory, room, room_bytes);
    CHECK_OK(reducer_sum_exact(reducer, there_exact, n, there_room, room_bytes));
    CHECK_OK(reducer_sum_fast(reducer, there_fast, n, there_room, room_bytes));
    conform_take(memory, exact, there_exact, exact_bytes);
    conform_take(memory, fast, there_fast, fast_bytes);
    conform_take(memory, room, there_room, room_bytes);
    for (int64_t i = 0; i < n; i++) {
        const float want = (float)(i % 1000 * comm->size + comm->size * (comm->size - 1) / 2);
        wrong += exact[i] != conform_sum(comm->size, i) || fast[i] != want;
    }
    CHECK_EQ(wrong, 0);
    memory_release(&room);
    memory_release(&exact);
    memory_release(&fast);
}

/* Elements that rank `from` sends to rank `to`; some send nothing. */
static int64_t conform_length(int from, int to, int64_t n) {
    return from == to || (from + to) % 3 == 2 ? 0 : n + 2 * from + to;
}

static float conform_number(int from, int to, int64_t i) {
    return (float)(i * 16 + 4 * from + to);
}

static void conform_pause(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Ranks of even number come late, and then wait for the messages; the others look, before they meet for
 * other things and after, until all have come. */
static void conform_flight(struct reducer *reducer, const struct reducer_exchange *exchange) {
    const int rank = reducer->comm->rank;
    int64_t words[64];
    bool come = false;
    if (rank % 2 == 0)
        conform_pause(5);
    CHECK_OK(reducer_follow(reducer));
    CHECK_OK(reducer_exchange_begin(reducer, exchange));
    for (int look = 0; rank % 2 == 1 && look < 20 && !come; look++) {
        CHECK_OK(reducer_exchange_test(reducer, false, &come));
        conform_pause(1);
    }
    conform_words(reducer->comm);
    conform_gathers(reducer->comm, 130);
    CHECK_OK(comm_words_begin(reducer->comm, conform_integer(rank, 3), words));
    while (rank % 2 == 1 && !come)
        CHECK_OK(reducer_exchange_test(reducer, false, &come));
    if (rank % 2 == 0)
        CHECK_OK(reducer_exchange_test(reducer, true, &come));
    CHECK(come);
    for (come = false; rank % 2 == 0 && !come;)
        CHECK_OK(comm_words_test(reducer->comm, false, &come));
    if (rank % 2 == 1)
        CHECK_OK(comm_words_test(reducer->comm, true, &come));
    for (int r = 0; r < reducer->comm->size; r++)
        CHECK_EQ(words[r], conform_integer(r, 3));
    CHECK_OK(reducer_join(reducer, "conformance"));
}

/* Every message arrives whole, at its place, and nothing else is written. */
static void conform_exchange(struct reducer *reducer, const struct conform_memory *memory,
                             int64_t n) {
    const int rank = reducer->comm->rank, size = reducer->comm->size;
    const int64_t longest = n + 3 * size;
    int64_t lists[4][64] = {{0}}, wrong = 0;
    float *send = NULL, *receive = NULL;
    CHECK_OK(memory_new(&send, longest * size, "test"));
    CHECK_OK(memory_new(&receive, longest * size, "test"));
    for (int r = 0; r < size; r++) {
        lists[0][r] = lists[2][r] = r * longest;
        lists[1][r] = conform_length(rank, r, n);
        lists[3][r] = conform_length(r, rank, n);
        for (int64_t i = 0; i < longest; i++) {
            send[r * longest + i] = conform_number(rank, r, i);
            receive[r * longest + i] = -1.0f;
        }
    }
    const size_t bytes = (size_t)(longest * size) * sizeof *send;
    void *there_send = conform_put(memory, send, bytes),
         *there_receive = conform_put(memory, receive, bytes);
    const struct reducer_exchange exchange = {.send = there_send,
                                              .send_at = lists[0],
                                              .send_count = lists[1],
                                              .receive = there_receive,
                                              .receive_at = lists[2],
                                              .receive_count = lists[3]};
    conform_flight(reducer, &exchange);
    conform_take(memory, send, there_send, bytes);
    conform_take(memory, receive, there_receive, bytes);
    for (int r = 0; r < size; r++)
        for (int64_t i = 0; i < longest; i++)
            wrong +=
                receive[r * longest + i] != (i < lists[3][r] ? conform_number(r, rank, i) : -1.0f);
    CHECK_EQ(wrong, 0);
    memory_release(&send);
    memory_release(&receive);
}

/* Parts, ragged with some of them empty or all of one length, become one vector everywhere. */
static void conform_parts(struct reducer *reducer, const struct conform_memory *memory, int64_t n,
                          bool equal) {
    const int rank = reducer->comm->rank, size = reducer->comm->size;
    int64_t borders[65] = {3}, wrong = 0;
    float *values = NULL;
    for (int r = 0; r < size; r++)
        borders[r + 1] = borders[r] + (equal ? n : r % 3 == 1 ? 0 : n + 5 * r);
    const int64_t end = borders[size] + 2;
    const size_t bytes = (size_t)end * sizeof *values;
    CHECK_OK(memory_new(&values, end, "test"));
    for (int64_t i = 0; i < end; i++)
        values[i] = i >= borders[rank] && i < borders[rank + 1] ? (float)i : -1.0f;
    void *there = conform_put(memory, values, bytes);
    CHECK_OK(reducer_follow(reducer));
    CHECK_OK(reducer_all_gather(reducer, there, borders));
    CHECK_OK(reducer_join(reducer, "conformance"));
    conform_take(memory, values, there, bytes);
    for (int64_t i = 0; i < end; i++)
        wrong += values[i] != (i >= borders[0] && i < borders[size] ? (float)i : -1.0f);
    CHECK_EQ(wrong, 0);
    memory_release(&values);
}

/* What every reducer must do. */
static void conform_reducer(struct reducer *reducer, const struct conform_memory *memory,
                            int64_t n) {
    const size_t least = 8 * (size_t)reducer->comm->size;
    conform_vector_sums(reducer, memory, n, least);
    conform_vector_sums(reducer, memory, n, 9 * least + 5);
    conform_vector_sums(reducer, memory, n, reducer_room_bytes(reducer->comm, n));
    conform_exchange(reducer, memory, n);
    conform_parts(reducer, memory, n, false);
    conform_parts(reducer, memory, n, true);
}

/* The ranks of `failing` (a bit each) fail; all must leave with the word of the lowest. */
static void conform_agree(struct comm *comm, unsigned failing) {
    int lowest = 0;
    while (lowest < comm->size && !(failing >> lowest & 1))
        lowest++;
    enum status status = STATUS_OK;
    status_clear();
    if (failing >> comm->rank & 1)
        status =
            FAIL(comm->rank % 2 ? STATUS_IO : STATUS_INPUT, "rank %d has no paper", comm->rank);
    char want[64];
    snprintf(want, sizeof want, "rank %d has no paper", lowest);
    if (lowest == comm->size)
        CHECK_OK(comm_agree(comm, status));
    else
        CHECK_STATUS(comm_agree(comm, status), lowest % 2 ? STATUS_IO : STATUS_INPUT, want);
}

static void conform_all(struct comm *comm) {
    static const size_t sizes[] = {0, 1, 130, 1009};
    struct reducer reducer;
    CHECK(comm->rank >= 0 && comm->rank < comm->size);
    reducer_open_host(&reducer, comm);
    conform_words(comm);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        conform_broadcast(comm, sizes[i]);
        conform_gathers(comm, sizes[i]);
        conform_sums(comm, (int64_t)sizes[i]);
        conform_reducer(&reducer, NULL, (int64_t)sizes[i]);
    }
    conform_maximum(comm);
    for (unsigned failing = 0; failing < 1u << comm->size; failing++)
        conform_agree(comm, failing);
    reducer_close(&reducer);
    CHECK_OK(comm_barrier(comm, 60.0, "conformance"));
    CHECK_OK(comm_barrier(comm, 0.0, "conformance"));
}

/* A part of the ranks is a communicator as good as the whole. */
__attribute__((unused)) static void conform_split(struct comm *comm) {
    const int color = comm->rank % 2;
    struct comm part;
    CHECK_OK(comm_split(comm, color, &part));
    CHECK_EQ(part.size, (comm->size + 1 - color) / 2);
    CHECK_EQ(part.rank, comm->rank / 2);
    conform_all(&part);
    comm_close(&part);
    CHECK(part.ops == NULL);
    comm_close(&part);
}

#endif
