/* SPDX-License-Identifier: Apache-2.0
 *
 * The cpu backend for plans: memory is booked and never touched. Operations with scratch run as far
 * as to reserve it; the others are empty.
 */
#include "backend/cpu/cpu.h"

#include "base/memory.h"

static enum status allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    (void)backend;
    return memory_pretend(out, bytes, 1, label);
}

static enum status reserve(struct backend *backend, void **out, size_t most, const char *label) {
    (void)backend, (void)most;
    return memory_pretend(out, 0, 1, label);
}

static enum status commit(struct backend *backend, void *memory, size_t bytes) {
    (void)backend;
    return memory_pretend_more(memory, bytes);
}

static int64_t decode_rows(const struct backend *backend, int64_t B, int64_t most) {
    return cpu_ops.decode_rows(backend, B, most);
}

static enum status repeat(struct backend *backend, const struct decode_plan *plan, int64_t times,
                          enum status (*step)(void *context), void *context) {
    return cpu_ops.repeat(backend, plan, times, step, context);
}

static void algorithms_get(const struct backend *backend, int64_t words[BACKEND_ALGORITHM_WORDS]) {
    cpu_ops.algorithms_get(backend, words);
}

static void algorithms_set(struct backend *backend, const int64_t words[BACKEND_ALGORITHM_WORDS]) {
    cpu_ops.algorithms_set(backend, words);
}

static enum status leave(struct backend *backend, void *to, const void *from, size_t bytes) {
    (void)backend, (void)to, (void)from, (void)bytes;
    return STATUS_OK;
}

static enum status clear(struct backend *backend, void *memory, size_t bytes) {
    (void)backend, (void)memory, (void)bytes;
    return STATUS_OK;
}

/* Operations that need no scratch. */
#define WITHOUT_SCRATCH(X)                                                                         \
    X(pack)                                                                                        \
    X(unpack)                                                                                      \
    X(embed)                                                                                       \
    X(rmsnorm)                                                                                     \
    X(rope)                                                                                        \
    X(cache_store)                                                                                 \
    X(swiglu)                                                                                      \
    X(swiglu_backward)                                                                             \
    X(gather_rows)                                                                                 \
    X(scatter_rows)                                                                                \
    X(head_block)                                                                                  \
    X(head_finish)                                                                                 \
    X(head_backward)                                                                               \
    X(distill_block)                                                                               \
    X(distill_finish)                                                                              \
    X(distill_backward)                                                                            \
    X(decode_append)                                                                               \
    X(accumulate)                                                                                  \
    X(accumulate_rows)                                                                             \
    X(resolve)                                                                                     \
    X(dot)                                                                                         \
    X(copy)                                                                                        \
    X(add)                                                                                         \
    X(lerp)                                                                                        \
    X(adamw)                                                                                       \
    X(adamw_extrapolate)

#define X(op)                                                                                      \
    static enum status plan_##op(struct backend *backend, const struct op##_args *args) {          \
        (void)backend, (void)args;                                                                 \
        return STATUS_OK;                                                                          \
    }
WITHOUT_SCRATCH(X)
#undef X

static void release(struct backend *backend, void *memory) {
    cpu_ops.release(backend, memory);
}

static void close_backend(struct backend *backend) {
    cpu_ops.close(backend);
}

static enum status synchronize(struct backend *backend) {
    (void)backend;
    return STATUS_OK;
}

static size_t weight_bytes(int64_t rows, int64_t columns, enum dtype dtype) {
    return cpu_ops.weight_bytes(rows, columns, dtype);
}

static enum dtype activations(const struct backend *backend, enum dtype weights) {
    return cpu_ops.activations(backend, weights);
}

static const struct backend_ops plan_ops = {.name = "plan of cpu",
                                            .text = "memory that is counted, nothing computed",
                                            .host_memory = true,
                                            .steps_ahead = 1,
                                            .head_columns = HEAD_BLOCK,
                                            .allocate = allocate,
                                            .release = release,
                                            .reserve = reserve,
                                            .commit = commit,
                                            .upload = leave,
                                            .download = leave,
                                            .clear = clear,
                                            .synchronize = synchronize,
                                            .close = close_backend,
                                            .weight_bytes = weight_bytes,
                                            .activations = activations,
                                            .attention_prepare = cpu_attention_prepare,
                                            .attention_discard = cpu_attention_discard,
                                            .decode_prepare = cpu_decode_prepare,
                                            .decode_discard = cpu_decode_discard,
                                            .decode_rows = decode_rows,
                                            .repeat = repeat,
                                            .algorithms_get = algorithms_get,
                                            .algorithms_set = algorithms_set,
                                            .load = cpu_load,
                                            .gemm = cpu_gemm,
                                            .gemm_dx = cpu_gemm_dx,
                                            .gemm_dw = cpu_gemm_dw,
                                            .rmsnorm_backward = cpu_rmsnorm_backward,
                                            .rope_backward = cpu_rope_backward,
                                            .attention = cpu_attention,
                                            .attention_backward = cpu_attention_backward,
                                            .attention_decode = cpu_attention_decode,
                                            .distill_top = cpu_distill_top,
                                            .sample = cpu_sample,
#define X(op) .op = plan_##op,
                                            WITHOUT_SCRATCH(X)
#undef X
};

enum status cpu_plan_open(struct backend *backend, int threads) {
    TRY(cpu_open(backend, threads));
    cpu_state(backend)->plans = true;
    backend->ops = &plan_ops;
    return STATUS_OK;
}
