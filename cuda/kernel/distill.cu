/* SPDX-License-Identifier: Apache-2.0
 *
 * Distillation on blocks of logits; the equations stand in src/backend/divergence.h. A warp has one
 * HEAD_BLOCK of a row of both models; a thread for each row then adds the sums of its blocks in
 * ascending order. The teacher's top entries are found by a block of threads for each row.
 */
#include "cuda/kernel/distill.h"

#include "backend/logit_order.h"
#include "cuda/kernel/head_merge.cuh"
#include "cuda/kernel/shared_sums.cuh"

#define DIVERGENCE_ENTRY
#define DIVERGENCE_FUNCTION            static __device__ __forceinline__
#define DIVERGENCE_NUMBER              float
#define DIVERGENCE_TRUTH               bool
#define DIVERGENCE_SET(x)              (x)
#define DIVERGENCE_CHOOSE(where, a, b) ((where) ? (a) : (b))
#define DIVERGENCE_EXP(x)              expf(x)
#define DIVERGENCE_EXP_BOTH(x, e, m)   ((e) = expf(x), (m) = expm1f(x))
#define DIVERGENCE_LOG1P(x)            log1pf(x)
#include "backend/divergence.h"

enum { DISTILL_THREADS = 256, DISTILL_WARPS = DISTILL_THREADS / 32 };

/* --- entries --- */

/* What the entries of a row have in common. */
struct entry_row {
    head_shift student, teacher;
    float least, scale;
    int32_t last;
};

static __device__ __forceinline__ entry_row entry_row_of(const distill_logits &a, int64_t r,
                                                         float scale) {
    if (a.top == nullptr)
        return entry_row{a.student_shift[r], a.teacher_shift[r], 0.0f, scale, 0};
    const distill_top top = a.top[r];
    return entry_row{top.student, top.teacher, top.least, scale, top.last};
}

/* A few steps above −∞, so that the difference of two stays a number; a NaN stays one. */
static __device__ __forceinline__ float log_p(float z, head_shift shift, float scale) {
    const float exact = fmaf(z - shift.max, scale, -shift.log_sum);
    return exact < -1e30f ? -1e30f : exact;
}

/* Value, probability and pull are 0 where an entry does not count. */
template <divergence D, bool TOP>
static __device__ __forceinline__ divergence_entry entry_of(const entry_row &row, float beta,
                                                            float clip, float student,
                                                            float teacher, int64_t id) {
    const divergence_rule rule = {D, beta, clip};
    if (TOP && !(teacher > row.least || (teacher == row.least && id <= row.last)))
        return divergence_entry{0.0f, 0.0f, 0.0f, false};
    return divergence_entry_of(&rule, log_p(student, row.student, row.scale),
                               log_p(teacher, row.teacher, row.scale));
}

/* CALL(divergence, TOP, ALIGNED): the one of twelve. */
#define WITH_LAYOUT(CALL, D, top, aligned)                                                         \
    ((top) ? ((aligned) ? CALL(D, true, true) : CALL(D, true, false))                              \
           : ((aligned) ? CALL(D, false, true) : CALL(D, false, false)))
#define WITH_DIVERGENCE(CALL, divergence, top, aligned)                                            \
    ((divergence) == DIVERGENCE_FORWARD_KL                                                         \
         ? WITH_LAYOUT(CALL, DIVERGENCE_FORWARD_KL, top, aligned)                                  \
     : (divergence) == DIVERGENCE_REVERSE_KL                                                       \
         ? WITH_LAYOUT(CALL, DIVERGENCE_REVERSE_KL, top, aligned)                                  \
         : WITH_LAYOUT(CALL, DIVERGENCE_JSD, top, aligned))

/* Whether the rows, and those of `out` unless NULL, can be read by quads. */
static bool aligned(const distill_logits &a, const void *out) {
    return a.columns % 4 == 0 &&
           rows_aligned(a.ld, (const void *)a.student, (const void *)a.teacher, out);
}

static float clip_of(const distill_settings &settings) {
    return settings.clip > 0.0f && !settings.clip_tokens ? settings.clip : INFINITY;
}

/* --- sums --- */

struct distill_sums_args {
    distill_logits logits;
    distill_sums *sums;
    uint32_t blocks; /* of a row */
    float scale, beta, clip;
};

/* No id: larger than any. */
enum { NO_ID = 0x7fffffff };

template <divergence D, bool TOP>
static __device__ __forceinline__ void add_entry(const distill_sums_args &a, const entry_row &row,
                                                 float student, float teacher, int64_t id,
                                                 distill_sums *sums) {
    const divergence_entry e = entry_of<D, TOP>(row, a.beta, a.clip, student, teacher, id);
    sums->divergence += e.value;
    sums->loss += e.clipped ? a.clip : e.value;
    sums->pull += e.pull;
    sums->clipped += e.clipped ? 1 : 0;
}

static __device__ __forceinline__ void note_best(int32_t *best, float z, float max, int64_t id) {
    if (z == max && id < *best)
        *best = (int32_t)id;
}

static __device__ __forceinline__ distill_sums warp_sums(const distill_sums &own) {
    const int32_t student = -warp_maximum(-own.student_best),
                  teacher = -warp_maximum(-own.teacher_best);
    return distill_sums{warp_sum(own.divergence),
                        warp_sum(own.loss),
                        warp_sum(own.pull),
                        warp_sum(own.clipped),
                        student,
                        teacher};
}

template <divergence D, bool TOP, bool ALIGNED>
static __global__ void __launch_bounds__(DISTILL_THREADS) sums_kernel(distill_sums_args a) {
    const uint32_t i = blockIdx.x * DISTILL_WARPS + (uint32_t)warp_index(), r = i / a.blocks;
    const distill_logits &logits = a.logits;
    if (r >= logits.R)
        return;
    const int64_t first = (int64_t)(i % a.blocks) * HEAD_BLOCK;
    const float *student = logits.student + r * logits.ld,
                *teacher = logits.teacher + r * logits.ld;
    const entry_row row = entry_row_of(logits, r, a.scale);
    const float student_max = logits.student_shift[r].max,
                teacher_max = logits.teacher_shift[r].max;
    distill_sums own = {0.0f, 0.0f, 0.0f, 0, NO_ID, NO_ID};
#pragma unroll 2
    for (int q = 0; q < HEAD_BLOCK / 128; q++) {
        const int64_t c = first + 4 * (lane_index() + 32 * q), left = logits.columns - c;
        const quad s = read_quad<ALIGNED>(student + c, left),
                   t = read_quad<ALIGNED>(teacher + c, left);
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (k < left) {
                const int64_t id = logits.begin + c + k;
                add_entry<D, TOP>(a, row, s.v[k], t.v[k], id, &own);
                note_best(&own.student_best, s.v[k], student_max, id);
                note_best(&own.teacher_best, t.v[k], teacher_max, id);
            }
    }
    const distill_sums sums = warp_sums(own);
    if (lane_index() == 0)
        a.sums[i] = sums;
}

static __device__ __forceinline__ int32_t earlier(int32_t best, int32_t found) {
    return best >= 0 || found == NO_ID ? best : found;
}

static __global__ void __launch_bounds__(DISTILL_THREADS) merge_kernel(distill_block_launch a) {
    const int64_t r = (int64_t)blockIdx.x * DISTILL_THREADS + threadIdx.x;
    if (r >= a.logits.R)
        return;
    const int64_t count = (a.logits.columns + HEAD_BLOCK - 1) / HEAD_BLOCK;
    distill_row row = a.logits.begin > 0 ? a.rows[r] : distill_row{0.0, 0.0, 0.0, 0, -1, -1};
    for (int64_t i = 0; i < count; i++) {
        const distill_sums sums = a.sums[r * count + i];
        row.divergence += (double)sums.divergence;
        row.loss += (double)sums.loss;
        row.pull += (double)sums.pull;
        row.clipped += sums.clipped;
        row.student_best = earlier(row.student_best, sums.student_best);
        row.teacher_best = earlier(row.teacher_best, sums.teacher_best);
    }
    a.rows[r] = row;
}

int launch_distill_block(void *stream, const struct distill_block_launch *args) {
    const distill_sums_args a = {args->logits,
                                 args->sums,
                                 (uint32_t)head_sums_of(args->logits.columns),
                                 inverse_temperature(args->settings.temperature),
                                 args->settings.beta,
                                 clip_of(args->settings)};
    const dim3 grid = blocks_for(a.logits.R * a.blocks, DISTILL_WARPS), block(DISTILL_THREADS);
#define CALL(D, TOP, ALIGNED) LAUNCH(stream, sums_kernel<D, TOP, ALIGNED>, grid, block, 0, a)
    const int error = WITH_DIVERGENCE(CALL, args->settings.divergence, a.logits.top != nullptr,
                                      aligned(a.logits, nullptr));
#undef CALL
    if (error != 0)
        return error;
    return LAUNCH(stream, merge_kernel, blocks_for(a.logits.R, DISTILL_THREADS), block, 0, *args);
}

static __global__ void __launch_bounds__(DISTILL_THREADS) finish_kernel(distill_finish_launch a) {
    const int64_t r = (int64_t)blockIdx.x * DISTILL_THREADS + threadIdx.x;
    if (r >= a.R)
        return;
    const bool clips = a.settings.clip > 0.0f && a.settings.clip_tokens;
    const distill_row row = a.rows[r];
    const bool clipped = clips && row.divergence >= (double)a.settings.clip;
    a.divergence[r] = (float)row.divergence;
    a.loss[r] = clipped ? a.settings.clip : (float)row.loss;
    a.clipped[r] = clips ? (int32_t)clipped : (int32_t)row.clipped;
    a.agreement[r] = row.student_best == row.teacher_best ? 1 : 0;
    a.slope[r] = distill_slope{(float)row.pull, clipped ? 0.0f : 1.0f};
    if (a.settings.sampled) {
        a.divergence[r] = a.logprob[r] - a.logprob_teacher[r];
        a.loss[r] = a.divergence[r] * a.logprob[r];
        a.clipped[r] = 0;
    }
}

int launch_distill_finish(void *stream, const struct distill_finish_launch *args) {
    return LAUNCH(stream, finish_kernel, blocks_for(args->R, DISTILL_THREADS),
                  dim3(DISTILL_THREADS), 0, *args);
}

/* --- the gradient --- */

enum { GRADIENT_QUADS = 4, GRADIENT_COLUMNS = 4 * DISTILL_THREADS * GRADIENT_QUADS };

/* Blocks of GRADIENT_COLUMNS of a row. */
template <typename T, divergence D, bool TOP, bool ALIGNED>
static __global__ void __launch_bounds__(DISTILL_THREADS)
    gradient_kernel(distill_backward_launch a, uint32_t tiles, float scale, float clip) {
    const distill_logits &logits = a.logits;
    const uint32_t r = blockIdx.x / tiles;
    const int64_t first = (int64_t)(blockIdx.x % tiles) * GRADIENT_COLUMNS + 4 * threadIdx.x;
    const entry_row row = entry_row_of(logits, r, scale);
    const float factor = scale * a.weight[r], sum = a.slope[r].pull;
    const bool open = a.slope[r].open > 0.0f;
    const float *student = logits.student + r * logits.ld,
                *teacher = logits.teacher + r * logits.ld;
    T *out = (T *)a.out + r * logits.ld;
#pragma unroll 2
    for (int i = 0; i < GRADIENT_QUADS; i++) {
        const int64_t c = first + i * 4 * DISTILL_THREADS, left = logits.columns - c;
        quad s = read_quad<ALIGNED>(student + c, left);
        const quad t = read_quad<ALIGNED>(teacher + c, left);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const divergence_entry e =
                entry_of<D, TOP>(row, a.settings.beta, clip, s.v[k], t.v[k], logits.begin + c + k);
            s.v[k] = open ? factor * (e.pull - e.student * sum) : 0.0f;
        }
        write_quad<ALIGNED>(out + c, s, left);
    }
}

template <typename T> static int launch_gradient(void *stream, const distill_backward_launch &a) {
    const uint32_t tiles = (uint32_t)((a.logits.columns + GRADIENT_COLUMNS - 1) / GRADIENT_COLUMNS);
    const float scale = inverse_temperature(a.settings.temperature), clip = clip_of(a.settings);
    const dim3 grid((unsigned)(a.logits.R * tiles)), block(DISTILL_THREADS);
#define CALL(D, TOP, ALIGNED)                                                                      \
    LAUNCH(stream, gradient_kernel<T, D, TOP, ALIGNED>, grid, block, 0, a, tiles, scale, clip)
    return WITH_DIVERGENCE(CALL, a.settings.divergence, a.logits.top != nullptr,
                           aligned(a.logits, a.out));
#undef CALL
}

int launch_distill_backward(void *stream, const struct distill_backward_launch *args) {
    return args->dtype == DTYPE_BF16 ? launch_gradient<bf16>(stream, *args)
                                     : launch_gradient<float>(stream, *args);
}

/* --- the teacher's top entries --- */

/* Shared memory of a row. */
struct top_space {
    uint32_t counts[256];
    double sums[32];
    float maxima[32];
};

/* The k-th largest key of a row, byte by byte from the highest. */
static __device__ __forceinline__ uint64_t kth_largest(const float *z, int64_t V, uint32_t k,
                                                       top_space *space) {
    uint64_t known = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        __syncthreads();
        for (int i = thread_index(); i < 256; i += DISTILL_THREADS)
            space->counts[i] = 0;
        __syncthreads();
        for (int64_t v = thread_index(); v < V; v += DISTILL_THREADS) {
            const uint64_t key = logit_key(z[v], (int32_t)v);
            if (shift == 56 || key >> (shift + 8) == known >> (shift + 8))
                add_shared(&space->counts[key >> shift & 255], 1);
        }
        __syncthreads();
        int digit = 255;
        for (; space->counts[digit] < k; digit--)
            k -= space->counts[digit];
        known |= (uint64_t)digit << shift;
    }
    return known;
}

/* The shift of the entries of `of` whose teacher's key is not below `last`. */
static __device__ __forceinline__ head_shift shift_of(const float *of, const float *teacher,
                                                      int64_t V, uint64_t last, float scale,
                                                      top_space *space) {
    float max = -INFINITY;
    double sum = 0.0;
    for (int64_t v = thread_index(); v < V; v += DISTILL_THREADS)
        if (logit_key(teacher[v], (int32_t)v) >= last)
            max = larger(max, of[v]);
    max = block_maximum(max, space->maxima);
    for (int64_t v = thread_index(); v < V; v += DISTILL_THREADS)
        if (logit_key(teacher[v], (int32_t)v) >= last)
            sum += (double)expf((of[v] - max) * scale);
    return head_shift{max, (float)log(block_sum(sum, space->sums))};
}

static __global__ void __launch_bounds__(DISTILL_THREADS)
    top_kernel(distill_top_launch a, float scale) {
    top_space *space = (top_space *)shared_memory();
    const int64_t r = blockIdx.x;
    const float *student = a.student + r * a.ld, *teacher = a.teacher + r * a.ld;
    const uint64_t last = kth_largest(teacher, a.V, (uint32_t)a.k, space);
    const head_shift student_shift = shift_of(student, teacher, a.V, last, scale, space);
    const head_shift teacher_shift = shift_of(teacher, teacher, a.V, last, scale, space);
    const int32_t id = logit_key_id(last);
    if (thread_index() == 0)
        a.top[r] = distill_top{teacher[id], id, student_shift, teacher_shift};
}

int launch_distill_top(void *stream, const struct distill_top_launch *args) {
    return LAUNCH(stream, top_kernel, dim3((unsigned)args->R), dim3(DISTILL_THREADS),
                  sizeof(top_space), *args, inverse_temperature(args->temperature));
}
