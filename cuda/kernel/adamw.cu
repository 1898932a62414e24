/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW (algorithms.md, section 1; Loshchilov and Hutter, arXiv 1711.05101): bound by memory, 28
 * bytes an element. The order of operations is that of torch.optim.AdamW.
 */
#include "cuda/kernel/adamw.h"

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
};

struct adamw_element {
    float parameter, exp_avg, exp_avg_sq;
};

static __device__ __forceinline__ adamw_element step_of(const adamw_vectors &a, adamw_element old,
                                                        float gradient) {
    const float g = gradient * a.shrink * a.gradient_scale;
    const float m = fmaf(a.mix1, g - old.exp_avg, old.exp_avg);
    const float v = fmaf(a.mix2 * g, g, old.exp_avg_sq * a.beta2);
    const float size = sqrtf(v) / a.root + a.epsilon;
    return adamw_element{old.parameter * a.keep - a.step * (m / size), m, v};
}

template <bool ALIGNED>
static __global__ void __launch_bounds__(ADAMW_THREADS) adamw_kernel(adamw_vectors a) {
    const int64_t at = 4 * ((int64_t)blockIdx.x * ADAMW_THREADS + threadIdx.x), left = a.n - at;
    const quad gradient = read_quad<ALIGNED>(a.gradient + at, left);
    quad parameter = read_quad<ALIGNED>(a.parameters + at, left);
    quad exp_avg = read_quad<ALIGNED>(a.exp_avg + at, left);
    quad exp_avg_sq = read_quad<ALIGNED>(a.exp_avg_sq + at, left);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const adamw_element out =
            step_of(a, adamw_element{parameter.v[i], exp_avg.v[i], exp_avg_sq.v[i]}, gradient.v[i]);
        parameter.v[i] = out.parameter;
        exp_avg.v[i] = out.exp_avg;
        exp_avg_sq.v[i] = out.exp_avg_sq;
    }
    write_quad<ALIGNED>(a.parameters + at, parameter, left);
    write_quad<ALIGNED>(a.exp_avg + at, exp_avg, left);
    write_quad<ALIGNED>(a.exp_avg_sq + at, exp_avg_sq, left);
}

static int launch_part(void *stream, const adamw_vectors &a, bool aligned) {
    const dim3 grid = blocks_for((a.n + 3) / 4, ADAMW_THREADS), block(ADAMW_THREADS);
    return aligned ? LAUNCH(stream, adamw_kernel<true>, grid, block, 0, a)
                   : LAUNCH(stream, adamw_kernel<false>, grid, block, 0, a);
}

/* The elements behind the last whole quad are a launch of their own. The scale that clips the largest
 * gradients is no normal float; two factors are. */
int launch_adamw(void *stream, const struct adamw_launch *args) {
    const double shrink = args->gradient_scale < 0x1p-100 ? 0x1p-64 : 1;
    adamw_vectors a = {args->parameters,
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
                       (float)args->epsilon};
    const bool aligned = aligned_16(a.parameters, a.exp_avg, a.exp_avg_sq, a.gradient);
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
    const int error = launch_part(stream, a, true);
    return error != 0 ? error : launch_part(stream, rest, false);
}
