/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* --- memory --- */

static enum status allocate(struct backend *backend, void **out, size_t bytes, const char *label) {
    (void)backend;
    return memory_allocate(out, bytes, 1, label);
}

static void release(struct backend *backend, void *memory) {
    (void)backend;
    memory_release(&memory);
}

static enum status reserve(struct backend *backend, void **out, size_t most, const char *label) {
    (void)backend;
    return memory_reserve(out, most, label);
}

static enum status commit(struct backend *backend, void *memory, size_t bytes) {
    (void)backend;
    return memory_commit(memory, bytes);
}

static enum status copy(struct backend *backend, void *to, const void *from, size_t bytes) {
    (void)backend;
    if (bytes > 0)
        memcpy(to, from, bytes);
    return STATUS_OK;
}

static enum status clear(struct backend *backend, void *memory, size_t bytes) {
    (void)backend;
    if (bytes > 0)
        memset(memory, 0, bytes);
    return STATUS_OK;
}

static enum status synchronize(struct backend *backend) {
    (void)backend;
    return STATUS_OK;
}

static size_t weight_bytes(int64_t rows, int64_t columns, enum dtype dtype) {
    const int64_t panels = (rows + WEIGHT_PANEL - 1) / WEIGHT_PANEL;
    const bool held = dtype == DTYPE_F32 || (dtype == DTYPE_BF16 && columns % 2 == 0);
    return held ? (size_t)(panels * WEIGHT_PANEL * columns) * dtype_bytes(dtype) : 0;
}

static enum dtype activations(const struct backend *backend, enum dtype weights) {
    (void)backend, (void)weights;
    return DTYPE_F32;
}

static int64_t decode_rows(const struct backend *backend, int64_t B, int64_t most) {
    (void)backend;
    (void)most;
    return B;
}

static enum status repeat(struct backend *backend, const struct decode_plan *plan, int64_t times,
                          enum status (*step)(void *context), void *context) {
    (void)backend;
    (void)plan;
    for (int64_t i = 0; i < times; i++)
        TRY(step(context));
    return STATUS_OK;
}

/* The CPU's products are its own, and always the same. */
static void algorithms_get(const struct backend *backend, int64_t words[BACKEND_ALGORITHM_WORDS]) {
    (void)backend;
    memset(words, 0, BACKEND_ALGORITHM_WORDS * sizeof *words);
}

static void algorithms_set(struct backend *backend, const int64_t words[BACKEND_ALGORITHM_WORDS]) {
    (void)backend, (void)words;
}

/* --- scratch --- */

static enum status scratch_reserve(const struct cpu_state *state, struct cpu_scratch *scratch,
                                   size_t bytes) {
    if (bytes <= scratch->bytes)
        return STATUS_OK;
    memory_release(&scratch->memory);
    scratch->bytes = 0;
    TRY((state->plans ? memory_pretend : memory_allocate)(&scratch->memory, bytes, 1,
                                                          "scratch of the cpu backend"));
    scratch->bytes = bytes;
    return STATUS_OK;
}

enum status cpu_reserve(struct backend *backend, size_t shared_bytes, size_t thread_bytes) {
    struct cpu_state *state = cpu_state(backend);
    TRY(scratch_reserve(state, &state->shared, shared_bytes));
    for (int i = 0; i < backend->threads; i++)
        TRY(scratch_reserve(state, &state->threads[i], thread_bytes));
    return STATUS_OK;
}

/* --- threads --- */

void cpu_run(struct backend *backend, int64_t n, int64_t grain,
             void (*work)(const void *context, struct cpu_range range), const void *context) {
    const int64_t grains = (n + grain - 1) / grain;
    const int count = (int)(grains < backend->threads ? grains : backend->threads);
    if (cpu_plans(backend))
        return;
    if (count <= 1) {
        if (n > 0)
            work(context, (struct cpu_range){0, n, 0});
        return;
    }
#pragma omp parallel num_threads(count)
    {
        /* Fewer threads than asked for may come: the shares are those of the threads that did. */
        const int64_t team = omp_get_num_threads(), thread = omp_get_thread_num();
        const int64_t begin = grains * thread / team * grain;
        const int64_t end = grains * (thread + 1) / team * grain;
        if (begin < n && begin < end)
            work(context, (struct cpu_range){begin, end < n ? end : n, (int)thread});
    }
}

enum { WORTH_A_THREAD = 100000 };

void cpu_run_items(struct backend *backend, int64_t n, int64_t operations,
                   void (*work)(const void *context, struct cpu_range range), const void *context) {
    const int64_t worth = operations / WORTH_A_THREAD, most = n < worth ? n : worth;
    const int count = (int)(most < backend->threads ? most : backend->threads);
    if (cpu_plans(backend))
        return;
    if (count <= 1) {
        for (int64_t i = 0; i < n; i++)
            work(context, (struct cpu_range){i, i + 1, 0});
        return;
    }
    if (n == count) { /* one for each, always the same: what it reads lies near it */
#pragma omp parallel for num_threads(count) schedule(static, 1)
        for (int64_t i = 0; i < n; i++)
            work(context, (struct cpu_range){i, i + 1, omp_get_thread_num()});
        return;
    }
#pragma omp parallel for num_threads(count) schedule(dynamic, 1)
    for (int64_t i = 0; i < n; i++)
        work(context, (struct cpu_range){i, i + 1, omp_get_thread_num()});
}

/* --- opening --- */

/* The best instruction set of this processor, or the one that the environment asks for. */
static enum status choose_isa(enum cpu_isa *isa) {
    static const char *const names[] = {"plain", "avx2", "avx512", "avx512bf16"};
    enum cpu_isa best = CPU_ISA_PLAIN;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        best = CPU_ISA_AVX2;
    if (best == CPU_ISA_AVX2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        best = CPU_ISA_AVX512;
    if (best == CPU_ISA_AVX512 && __builtin_cpu_supports("avx512bf16"))
        best = CPU_ISA_AVX512BF16;
#endif
    *isa = best;
    const char *wanted = getenv("GRADUS_ISA");
    if (wanted == NULL)
        return STATUS_OK;
    for (int i = 0; i <= (int)best; i++)
        if (strcmp(wanted, names[i]) == 0) {
            *isa = (enum cpu_isa)i;
            return STATUS_OK;
        }
    char quoted[STATUS_QUOTE_MAX];
    return FAIL(
        STATUS_INPUT,
        "GRADUS_ISA is \"%s\", but this processor's best of plain, avx2, avx512, avx512bf16 is %s",
        status_quote(quoted, wanted, SIZE_MAX), names[best]);
}

enum status cpu_open(struct backend *backend, int threads) {
    enum cpu_isa isa;
    TRY(choose_isa(&isa));
    struct cpu_state *state = NULL;
    TRY(memory_new(&state, 1, "the cpu backend"));
    *backend = (struct backend){
        .ops = &cpu_ops, .state = state, .threads = threads > 0 ? threads : omp_get_num_procs()};
    state->isa = isa;
    TRY(memory_new(&state->threads, backend->threads, "threads of the cpu backend"));
    return STATUS_OK;
}

static void close_backend(struct backend *backend) {
    struct cpu_state *state = cpu_state(backend);
    memory_release(&state->shared.memory);
    for (int i = 0; state->threads != NULL && i < backend->threads; i++)
        memory_release(&state->threads[i].memory);
    memory_release(&state->threads);
    memory_release(&backend->state);
}

const struct backend_ops cpu_ops = {
    .name = "cpu",
    .text = "host memory; kernels for AVX-512, AVX2 and plain C, threads by OpenMP",
    .host_memory = true,
    .steps_ahead = 1,
    .head_columns = HEAD_BLOCK,
    .allocate = allocate,
    .release = release,
    .reserve = reserve,
    .commit = commit,
    .upload = copy,
    .download = copy,
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
    .pack = cpu_pack,
    .load = cpu_load,
    .unpack = cpu_unpack,
    .embed = cpu_embed,
    .gemm = cpu_gemm,
    .gemm_dx = cpu_gemm_dx,
    .gemm_dw = cpu_gemm_dw,
    .rmsnorm = cpu_rmsnorm,
    .rmsnorm_backward = cpu_rmsnorm_backward,
    .rope = cpu_rope,
    .rope_backward = cpu_rope_backward,
    .attention = cpu_attention,
    .attention_backward = cpu_attention_backward,
    .cache_store = cpu_cache_store,
    .attention_decode = cpu_attention_decode,
    .swiglu = cpu_swiglu,
    .swiglu_backward = cpu_swiglu_backward,
    .gather_rows = cpu_gather_rows,
    .scatter_rows = cpu_scatter_rows,
    .head_block = cpu_head_block,
    .head_finish = cpu_head_finish,
    .head_backward = cpu_head_backward,
    .distill_top = cpu_distill_top,
    .distill_block = cpu_distill_block,
    .distill_finish = cpu_distill_finish,
    .distill_backward = cpu_distill_backward,
    .sample = cpu_sample,
    .decode_append = cpu_decode_append,
    .accumulate = cpu_accumulate,
    .accumulate_rows = cpu_accumulate_rows,
    .resolve = cpu_resolve,
    .dot = cpu_dot,
    .copy = cpu_copy,
    .add = cpu_add,
    .lerp = cpu_lerp,
    .adamw = cpu_adamw,
    .adamw_extrapolate = cpu_adamw_extrapolate,
};
