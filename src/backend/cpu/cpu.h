/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the CPU backend share: the operations, the state, threads, scratch memory, and
 * the choice of the kernel that fits this machine.
 *
 * Kernels (files cpu_kernel_*.c) are written once with the vectors of simd.h and compiled once for
 * each instruction set, their names ending in it. A kernel is declared, defined and called so:
 *
 *     CPU_KERNEL_FORMS(void, cpu_kernel_square, (float *y, const float *x, int64_t n));
 *     void ISA(cpu_kernel_square)(float *y, const float *x, int64_t n) { … }
 *     CPU_CALL(backend, cpu_kernel_square, y, x, n);
 */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H

#include <float.h>
#include <math.h>

#include "backend/backend.h"

enum cpu_isa { CPU_ISA_PLAIN, CPU_ISA_AVX2, CPU_ISA_AVX512, CPU_ISA_AVX512BF16 };

#if defined(__x86_64__)
#define CPU_KERNEL_FORMS(type, name, arguments)                                                    \
    type name##_plain arguments;                                                                   \
    type name##_avx2 arguments;                                                                    \
    type name##_avx512 arguments;                                                                  \
    type name##_avx512bf16 arguments
#define CPU_KERNEL(backend, name)                                                                  \
    (cpu_state(backend)->isa == CPU_ISA_AVX512BF16 ? name##_avx512bf16                             \
     : cpu_state(backend)->isa == CPU_ISA_AVX512   ? name##_avx512                                 \
     : cpu_state(backend)->isa == CPU_ISA_AVX2     ? name##_avx2                                   \
                                                   : name##_plain)
#else
#define CPU_KERNEL_FORMS(type, name, arguments) type name##_plain arguments
#define CPU_KERNEL(backend, name)               ((void)(backend), name##_plain)
#endif
#define CPU_CALL(backend, name, ...) CPU_KERNEL(backend, name)(__VA_ARGS__)

/* Memory that an operation needs while it runs. It grows when an operation asks for more than any
 * before, and is then stable. */
struct cpu_scratch {
    void *memory;
    size_t bytes;
};

struct cpu_state {
    enum cpu_isa isa;
    bool plans;                /* memory is booked, operations are not carried out (backend_plan) */
    struct cpu_scratch shared; /* one block for all threads */
    struct cpu_scratch *threads; /* one block for each thread */
};

static inline struct cpu_state *cpu_state(const struct backend *backend) {
    return backend->state;
}

/* After an operation has reserved its scratch: whether it is to end there. */
static inline bool cpu_plans(const struct backend *backend) {
    return cpu_state(backend)->plans;
}

/* Makes sure that the shared block and the block of each thread have at least these sizes. Called
 * by an operation before it enters its threads. A block that is large enough keeps its content. */
enum status cpu_reserve(struct backend *backend, size_t shared_bytes, size_t thread_bytes) MUST_USE;

static inline void *cpu_shared(const struct backend *backend) {
    return cpu_state(backend)->shared.memory;
}

static inline void *cpu_thread(const struct backend *backend, int thread) {
    return cpu_state(backend)->threads[thread].memory;
}

/* What differences of logits are multiplied by, for the draw and the head alike. The inverse of a
 * subnormal temperature is no float; the largest float gives the same greedy draw. */
static inline float cpu_inverse_temperature(float temperature) {
    return fminf(1.0f / temperature, FLT_MAX);
}

/* Work on the half-open range [begin, end) of an operation; `thread` is 0..backend->threads-1. */
struct cpu_range {
    int64_t begin, end;
    int thread;
};

/* Cuts 0..n-1 into one contiguous range for each thread, at multiples of `grain`, and calls `work`
 * on each. Choose the grain so that one is worth a thread's wake-up (some 20,000 operations): a
 * range of one grain, and every range when there is one thread,
 * runs in the caller without OpenMP. */
void cpu_run(struct backend *backend, int64_t n, int64_t grain,
             void (*work)(const void *context, struct cpu_range range), const void *context);

/* Calls `work` on the ranges [i, i + 1) of 0..n-1; the next free thread takes the next item. For
 * items of unlike cost. `operations` is about what all items take together: few of them stay in the
 * caller. */
void cpu_run_items(struct backend *backend, int64_t n, int64_t operations,
                   void (*work)(const void *context, struct cpu_range range), const void *context);

/* The operations, slot by slot as in backend.h. */
enum status cpu_attention_prepare(struct backend *backend, struct attention_plan *plan);
void cpu_attention_discard(struct backend *backend, struct attention_plan *plan);
enum status cpu_decode_prepare(struct backend *backend, struct decode_plan *plan);
void cpu_decode_discard(struct backend *backend, struct decode_plan *plan);
enum status cpu_pack(struct backend *backend, const struct pack_args *args);
enum status cpu_load(struct backend *backend, const struct load_args *args);
enum status cpu_unpack(struct backend *backend, const struct unpack_args *args);
enum status cpu_embed(struct backend *backend, const struct embed_args *args);
enum status cpu_gemm(struct backend *backend, const struct gemm_args *args);
enum status cpu_gemm_dx(struct backend *backend, const struct gemm_dx_args *args);
enum status cpu_gemm_dw(struct backend *backend, const struct gemm_dw_args *args);
enum status cpu_rmsnorm(struct backend *backend, const struct rmsnorm_args *args);
enum status cpu_rmsnorm_backward(struct backend *backend, const struct rmsnorm_backward_args *args);
enum status cpu_rope(struct backend *backend, const struct rope_args *args);
enum status cpu_rope_backward(struct backend *backend, const struct rope_backward_args *args);
enum status cpu_attention(struct backend *backend, const struct attention_args *args);
enum status cpu_attention_backward(struct backend *backend,
                                   const struct attention_backward_args *args);
enum status cpu_cache_store(struct backend *backend, const struct cache_store_args *args);
enum status cpu_attention_decode(struct backend *backend, const struct attention_decode_args *args);
enum status cpu_swiglu(struct backend *backend, const struct swiglu_args *args);
enum status cpu_swiglu_backward(struct backend *backend, const struct swiglu_backward_args *args);
enum status cpu_gather_rows(struct backend *backend, const struct gather_rows_args *args);
enum status cpu_scatter_rows(struct backend *backend, const struct scatter_rows_args *args);
enum status cpu_head_block(struct backend *backend, const struct head_block_args *args);
enum status cpu_head_finish(struct backend *backend, const struct head_finish_args *args);
enum status cpu_head_backward(struct backend *backend, const struct head_backward_args *args);
enum status cpu_distill_top(struct backend *backend, const struct distill_top_args *args);
enum status cpu_distill_block(struct backend *backend, const struct distill_block_args *args);
enum status cpu_distill_finish(struct backend *backend, const struct distill_finish_args *args);
enum status cpu_distill_backward(struct backend *backend, const struct distill_backward_args *args);
enum status cpu_sample(struct backend *backend, const struct sample_args *args);
enum status cpu_decode_append(struct backend *backend, const struct decode_append_args *args);
enum status cpu_accumulate(struct backend *backend, const struct accumulate_args *args);
enum status cpu_accumulate_rows(struct backend *backend, const struct accumulate_rows_args *args);
enum status cpu_resolve(struct backend *backend, const struct resolve_args *args);
enum status cpu_dot(struct backend *backend, const struct dot_args *args);
enum status cpu_copy(struct backend *backend, const struct copy_args *args);
enum status cpu_add(struct backend *backend, const struct add_args *args);
enum status cpu_lerp(struct backend *backend, const struct lerp_args *args);
enum status cpu_adamw(struct backend *backend, const struct adamw_args *args);
enum status cpu_adamw_extrapolate(struct backend *backend,
                                  const struct adamw_extrapolate_args *args);

/* Log-probability and entropy of one token of a row of logits, as by head_block and head_finish. */
struct cpu_head_token {
    const float *logits; /* (V) */
    int64_t V;
    int32_t id;
    float temperature;
    float *logprob, *entropy; /* one number each = */
};
void cpu_head_token(struct backend *backend, const struct cpu_head_token *token);

/* The shift of n logits, as by head_block and head_finish. */
struct head_shift cpu_head_shift(struct backend *backend, const float *logits, int64_t n,
                                 float temperature);

/* The table, and opening with it: called by backend_open,
 * and by "check" for the backend it wraps. */
extern const struct backend_ops cpu_ops;
enum status cpu_open(struct backend *backend, int threads) MUST_USE;

/* The same for backend_plan. */
enum status cpu_plan_open(struct backend *backend, int threads) MUST_USE;

#endif
