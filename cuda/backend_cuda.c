/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/backend_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cuda/cuda.h"
#include "cuda/reducers.h"

/* --- which GPU --- */

/* How launchers tell a process its number among those of its node, and how many they are. */
static const struct {
    const char *rank, *size;
} launchers[] = {{"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
                 {"MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
                 {"PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE"},
                 {"MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"},
                 {"SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"}};

static int number_of(const char *variable) {
    const char *text = getenv(variable);
    char *end;
    if (text == NULL || *text == 0)
        return -1;
    const long value = strtol(text, &end, 10);
    return *end == 0 && value >= 0 && value < 1 << 16 ? (int)value : -1;
}

enum status cuda_choose(int local_rank, int local_size, int visible, int *index) {
    *index = 0;
    if (visible <= 1 || local_rank < 0)
        return STATUS_OK;
    if (local_rank >= visible)
        return FAIL(STATUS_INPUT,
                    "this node has %d ranks but shows %d GPUs: rank %d of the node has none; start "
                    "one rank for each GPU",
                    local_size > local_rank ? local_size : local_rank + 1, visible, local_rank);
    *index = local_rank;
    return STATUS_OK;
}

static enum status open_device(struct cuda_state *state) {
    int visible, index, rank = -1, size = -1;
    TRY(device_count(&visible));
    if (visible == 0)
        return FAIL(STATUS_INPUT, "this process sees no GPU; look at nvidia-smi, at what the job "
                                  "asked for, and at CUDA_VISIBLE_DEVICES");
    for (size_t i = 0; rank < 0 && i < sizeof launchers / sizeof *launchers; i++) {
        rank = number_of(launchers[i].rank);
        size = number_of(launchers[i].size);
    }
    TRY(cuda_choose(rank, size, visible, &index));
    TRY(device_open(&state->device, index));
    TRY(device_facts(&state->device, &state->facts));
    return blas_open(&state->blas);
}

/* --- the table --- */

static size_t weight_bytes(int64_t rows, int64_t columns, enum dtype dtype) {
    const bool held = dtype == DTYPE_F32 || dtype == DTYPE_BF16;
    return held ? (size_t)(rows * columns) * dtype_bytes(dtype) : 0;
}

static enum dtype activations(const struct backend *backend, enum dtype weights) {
    (void)backend;
    return weights;
}

static void algorithms_get(const struct backend *backend, int64_t words[BACKEND_ALGORITHM_WORDS]) {
    if (cuda_plans(backend))
        memset(words, 0, BACKEND_ALGORITHM_WORDS * sizeof *words);
    else
        blas_choices(&cuda_state(backend)->blas, words);
}

/* Which way the products go is tried again with what is chosen now. */
static void algorithms_set(struct backend *backend, const int64_t words[BACKEND_ALGORITHM_WORDS]) {
    struct cuda_state *state = cuda_state(backend);
    if (state->plans)
        return;
    state->ways.count = 0;
    blas_choose(&state->blas, words);
}

static void close_backend(struct backend *backend) {
    struct cuda_state *state = cuda_state(backend);
    if (state == NULL)
        return;
    cuda_memory_close(backend);
    if (!state->plans) {
        blas_close(&state->blas);
        device_close(&state->device);
    }
    memory_release(&backend->state);
}

#ifdef GRADUS_CUDA_ON_HOST
#define TEXT "the CUDA backend's own kernels, run on the host in place of a GPU: slow, for tests"
#else
#define TEXT "one NVIDIA GPU for each rank; products by cuBLASLt and own kernels"
#endif

/* So many that the head's products come near to the speed of large ones, and a step of 16384 rows
 * keeps 1 GiB of logits; gradus bench head shows what other widths give. */
enum { HEAD_COLUMNS = 16 * HEAD_BLOCK };

static const struct backend_ops cuda_ops = {.name = "cuda",
                                            .text = TEXT,
                                            .allocate = cuda_allocate,
                                            .release = cuda_release,
                                            .reserve = cuda_grow_reserve,
                                            .commit = cuda_grow_commit,
                                            .upload = cuda_upload,
                                            .download = cuda_download,
                                            .clear = cuda_clear,
                                            .synchronize = cuda_synchronize,
                                            .steps_ahead = 32,
                                            .head_columns = HEAD_COLUMNS,
                                            .close = close_backend,
                                            .weight_bytes = weight_bytes,
                                            .activations = activations,
                                            .attention_prepare = cuda_attention_prepare,
                                            .attention_discard = cuda_attention_discard,
                                            .decode_prepare = cuda_decode_prepare,
                                            .decode_discard = cuda_decode_discard,
                                            .decode_rows = cuda_decode_rows,
                                            .repeat = cuda_repeat,
                                            .rehearse = cuda_rehearse,
                                            .outside = cuda_outside,
                                            .open_reducer = cuda_open_reducer,
                                            .algorithms_get = algorithms_get,
                                            .algorithms_set = algorithms_set,
#define X(op) .op = cuda_##op,
                                            BACKEND_OPERATIONS(X)
#undef X
};

static enum status open_as(struct backend *backend, bool plans) {
    struct cuda_state *state = NULL;
    TRY(memory_new(&state, 1, "the cuda backend"));
    state->plans = plans;
    state->facts.processors = 1;
    *backend = (struct backend){.ops = &cuda_ops, .state = state, .threads = 1};
    return plans ? STATUS_OK : open_device(state);
}

static void name_device(struct backend *backend) {
    const struct device_facts *facts = &cuda_state(backend)->facts;
    char node[32] = "";
    if (facts->uuid[0] == '\0')
        return;
    if (facts->numa_node >= 0)
        snprintf(node, sizeof node, ", NUMA node %d", facts->numa_node);
    snprintf(backend->device, sizeof backend->device, "%s, %s, PCI %s%s", facts->name, facts->uuid,
             facts->pci, node);
    snprintf(backend->kind, sizeof backend->kind, "%s, compute capability %d.%d", facts->name,
             facts->major, facts->minor);
}

static enum status open_cuda(struct backend *backend, int threads) {
    (void)threads; /* the host's; the GPU has its own */
    TRY(open_as(backend, false));
    name_device(backend);
    return STATUS_OK;
}

static enum status plan_cuda(struct backend *backend, int threads) {
    (void)threads;
    return open_as(backend, true);
}

const struct backend_choice cuda_backend = {.name = "cuda", .open = open_cuda, .plan = plan_cuda};
