/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention: the work lists of a packed batch, made on the host and kept on the device; decoding over
 * pages.
 */
#include "cuda/cuda.h"

#include "base/memory.h"
#include "cuda/kernel/attention_backward.h"
#include "cuda/kernel/attention_decode.h"
#include "cuda/kernel/attention_forward.h"

/* --- the plan of a batch --- */

/* One array on the device that grows. */
struct array {
    void *memory;
    size_t bytes;
};

struct plan_state {
    struct array segments, query_blocks, key_blocks;
    int64_t query_count, key_count;
};

/* A list of a batch of many short texts is longer than that of a few long ones; both are small. */
enum { LIST_BYTES = 256 << 10 };

static enum status put(struct backend *backend, struct array *array, const void *from, size_t bytes,
                       const char *label) {
    if (bytes > array->bytes) {
        const size_t twice = 2 * array->bytes, more = twice > bytes ? twice : bytes,
                     room = more > LIST_BYTES ? more : LIST_BYTES;
        cuda_release(backend, array->memory);
        *array = (struct array){.memory = NULL};
        TRY(cuda_allocate(backend, &array->memory, room, label));
        array->bytes = room;
    }
    return cuda_upload(backend, array->memory, from, bytes);
}

/* The blocks of queries or of keys, brought to the device. */
static enum status put_blocks(struct backend *backend, const struct attention_plan *plan,
                              int64_t (*list)(const struct segment *, int64_t, int64_t,
                                              struct attention_block *),
                              struct array *array, int64_t *count) {
    const int64_t G = plan->H / plan->K;
    struct attention_block *blocks = NULL;
    *count = list(plan->segments, plan->segment_count, G, NULL);
    const size_t bytes = (size_t)*count * sizeof *blocks;
    TRY(cuda_host_scratch(backend, &blocks, bytes + sizeof *blocks));
    (void)list(plan->segments, plan->segment_count, G, blocks);
    return put(backend, array, blocks, bytes, "work lists of attention");
}

enum status cuda_attention_prepare(struct backend *backend, struct attention_plan *plan) {
    if (plan->D > ATTENTION_HEAD_MAX)
        return FAIL(STATUS_INPUT,
                    "heads of %lld numbers are larger than the %d that attention on "
                    "the GPU takes",
                    (long long)plan->D, (int)ATTENTION_HEAD_MAX);
    if (plan->state == NULL)
        TRY(memory_allocate(&plan->state, 1, sizeof(struct plan_state), "work lists of attention"));
    struct plan_state *state = plan->state;
    TRY(put(backend, &state->segments, plan->segments,
            (size_t)plan->segment_count * sizeof *plan->segments, "work lists of attention"));
    TRY(put_blocks(backend, plan, attention_query_blocks, &state->query_blocks,
                   &state->query_count));
    return put_blocks(backend, plan, attention_key_blocks, &state->key_blocks, &state->key_count);
}

void cuda_attention_discard(struct backend *backend, struct attention_plan *plan) {
    struct plan_state *state = plan->state;
    cuda_release(backend, state->segments.memory);
    cuda_release(backend, state->query_blocks.memory);
    cuda_release(backend, state->key_blocks.memory);
    memory_release(&plan->state);
}

/* --- training --- */

static struct attention_forward_launch forward_of(const struct attention_args *args) {
    const struct attention_plan *plan = args->plan;
    const struct plan_state *state = plan->state;
    return (struct attention_forward_launch){.dtype = args->dtype,
                                             .qkv = args->qkv,
                                             .segments = state->segments.memory,
                                             .blocks = state->query_blocks.memory,
                                             .out = args->out,
                                             .log_sum = args->log_sum,
                                             .block_count = state->query_count,
                                             .H = plan->H,
                                             .K = plan->K,
                                             .D = plan->D};
}

enum status cuda_attention(struct backend *backend, const struct attention_args *args) {
    const struct attention_forward_launch forward = forward_of(args);
    return cuda_plans(backend)
               ? STATUS_OK
               : device_launched(launch_attention_forward(cuda_stream(backend), &forward),
                                 "attention");
}

enum status cuda_attention_backward(struct backend *backend,
                                    const struct attention_backward_args *args) {
    const struct attention_plan *plan = args->forward.plan;
    const struct plan_state *state = plan->state;
    struct cuda_need need = {0};
    const int64_t floats =
        attention_backward_floats(plan->segments, plan->segment_count, plan->H, plan->K, plan->D);
    const size_t at = cuda_need(&need, floats * (int64_t)sizeof(float));
    TRY(cuda_reserve(backend, &need));
    return CUDA_LAUNCH(backend, attention_backward, .forward = forward_of(&args->forward),
                       .key_blocks = state->key_blocks.memory, .dout = args->dout,
                       .dqkv = args->dqkv, .scratch = cuda_scratch(backend, at), .T = plan->T,
                       .key_block_count = state->key_count);
}
