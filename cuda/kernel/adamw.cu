/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW (algorithms.md, section 1; Loshchilov and Hutter, arXiv 1711.05101): bound by memory, 28
 * bytes an element, 4 more for each thing kept. The order of operations is
 * that of torch.optim.AdamW. And the second fast step of GXPO with the place that it foretells: 36
 * bytes an element.
 */
#include "cuda/kernel/adamw.h"

#include "backend/backend.h"
#include "cuda/kernel/rows.cuh"

enum { ADAMW_THREADS = 256 };

struct adamw_vectors {
    float *parameters, *exp_avg, *exp_avg_sq;
    const float *gradient;
    int64_t n;
    float shrink, gradient_scale; /* their product scales the gradient */
    float keep;                   /* 1 − learning_rate · weight_decay */
    float mix1, beta2, mix2;      /* mix = 1 − beta */
    float step, root, epsilon;    /* step = learning_rate / correction1, root = √correction2 */
    float correction1;
    float *kept_parameters, *kept_gradient, *kept_direction;
};

struct adamw_element {
    float parameter, exp_avg, exp_avg_sq;
    float direction;
};

static __device__ __forceinline__ adamw_element step_of(const adamw_vectors &a, adamw_element old,
                                                        float gradient) {
    const float g = gradient * a.shrink * a.gradient_scale;
    const float m = fmaf(a.mix1, g - old.exp_avg, old.exp_avg);
    const float v = fmaf(a.mix2 * g, g, old.exp_avg_sq * a.beta2);
    const float size = sqrtf(v) / a.root + a.epsilon;
    const float quotient = m / size;
    return adamw_element{old.parameter * a.keep - a.step * quotient, m, v,
                         quotient / a.correction1};
}

template <bool ALIGNED>
static __global__ void __launch_bounds__(ADAMW_THREADS) adamw_kernel(adamw_vectors a) {
    const int64_t at = 4 * ((int64_t)blockIdx.x * ADAMW_THREADS + threadIdx.x), left = a.n - at;
    const quad gradient = read_quad<ALIGNED>(a.gradient + at, left);
    quad parameter = read_quad<ALIGNED>(a.parameters + at, left);
    quad exp_avg = read_quad<ALIGNED>(a.exp_avg + at, left);
    quad exp_avg_sq = read_quad<ALIGNED>(a.exp_avg_sq + at, left), direction;
    if (a.kept_parameters != nullptr)
        write_quad<ALIGNED>(a.kept_parameters + at, parameter, left);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const adamw_element out = step_of(
            a, adamw_element{parameter.v[i], exp_avg.v[i], exp_avg_sq.v[i], 0.0f}, gradient.v[i]);
        parameter.v[i] = out.parameter;
        exp_avg.v[i] = out.exp_avg;
        exp_avg_sq.v[i] = out.exp_avg_sq;
        direction.v[i] = out.direction;
    }
    write_quad<ALIGNED>(a.parameters + at, parameter, left);
    write_quad<ALIGNED>(a.exp_avg + at, exp_avg, left);
    write_quad<ALIGNED>(a.exp_avg_sq + at, exp_avg_sq, left);
    if (a.kept_gradient != nullptr)
        write_quad<ALIGNED>(a.kept_gradient + at, gradient, left);
    if (a.kept_direction != nullptr)
        write_quad<ALIGNED>(a.kept_direction + at, direction, left);
}

static int launch_part(void *stream, const adamw_vectors &a, bool aligned) {
    const dim3 grid = blocks_for((a.n + 3) / 4, ADAMW_THREADS), block(ADAMW_THREADS);
    return aligned ? LAUNCH(stream, adamw_kernel<true>, grid, block, 0, a)
                   : LAUNCH(stream, adamw_kernel<false>, grid, block, 0, a);
}

static adamw_vectors vectors_of(const struct adamw_launch *args) {
    const double shrink = args->gradient_scale < 0x1p-100 ? 0x1p-64 : 1;
    return adamw_vectors{args->parameters,
                         args->exp_avg,
                         args->exp_avg_sq,
                         args->gradient,
                         args->n,
                         (float)shrink,
                         (float)(args->gradient_scale / shrink),
                         (float)(1 - args->learning_rate * args->weight_decay),
                         (float)(1 - args->beta1),
                         (float)args->beta2,
                         (float)(1 - args->beta2),
                         (float)(args->learning_rate / args->correction1),
                         (float)sqrt(args->correction2),
                         (float)args->epsilon,
                         (float)args->correction1,
                         args->kept_parameters,
                         args->kept_gradient,
                         args->kept_direction};
}

template <typename T> static T *moved(T *address, int64_t n) {
    return address != nullptr ? address + n : nullptr;
}

/* The elements behind the last whole quad are a launch of their own. The scale that clips the largest
 * gradients is no normal float; two factors are. */
int launch_adamw(void *stream, const struct adamw_launch *args) {
    adamw_vectors a = vectors_of(args);
    const bool aligned = aligned_16(a.parameters, a.exp_avg, a.exp_avg_sq, a.gradient,
                                    a.kept_parameters, a.kept_gradient, a.kept_direction);
    if (!aligned || a.n % 4 == 0)
        return launch_part(stream, a, aligned);
    const int64_t whole = a.n / 4 * 4;
    adamw_vectors rest = a;
    a.n = whole;
    rest.n -= whole;
    rest.parameters += whole;
    rest.exp_avg += whole;
    rest.exp_avg_sq += whole;
    rest.gradient += whole;
    rest.kept_parameters = moved(rest.kept_parameters, whole);
    rest.kept_gradient = moved(rest.kept_gradient, whole);
    rest.kept_direction = moved(rest.kept_direction, whole);
    const int error = launch_part(stream, a, true);
    return error != 0 ? error : launch_part(stream, rest, false);
}

/* --- a step, and the place that it foretells --- */

struct extrapolate_vectors {
    adamw_vectors step;
    const float *start, *start_gradient, *start_direction;
    double start_scale, gradient_scale, threshold;
    extrapolation how;
    bool leaves_moments, rounds; /* rounds: the parameters are computed with in bf16 */
    extrapolation_sums *parts;
};

/* Four elements: fp32 as they are, and the row of extrapolation.h. */
struct extrapolate_quad {
    quad start, before, middle, gradient, exp_avg, exp_avg_sq;
    extrapolation_row row;
};

/* Whole quads at once where addresses allow it, whatever is left at the end. */
template <bool ALIGNED>
static __device__ __forceinline__ quad read_some(const float *from, int64_t left) {
    return ALIGNED && left >= 4 ? load_quad(from) : read_quad<false>(from, left);
}

template <bool ALIGNED>
static __device__ __forceinline__ void write_some(float *to, quad a, int64_t left) {
    if (ALIGNED && left >= 4)
        store_quad(to, a);
    else
        write_quad<false>(to, a, left);
}

template <bool ALIGNED>
static __device__ __forceinline__ extrapolate_quad read_elements(const extrapolate_vectors &a,
                                                                 int64_t at, int64_t left) {
    const bool directions = a.start_direction != nullptr;
    extrapolate_quad x;
    x.start = read_some<ALIGNED>(a.start + at, left);
    x.before = read_some<ALIGNED>(a.start_gradient + at, left);
    x.middle = read_some<ALIGNED>(a.step.parameters + at, left);
    x.gradient = read_some<ALIGNED>(a.step.gradient + at, left);
    x.exp_avg = read_some<ALIGNED>(a.step.exp_avg + at, left);
    x.exp_avg_sq = read_some<ALIGNED>(a.step.exp_avg_sq + at, left);
    const quad first = directions ? read_some<ALIGNED>(a.start_direction + at, left) : x.before;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const adamw_element out =
            step_of(a.step, adamw_element{x.middle.v[i], x.exp_avg.v[i], x.exp_avg_sq.v[i], 0.0f},
                    x.gradient.v[i]);
        x.exp_avg.v[i] = out.exp_avg;
        x.exp_avg_sq.v[i] = out.exp_avg_sq;
        x.row.start[i] = (double)x.start.v[i];
        x.row.end[i] = (double)out.parameter;
        x.row.before[i] = (directions ? 1.0 : a.start_scale) * (double)first.v[i];
        x.row.after[i] =
            directions ? (double)out.direction : a.gradient_scale * (double)x.gradient.v[i];
        x.row.size[i] = fabs((double)first.v[i]);
    }
    return x;
}

static __device__ __forceinline__ bool changes(bool rounds, float a, float b) {
    return rounds ? float_to_bf16(a).bits != float_to_bf16(b).bits
                  : float_to_bits(a) != float_to_bits(b);
}

static __device__ __forceinline__ void add_element(const extrapolate_quad &x, int i, bool rounds,
                                                   extrapolation_sums &sums) {
    const extrapolation_row &row = x.row;
    const double moved = row.end[i] - row.start[i], extended = row.scale[i] * moved,
                 ratio = row.active[i] * row.ratio[i];
    sums.coordinates += 1.0;
    sums.active += row.active[i];
    sums.ratio_clamped += row.ratio_clamped[i];
    sums.scale_clamped += row.scale_clamped[i];
    sums.ratio += ratio;
    sums.ratio_square += ratio * row.ratio[i];
    sums.scale += row.scale[i];
    sums.scale_most = row.scale[i] > sums.scale_most ? row.scale[i] : sums.scale_most;
    sums.moved += moved * moved;
    sums.extended += extended * extended;
    sums.product += (double)x.before.v[i] * (double)x.gradient.v[i];
    sums.changed += changes(rounds, x.start.v[i], x.middle.v[i]) ? 1.0 : 0.0;
}

/* The block's sums to its place. */
static __device__ __forceinline__ void keep_sums(const extrapolation_sums &own,
                                                 extrapolation_sums *to) {
    double *scratch = (double *)shared_memory();
    extrapolation_sums all;
    all.coordinates = block_sum(own.coordinates, scratch);
    all.active = block_sum(own.active, scratch);
    all.ratio_clamped = block_sum(own.ratio_clamped, scratch);
    all.scale_clamped = block_sum(own.scale_clamped, scratch);
    all.ratio = block_sum(own.ratio, scratch);
    all.ratio_square = block_sum(own.ratio_square, scratch);
    all.scale = block_sum(own.scale, scratch);
    all.scale_most = block_maximum(own.scale_most, scratch);
    all.moved = block_sum(own.moved, scratch);
    all.extended = block_sum(own.extended, scratch);
    all.product = block_sum(own.product, scratch);
    all.changed = block_sum(own.changed, scratch);
    if (threadIdx.x == 0)
        *to = all;
}

/* A block has EXTRAPOLATE_PART elements: enough blocks for a GPU in a tensor of moderate size. */
template <bool ALIGNED>
static __global__ void __launch_bounds__(ADAMW_THREADS) extrapolate_kernel(extrapolate_vectors a) {
    const int64_t begin = (int64_t)blockIdx.x * EXTRAPOLATE_PART;
    const int64_t end = begin + EXTRAPOLATE_PART < a.step.n ? begin + EXTRAPOLATE_PART : a.step.n;
    extrapolation_sums sums = {};
    sums.scale_most = -DBL_MAX;
    for (int64_t at = begin + 4 * threadIdx.x; at < end; at += 4 * ADAMW_THREADS) {
        const int64_t left = end - at;
        extrapolate_quad x = read_elements<ALIGNED>(a, at, left);
        quad place;
        extrapolation_row_compute(&a.how, a.threshold, 4, &x.row);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            place.v[i] = (float)x.row.place[i];
            if (i < left)
                add_element(x, i, a.rounds, sums);
        }
        write_some<ALIGNED>(a.step.parameters + at, place, left);
        if (!a.leaves_moments) {
            write_some<ALIGNED>(a.step.exp_avg + at, x.exp_avg, left);
            write_some<ALIGNED>(a.step.exp_avg_sq + at, x.exp_avg_sq, left);
        }
    }
    keep_sums(sums, &a.parts[blockIdx.x]);
}

/* A thread adds the parts of a VECTOR_BLOCK in ascending order. */
static __global__ void __launch_bounds__(ADAMW_THREADS)
    merge_sums(const extrapolation_sums *parts, int64_t count, extrapolation_sums *blocks) {
    const int64_t per_block = VECTOR_BLOCK / EXTRAPOLATE_PART;
    const int64_t block = (int64_t)blockIdx.x * ADAMW_THREADS + threadIdx.x;
    const int64_t begin = block * per_block,
                  end = begin + per_block < count ? begin + per_block : count;
    if (begin >= count)
        return;
    extrapolation_sums sum = parts[begin];
    for (int64_t p = begin + 1; p < end; p++) {
        sum.coordinates += parts[p].coordinates;
        sum.active += parts[p].active;
        sum.ratio_clamped += parts[p].ratio_clamped;
        sum.scale_clamped += parts[p].scale_clamped;
        sum.ratio += parts[p].ratio;
        sum.ratio_square += parts[p].ratio_square;
        sum.scale += parts[p].scale;
        sum.scale_most =
            parts[p].scale_most > sum.scale_most ? parts[p].scale_most : sum.scale_most;
        sum.moved += parts[p].moved;
        sum.extended += parts[p].extended;
        sum.product += parts[p].product;
        sum.changed += parts[p].changed;
    }
    blocks[block] = sum;
}

int launch_adamw_extrapolate(void *stream, const struct adamw_extrapolate_launch *args) {
    const extrapolate_vectors a = {vectors_of(&args->step),
                                   args->start,
                                   args->start_gradient,
                                   args->start_direction,
                                   args->start_scale,
                                   args->step.gradient_scale,
                                   args->threshold,
                                   args->how,
                                   args->leaves_moments,
                                   args->rounds,
                                   args->parts};
    const dim3 grid = blocks_for(a.step.n, EXTRAPOLATE_PART), block(ADAMW_THREADS);
    const size_t bytes = 32 * sizeof(double);
    const bool aligned = aligned_16((const float *)a.step.parameters, (const float *)a.step.exp_avg,
                                    (const float *)a.step.exp_avg_sq, a.step.gradient, a.start,
                                    a.start_gradient, a.start_direction);
    const int error = aligned ? LAUNCH(stream, extrapolate_kernel<true>, grid, block, bytes, a)
                              : LAUNCH(stream, extrapolate_kernel<false>, grid, block, bytes, a);
    if (error != 0)
        return error;
    return LAUNCH(stream, merge_sums,
                  blocks_for(blocks_for(a.step.n, VECTOR_BLOCK).x, ADAMW_THREADS), block, 0,
                  (const extrapolation_sums *)a.parts, (int64_t)grid.x, args->blocks);
}
