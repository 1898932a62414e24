/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding over pages: what the host has to say of the rows goes to the device once
 * (decode_prepare); then steps run there, recorded as a graph when there are several.
 */
#include "cuda/cuda.h"

#include "base/memory.h"
#include "cuda/kernel/append.h"
#include "cuda/kernel/attention_decode.h"

struct plan_state {
    struct attention_decode_block *blocks; /* on the device */
    int64_t capacity, count, rows_per_block;
};

enum status cuda_decode_prepare(struct backend *backend, struct decode_plan *plan) {
    struct attention_decode_block *blocks = NULL;
    if (plan->D > ATTENTION_HEAD_MAX)
        return FAIL(STATUS_INPUT,
                    "heads of %lld numbers are larger than the %d that attention on "
                    "the GPU takes",
                    (long long)plan->D, (int)ATTENTION_HEAD_MAX);
    if (plan->state == NULL)
        TRY(memory_allocate(&plan->state, 1, sizeof(struct plan_state), "rows being decoded"));
    struct plan_state *state = plan->state;
    if (plan->B > state->capacity) {
        void *memory = NULL;
        cuda_release(backend, state->blocks);
        state->blocks = NULL;
        state->capacity = 0;
        TRY(cuda_allocate(backend, &memory, (size_t)plan->B * sizeof *blocks,
                          "rows being decoded"));
        state->blocks = memory;
        state->capacity = plan->B;
    }
    TRY(cuda_host_scratch(backend, &blocks, (size_t)(plan->B + 1) * sizeof *blocks));
    state->rows_per_block = attention_decode_rows(plan->prompts, plan->B, plan->K,
                                                  cuda_state(backend)->facts.processors);
    state->count = attention_decode_blocks(plan->prompts, plan->B, state->rows_per_block, blocks);
    return cuda_upload(backend, state->blocks, blocks, (size_t)state->count * sizeof *blocks);
}

void cuda_decode_discard(struct backend *backend, struct decode_plan *plan) {
    struct plan_state *state = plan->state;
    if (state != NULL)
        cuda_release(backend, state->blocks);
    memory_release(&plan->state);
}

static struct cache_layer layer_of(const struct cache_pool *pool, int64_t layer) {
    return (struct cache_layer){
        .pool = pool->memory, .page_elements = pool->page_elements, .layer = layer};
}

enum status cuda_cache_store(struct backend *backend, const struct cache_store_args *args) {
    return CUDA_LAUNCH(backend, cache_store, .dtype = args->pool.dtype, .qkv = args->qkv,
                       .pages = args->pages, .slots = args->slots,
                       .cache = layer_of(&args->pool, args->layer), .B = args->B, .H = args->H,
                       .K = args->pool.K, .D = args->pool.D);
}

enum status cuda_attention_decode(struct backend *backend,
                                  const struct attention_decode_args *args) {
    const struct decode_plan *plan = args->plan;
    const struct plan_state *state = plan->state;
    return CUDA_LAUNCH(backend, attention_decode, .dtype = args->pool.dtype, .qkv = args->qkv,
                       .out = args->out, .page_numbers = args->page_numbers,
                       .prompt_begin = args->prompt_begin, .own_begin = args->own_begin,
                       .prompt_length = args->prompt_length, .own_length = args->own_length,
                       .blocks = state->blocks, .cache = layer_of(&args->pool, args->layer),
                       .block_count = state->count, .rows_per_block = state->rows_per_block,
                       .B = plan->B, .H = plan->H, .K = plan->K, .D = plan->D);
}

enum status cuda_decode_append(struct backend *backend, const struct decode_append_args *args) {
    return CUDA_LAUNCH(backend, append, .append = *args);
}

/* Records what a step puts into the stream, and plays it. The graph is kept: steps of other rows, or of
 * more or fewer, mostly have the same operations with other arguments. */
static enum status play(struct backend *backend, int64_t times, enum status (*step)(void *context),
                        void *context) {
    struct cuda_state *state = cuda_state(backend);
    struct device *device = &state->device;
    TRY(device_capture_begin(device, device->stream));
    state->records = true;
    enum status status = step(context);
    state->records = false;
    const enum status ended = device_capture_end(device, device->stream, &state->graph);
    status = status != STATUS_OK ? status : ended;
    for (int64_t i = 0; status == STATUS_OK && i < times; i++)
        status = device_graph_launch(device, state->graph, device->stream);
    return status;
}

/* The first step is done as it is, so that scratch has grown before anything is recorded. */
enum status cuda_repeat(struct backend *backend, int64_t times, enum status (*step)(void *context),
                        void *context) {
    if (times < 1)
        return STATUS_OK;
    TRY(step(context));
    if (times == 1 || cuda_plans(backend))
        return STATUS_OK;
    return play(backend, times - 1, step, context);
}
