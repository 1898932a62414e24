/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/check/check.h"

#include <string.h>

#include "backend/check/check_ops.h"
#include "backend/cpu/cpu.h"
#include "base/memory.h"

struct check_state {
    struct backend inner;
    struct check_memory memory;
};

static struct check_state *state_of(const struct backend *backend) {
    return backend->state;
}

/* --- memory --- */

static enum status allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    return check_memory_allocate(&state_of(backend)->memory, out, bytes, label);
}

static void release(struct backend *backend, void *memory) {
    check_memory_release(&state_of(backend)->memory, memory);
}

static enum status reserve(struct backend *backend, void **out, size_t most, const char *label) {
    return check_memory_reserve(&state_of(backend)->memory, out, most, label);
}

static enum status commit(struct backend *backend, void *memory, size_t bytes) {
    return check_memory_commit(&state_of(backend)->memory, memory, bytes);
}

static enum status upload(struct backend *backend, void *to, const void *from_host, size_t bytes) {
    struct check_state *state = state_of(backend);
    if (bytes == 0)
        return STATUS_OK;
    TRY(check_memory_range(&state->memory, to, bytes, "upload", "to"));
    return state->inner.ops->upload(&state->inner, to, from_host, bytes);
}

static enum status download(struct backend *backend, void *to_host, const void *from,
                            size_t bytes) {
    struct check_state *state = state_of(backend);
    if (bytes == 0)
        return STATUS_OK;
    TRY(check_memory_range(&state->memory, from, bytes, "download", "from"));
    return state->inner.ops->download(&state->inner, to_host, from, bytes);
}

static enum status clear(struct backend *backend, void *memory, size_t bytes) {
    struct check_state *state = state_of(backend);
    if (bytes == 0)
        return STATUS_OK;
    TRY(check_memory_range(&state->memory, memory, bytes, "clear", "memory"));
    return state->inner.ops->clear(&state->inner, memory, bytes);
}

static enum status synchronize(struct backend *backend) {
    struct check_state *state = state_of(backend);
    return state->inner.ops->synchronize(&state->inner);
}

static void close_backend(struct backend *backend) {
    struct check_state *state = state_of(backend);
    check_memory_close(&state->memory);
    state->inner.ops->close(&state->inner);
    memory_release(&backend->state);
}

static size_t weight_bytes(int64_t rows, int64_t columns, enum dtype dtype) {
    return cpu_ops.weight_bytes(rows, columns, dtype);
}

static enum dtype activations(const struct backend *backend, enum dtype weights) {
    const struct backend *inner = &state_of(backend)->inner;
    return inner->ops->activations(inner, weights);
}

/* Plans are the inner backend's own. */
static enum status attention_prepare(struct backend *backend, struct attention_plan *plan) {
    struct check_state *state = state_of(backend);
    return state->inner.ops->attention_prepare(&state->inner, plan);
}

static void attention_discard(struct backend *backend, struct attention_plan *plan) {
    struct check_state *state = state_of(backend);
    state->inner.ops->attention_discard(&state->inner, plan);
}

static enum status decode_prepare(struct backend *backend, struct decode_plan *plan) {
    struct check_state *state = state_of(backend);
    return state->inner.ops->decode_prepare(&state->inner, plan);
}

static void decode_discard(struct backend *backend, struct decode_plan *plan) {
    struct check_state *state = state_of(backend);
    state->inner.ops->decode_discard(&state->inner, plan);
}

/* Rows that have ended do no harm, whatever the backend. */
static int64_t decode_rows(const struct backend *backend, int64_t B, int64_t most) {
    const int64_t rows = (B + 3) / 4 * 4;
    (void)backend;
    return rows < most ? rows : most;
}

static enum status repeat(struct backend *backend, const struct decode_plan *plan, int64_t times,
                          enum status (*step)(void *context), void *context) {
    return state_of(backend)->inner.ops->repeat(backend, plan, times, step, context);
}

static void algorithms_get(const struct backend *backend, int64_t words[BACKEND_ALGORITHM_WORDS]) {
    const struct check_state *state = state_of(backend);
    state->inner.ops->algorithms_get(&state->inner, words);
}

static void algorithms_set(struct backend *backend, const int64_t words[BACKEND_ALGORITHM_WORDS]) {
    struct check_state *state = state_of(backend);
    state->inner.ops->algorithms_set(&state->inner, words);
}

/* --- operations --- */

static enum status start(struct check_state *state, const char *op, struct check_list *list) {
    *list = (struct check_list){.op = op, .memory = &state->memory, .finite = true};
    return state->memory.defect[0] == '\0' ? STATUS_OK
                                           : FAIL(STATUS_DEFECT, "%s", state->memory.defect);
}

#define X(op)                                                                                      \
    static enum status checked_##op(struct backend *backend, const struct op##_args *args) {       \
        struct check_state *state = state_of(backend);                                             \
        struct op##_args copies = *args;                                                           \
        struct check_list list;                                                                    \
        TRY(start(state, #op, &list));                                                             \
        check_list_##op(&list, &copies);                                                           \
        TRY(check_begin(&list));                                                                   \
        return check_end(&list, state->inner.ops->op(&state->inner, &copies));                     \
    }
BACKEND_OPERATIONS(X)
#undef X

static const struct backend_ops check_ops = {
    .name = "check",
    .text = "the cpu backend under guard: copies, poison, sentinels; slow, finds defects",
    .host_memory = true,
    .steps_ahead = 1,
    .head_columns = HEAD_BLOCK,
    .allocate = allocate,
    .release = release,
    .reserve = reserve,
    .commit = commit,
    .upload = upload,
    .download = download,
    .clear = clear,
    .synchronize = synchronize,
    .close = close_backend,
    .weight_bytes = weight_bytes,
    .activations = activations,
    .attention_prepare = attention_prepare,
    .attention_discard = attention_discard,
    .decode_prepare = decode_prepare,
    .decode_discard = decode_discard,
    .decode_rows = decode_rows,
    .repeat = repeat,
    .algorithms_get = algorithms_get,
    .algorithms_set = algorithms_set,
#define X(op) .op = checked_##op,
    BACKEND_OPERATIONS(X)
#undef X
};

enum status check_wrap(struct backend *backend, struct backend inner) {
    struct check_state *state = NULL;
    const enum status status = memory_new(&state, 1, "the check backend");
    if (status != STATUS_OK) {
        inner.ops->close(&inner);
        return status;
    }
    state->inner = inner;
    state->memory.inner = &state->inner;
    *backend = (struct backend){.ops = &check_ops, .state = state, .threads = inner.threads};
    return STATUS_OK;
}

enum status check_open(struct backend *backend, int threads) {
    struct backend inner;
    TRY(cpu_open(&inner, threads));
    return check_wrap(backend, inner);
}
