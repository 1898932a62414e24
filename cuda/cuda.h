/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the CUDA backend share: its state, the queue, scratch, and the operations.
 *
 * All work goes into one stream, in the order of the calls. Weights are row-major (rows, columns), in
 * fp32 or bf16; activations have the type of the weights. Host arrays that an operation is given go
 * to the device through a ring of pinned memory. With `plans` (backend_plan) memory is only booked
 * and nothing is launched: an operation reserves its scratch, then ends. With `rehearses` memory is
 * taken as well.
 */
#ifndef CUDA_CUDA_H
#define CUDA_CUDA_H

#include "backend/backend.h"
#include "cuda/blas.h"
#include "cuda/cuda_ways.h"
#include "cuda/device.h"

/* Pinned host memory that uploads pass through, in parts: a part is used again when what was copied
 * from it has arrived. */
enum { CUDA_RING_PARTS = 4, CUDA_RING_PART_BYTES = 2 << 20 };
struct cuda_ring {
    unsigned char *memory; /* NULL until the first upload */
    void *booked;
    size_t used; /* of the part */
    int part;
    void *events[CUDA_RING_PARTS]; /* behind the last copy from the part */
    bool recorded[CUDA_RING_PARTS];
};

/* One block of the device's memory. What is released is kept for the next of its label that asks for no
 * more: to take memory from a device, and to give it back, waits for it. When a large block is asked for
 * and none is kept that serves, all that is kept goes back first, so that hardly more is held than the
 * books have had at once. Sizes are multiples of CUDA_BLOCK_UNIT. */
enum { CUDA_BLOCK_UNIT = 256, CUDA_BLOCK_LARGE = 1 << 20, CUDA_LABEL_BYTES = 48 };
struct cuda_block {
    struct cuda_block *next;
    void *memory;
    void *booked;  /* in the books of base/memory.h; NULL of one that is kept */
    size_t bytes;  /* of one that grows in place: so far */
    size_t most;   /* of such a one: addresses */
    size_t backed; /* of such a one: bytes that are memory, perhaps of an earlier use */
    bool grows;
    char label[CUDA_LABEL_BYTES]; /* its beginning */
};

struct cuda_scratch {
    void *memory;
    size_t bytes;
};

/* Steps of decoding that were recorded, and with which arguments. */
struct cuda_graph {
    int64_t plan, rows, rows_per_block, arguments; /* plan: its serial number, from 1 */
    const void *blocks, *scratch;
    void *graph; /* NULL: none yet */
};

/* A node of a graph takes memory of the device, of which CUDA says nothing: servers of language models
 * tell of 5 to 10 MiB for a graph of some hundred nodes. */
enum { CUDA_GRAPHS_MAX = 64, CUDA_GRAPH_NODE_BYTES = 16 << 10 };
struct cuda_graphs {
    struct cuda_graph list[CUDA_GRAPHS_MAX];
    int count;
    int64_t plans; /* that were made so far */
    void *booked;
    size_t booked_bytes;
};

struct cuda_state {
    struct device device;
    struct device_facts facts;
    struct blas blas;
    struct cuda_ways ways;
    struct cuda_ring ring;
    struct cuda_block *blocks, *kept;
    struct cuda_scratch scratch; /* on the device; grows to the largest need, then stays */
    struct cuda_scratch host;    /* for host arrays that are put together */
    bool plans;
    bool rehearses; /* memory is taken, nothing is computed */
    struct cuda_graphs graphs;
    int64_t operations; /* that were put into the stream, or planned, so far */
    bool records;       /* a graph, in which nothing may come from the host */
};

static inline struct cuda_state *cuda_state(const struct backend *backend) {
    return backend->state;
}

static inline void *cuda_stream(const struct backend *backend) {
    return cuda_state(backend)->device.stream;
}

/* Whether operations take their memory and no more. */
static inline bool cuda_plans(const struct backend *backend) {
    return cuda_state(backend)->plans || cuda_state(backend)->rehearses;
}

/* One operation more; whether it is only planned. */
static inline bool cuda_counted(const struct backend *backend) {
    cuda_state(backend)->operations++;
    return cuda_plans(backend);
}

/* TRY(CUDA_LAUNCH(backend, norm, .x = …)): nothing where memory is only planned. */
#define CUDA_LAUNCH(backend, name, ...)                                                            \
    (cuda_counted(backend)                                                                         \
         ? STATUS_OK                                                                               \
         : device_launched(                                                                        \
               launch_##name(cuda_stream(backend), &(struct name##_launch){__VA_ARGS__}), #name))

/* --- memory: cuda_memory.c --- */

enum status cuda_allocate(struct backend *backend, void **out, size_t bytes,
                          const char *label) MUST_USE;
void cuda_release(struct backend *backend, void *memory);
enum status cuda_grow_reserve(struct backend *backend, void **out, size_t most,
                              const char *label) MUST_USE;
enum status cuda_grow_commit(struct backend *backend, void *memory, size_t bytes) MUST_USE;
enum status cuda_upload(struct backend *backend, void *to, const void *from_host,
                        size_t bytes) MUST_USE;
enum status cuda_download(struct backend *backend, void *to_host, const void *from,
                          size_t bytes) MUST_USE;
enum status cuda_clear(struct backend *backend, void *memory, size_t bytes) MUST_USE;
enum status cuda_synchronize(struct backend *backend) MUST_USE;
void cuda_trim(struct backend *backend, const char *label); /* gives back what is kept; NULL: all */
void cuda_rehearse(struct backend *backend, bool on);
enum status cuda_outside(const struct backend *backend, int64_t *bytes) MUST_USE;
void cuda_memory_close(struct backend *backend);

/* Pieces of scratch on the device, each aligned to 256 bytes: first all are named, then taken.
 *     struct cuda_need need = {0};
 *     const size_t sums = cuda_need(&need, R * sizeof *sums), …;
 *     TRY(cuda_reserve(backend, &need));
 *     … cuda_scratch(backend, sums) …
 * They last until the next operation. */
struct cuda_need {
    size_t bytes;
};
static inline size_t cuda_need(struct cuda_need *need, int64_t bytes) {
    const size_t at = need->bytes;
    need->bytes += ((size_t)bytes + 255) / 256 * 256;
    return at;
}
enum status cuda_reserve(struct backend *backend, const struct cuda_need *need) MUST_USE;
static inline void *cuda_scratch(const struct backend *backend, size_t at) {
    return (unsigned char *)cuda_state(backend)->scratch.memory + at;
}

/* Host memory of at least so many bytes, until the next call. */
enum status cuda_host_scratch(struct backend *backend, void *pointer, size_t bytes) MUST_USE;

/* --- the operations, slot by slot as in backend.h --- */

#define X(op) enum status cuda_##op(struct backend *backend, const struct op##_args *args) MUST_USE;
BACKEND_OPERATIONS(X)
#undef X
enum status cuda_attention_prepare(struct backend *backend, struct attention_plan *plan) MUST_USE;
void cuda_attention_discard(struct backend *backend, struct attention_plan *plan);
enum status cuda_decode_prepare(struct backend *backend, struct decode_plan *plan) MUST_USE;
void cuda_decode_discard(struct backend *backend, struct decode_plan *plan);
int64_t cuda_decode_rows(const struct backend *backend, int64_t B, int64_t most);
enum status cuda_repeat(struct backend *backend, const struct decode_plan *plan, int64_t times,
                        enum status (*step)(void *context), void *context) MUST_USE;

/* Of the plan of that serial number, for so many rows; or NULL. */
const struct cuda_graph *cuda_graph_of(const struct backend *backend, int64_t plan, int64_t rows);
void cuda_graphs_close(struct backend *backend);

#endif
