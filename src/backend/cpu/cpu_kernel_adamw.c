/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_kernel_adamw.h"

#include "backend/cpu/simd.h"

/* --- one step --- */

/* What one vector of elements becomes. The order of operations is that of torch.optim.AdamW. */
struct adamw_element {
    vec parameter, exp_avg, exp_avg_sq;
    vec quotient; /* the direction times correction1 */
};

SIMD struct adamw_element adamw_step(const struct cpu_adamw *args, struct adamw_element old,
                                     vec gradient) {
    const vec g = v_mul(v_mul(gradient, v_set1(args->shrink)), v_set1(args->gradient_scale));
    const vec parameter = v_mul(old.parameter, v_set1(args->keep));
    const vec m = v_fma(v_set1(args->mix1), v_sub(g, old.exp_avg), old.exp_avg);
    const vec decayed = v_mul(old.exp_avg_sq, v_set1(args->beta2));
    const vec v = v_fma(v_mul(v_set1(args->mix2), g), g, decayed);
    const vec size = v_add(v_div(v_sqrt(v), v_set1(args->root)), v_set1(args->epsilon));
    const vec quotient = v_div(m, size);
    return (struct adamw_element){.parameter =
                                      v_sub(parameter, v_mul(v_set1(args->step), quotient)),
                                  .exp_avg = m,
                                  .exp_avg_sq = v,
                                  .quotient = quotient};
}

SIMD vec direction_of(const struct cpu_adamw *args, vec quotient) {
    return v_div(quotient, v_set1(args->correction1));
}

/* `left` elements at i of a vector, at most VEC; 0 beyond. */
SIMD vec load_some(const float *p, int64_t i, int64_t left) {
    return left >= VEC ? v_load(p + i) : v_load_n(p + i, left, 0.0f);
}

SIMD void store_some(float *p, int64_t i, vec a, int64_t left) {
    if (left >= VEC)
        v_store(p + i, a);
    else
        v_store_n(p + i, a, left);
}

SIMD void adamw_vector(const struct cpu_adamw *args, int64_t i, int64_t left) {
    const struct adamw_element old = {.parameter = load_some(args->parameters, i, left),
                                      .exp_avg = load_some(args->exp_avg, i, left),
                                      .exp_avg_sq = load_some(args->exp_avg_sq, i, left)};
    const vec gradient = load_some(args->gradient, i, left);
    const struct adamw_element new = adamw_step(args, old, gradient);
    store_some(args->parameters, i, new.parameter, left);
    store_some(args->exp_avg, i, new.exp_avg, left);
    store_some(args->exp_avg_sq, i, new.exp_avg_sq, left);
    if (args->kept_parameters != NULL)
        store_some(args->kept_parameters, i, old.parameter, left);
    if (args->kept_gradient != NULL)
        store_some(args->kept_gradient, i, gradient, left);
    if (args->kept_direction != NULL)
        store_some(args->kept_direction, i, direction_of(args, new.quotient), left);
}

void ISA(cpu_kernel_adamw)(const struct cpu_adamw *args, int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + VEC <= end; i += VEC)
        adamw_vector(args, i, VEC);
    if (i < end)
        adamw_vector(args, i, end - i);
}

/* --- a step, and the place that it foretells --- */

/* Elements side by side: a row of extrapolation.h, the fp32 numbers that it is made of, and the sums
 * over the block, lane by lane. */
enum { ROW = EXTRAPOLATION_ROW };
struct lanes {
    wide_vec active, ratio_clamped, scale_clamped, ratio, ratio_square, scale, scale_most, moved,
        extended, product, changed;
};
struct numbers {
    float start[ROW], before[ROW], middle[ROW], end[ROW], gradient[ROW], direction[ROW];
};

/* The second step of a row: middle, end, gradient, direction. */
SIMD void step_row(const struct cpu_extrapolate *work, int64_t at, int64_t n, struct numbers *x) {
    const struct cpu_adamw *step = &work->step;
    for (int i = 0; i < n; i += VEC) {
        const struct adamw_element old = {.parameter = load_some(step->parameters, at + i, n - i),
                                          .exp_avg = load_some(step->exp_avg, at + i, n - i),
                                          .exp_avg_sq = load_some(step->exp_avg_sq, at + i, n - i)};
        const vec gradient = load_some(step->gradient, at + i, n - i);
        const struct adamw_element new = adamw_step(step, old, gradient);
        v_store(x->middle + i, old.parameter);
        v_store(x->end + i, new.parameter);
        v_store(x->gradient + i, gradient);
        v_store(x->direction + i, direction_of(step, new.quotient));
        if (!work->args->leaves_moments) {
            store_some(step->exp_avg, at + i, new.exp_avg, n - i);
            store_some(step->exp_avg_sq, at + i, new.exp_avg_sq, n - i);
        }
    }
}

/* Which weights the step from start to middle changes in the precision that is computed with: fp32,
 * or its upper half, to the nearest, ties to even. */
SIMD void compare_row(enum dtype working, const struct numbers *x, double *changed) {
    const uint32_t bf16 = working == DTYPE_BF16 ? 1 : 0, half = bf16 * 0x7fff,
                   mask = bf16 != 0 ? 0xffff0000u : 0xffffffffu;
    for (int i = 0; i < ROW; i++) {
        uint32_t a, b;
        memcpy(&a, &x->start[i], sizeof a);
        memcpy(&b, &x->middle[i], sizeof b);
        a = (a + half + (a >> 16 & bf16)) & mask;
        b = (b + half + (b >> 16 & bf16)) & mask;
        changed[i] = a != b ? 1.0 : 0.0;
    }
}

SIMD void fill_row(const struct cpu_extrapolate *work, int64_t at, int64_t n, struct numbers *x,
                   struct extrapolation_row *row) {
    const struct adamw_extrapolate_args *args = work->args;
    const bool directions = args->start_direction != NULL;
    const float *after = directions ? x->direction : x->gradient;
    float first[ROW] = {0};
    const double first_scale = directions ? 1 : args->start_scale,
                 second_scale = directions ? 1 : args->step.gradient_scale;
    memcpy(x->start, args->start + at, (size_t)n * sizeof *x->start);
    memcpy(x->before, args->start_gradient + at, (size_t)n * sizeof *x->before);
    memcpy(first, (directions ? args->start_direction : args->start_gradient) + at,
           (size_t)n * sizeof *first);
    for (int i = 0; i < ROW; i++) {
        row->start[i] = (double)x->start[i];
        row->end[i] = (double)x->end[i];
        row->before[i] = first_scale * (double)first[i];
        row->after[i] = second_scale * (double)after[i];
        row->size[i] = fabs((double)first[i]);
    }
}

SIMD wide_vec larger(wide_vec a, wide_vec b) {
    const wide_int where = a > b;
    return (wide_vec)(((wide_int)a & where) | ((wide_int)b & ~where));
}

/* Adds a row. changed as compare_row has it; most: the scale, of a coordinate that is there. */
SIMD void add_row(const struct extrapolation_row *row, const struct numbers *x,
                  const double *changed, const double *most, struct lanes *sums) {
#pragma GCC unroll 16
    for (int i = 0; i < ROW; i += WIDE) {
        const wide_vec moved = w_load(row->end + i) - w_load(row->start + i),
                       scale = w_load(row->scale + i), extended = scale * moved,
                       active = w_load(row->active + i), ratio = w_load(row->ratio + i),
                       counted = active * ratio;
        sums->active += active;
        sums->ratio_clamped += w_load(row->ratio_clamped + i);
        sums->scale_clamped += w_load(row->scale_clamped + i);
        sums->ratio += counted;
        sums->ratio_square += counted * ratio;
        sums->scale += scale;
        sums->scale_most = larger(w_load(most + i), sums->scale_most);
        sums->moved += moved * moved;
        sums->extended += extended * extended;
        sums->product += widen(x->before + i) * widen(x->gradient + i);
        sums->changed += w_load(changed + i);
    }
}

/* From n elements at `at` to their places; the row's numbers beyond are 0. */
SIMD void compute_row(const struct cpu_extrapolate *work, int64_t at, int64_t n, struct numbers *x,
                      struct extrapolation_row *row, double *changed) {
    float place[ROW];
    step_row(work, at, n, x);
    fill_row(work, at, n, x, row);
    extrapolation_row_compute(&work->args->how, work->args->threshold, ROW, row);
    compare_row(work->args->working, x, changed);
    for (int i = 0; i < ROW; i++)
        place[i] = (float)row->place[i];
    memcpy(work->step.parameters + at, place, (size_t)n * sizeof *place);
}

SIMD void whole_row(const struct cpu_extrapolate *work, int64_t at, struct lanes *sums) {
    struct numbers x;
    struct extrapolation_row row;
    double changed[ROW];
    compute_row(work, at, ROW, &x, &row, changed);
    add_row(&row, &x, changed, row.scale, sums);
}

/* The last of a block: what is not there counts as 0, and as no scale at all. */
static void part_row(const struct cpu_extrapolate *work, int64_t at, int64_t n,
                     struct lanes *sums) {
    struct numbers x = {.start = {0}};
    struct extrapolation_row row;
    double changed[ROW], most[ROW];
    compute_row(work, at, n, &x, &row, changed);
    memcpy(most, row.scale, sizeof most);
    for (int64_t i = n; i < ROW; i++) {
        most[i] = row.scale[0];
        row.scale[i] = row.active[i] = row.ratio_clamped[i] = row.scale_clamped[i] = 0;
    }
    add_row(&row, &x, changed, most, sums);
}

SIMD double sum_of(wide_vec lanes) {
    double sum = 0;
    for (int i = 0; i < WIDE; i++)
        sum += lanes[i];
    return sum;
}

SIMD double most_of(wide_vec lanes) {
    double most = lanes[0];
    for (int i = 1; i < WIDE; i++)
        most = lanes[i] > most ? lanes[i] : most;
    return most;
}

struct extrapolation_sums ISA(cpu_kernel_extrapolate)(const struct cpu_extrapolate *work,
                                                      int64_t begin, int64_t end) {
    struct lanes sums = {.active = {0}};
    for (int lane = 0; lane < WIDE; lane++)
        sums.scale_most[lane] = -DBL_MAX;
    int64_t at = begin;
    for (; at + ROW <= end; at += ROW)
        whole_row(work, at, &sums);
    if (at < end)
        part_row(work, at, end - at, &sums);
    return (struct extrapolation_sums){.coordinates = (double)(end - begin),
                                       .active = sum_of(sums.active),
                                       .ratio_clamped = sum_of(sums.ratio_clamped),
                                       .scale_clamped = sum_of(sums.scale_clamped),
                                       .ratio = sum_of(sums.ratio),
                                       .ratio_square = sum_of(sums.ratio_square),
                                       .scale = sum_of(sums.scale),
                                       .scale_most = most_of(sums.scale_most),
                                       .moved = sum_of(sums.moved),
                                       .extended = sum_of(sums.extended),
                                       .product = sum_of(sums.product),
                                       .changed = sum_of(sums.changed)};
}
