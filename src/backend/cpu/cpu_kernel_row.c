/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_kernel_row.h"

#include "backend/cpu/simd.h"

/* Sums run in CHAINS vectors side by side: vector number i goes to chain i mod CHAINS. */
enum { CHAINS = 4 };

/* The vector at p when `left` floats remain there; lanes beyond them read as `rest`. */
SIMD vec load(const float *p, int64_t left, float rest) {
    return left >= VEC ? v_load(p) : v_load_n(p, left, rest);
}

SIMD void store(float *p, vec a, int64_t left) {
    if (left >= VEC)
        v_store(p, a);
    else
        v_store_n(p, a, left);
}

/* The first `left` lanes, zeros behind them. */
SIMD vec keep(vec a, int64_t left) {
    if (left >= VEC)
        return a;
    float lanes[VEC];
    v_store(lanes, a);
    return v_load_n(lanes, left, 0.0f);
}

SIMD float add_chains(const vec *chains) {
    return v_sum(v_add(v_add(chains[0], chains[1]), v_add(chains[2], chains[3])));
}

float ISA(cpu_kernel_inverse_rms)(const float *x, int64_t n, float epsilon) {
    vec squares[CHAINS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t i = 0;
    for (; i + CHAINS * VEC <= n; i += CHAINS * VEC)
#pragma GCC unroll 4
        for (int chain = 0; chain < CHAINS; chain++) {
            const vec a = v_load(x + i + chain * VEC);
            squares[chain] = v_fma(a, a, squares[chain]);
        }
    for (; i < n; i += VEC) {
        const vec a = load(x + i, n - i, 0.0f);
        squares[0] = v_fma(a, a, squares[0]);
    }
    const float mean = add_chains(squares) / (float)n;
    return mean < INFINITY ? 1.0f / sqrtf(mean + epsilon) : NAN; /* 1 / √∞ = 0 would hide it */
}

float ISA(cpu_kernel_rmsnorm)(float *y, const float *x, const float *weight, int64_t n,
                              float epsilon) {
    const float inverse = ISA(cpu_kernel_inverse_rms)(x, n, epsilon);
    for (int64_t i = 0; i < n; i += VEC) {
        const vec normed = v_mul(load(x + i, n - i, 0.0f), v_set1(inverse));
        store(y + i, v_mul(normed, load(weight + i, n - i, 0.0f)), n - i);
    }
    return inverse;
}

void ISA(cpu_kernel_rmsnorm_backward)(const struct cpu_norm_gradient *args) {
    const int64_t n = args->n;
    const vec inverse = v_set1(args->inverse_rms);
    vec products[CHAINS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int64_t i = 0; i < n; i += VEC) {
        const vec dnormed =
            v_mul(load(args->dy + i, n - i, 0.0f), load(args->weight + i, n - i, 0.0f));
        products[0] = v_fma(dnormed, load(args->x + i, n - i, 0.0f), products[0]);
    }
    const float mean = add_chains(products) / (float)n;
    const vec pull = v_set1(mean * args->inverse_rms * args->inverse_rms);
    for (int64_t i = 0; i < n; i += VEC) {
        const int64_t left = n - i;
        const vec x = load(args->x + i, left, 0.0f), dy = load(args->dy + i, left, 0.0f);
        const vec dnormed = v_mul(dy, load(args->weight + i, left, 0.0f));
        const vec base = args->base != NULL ? load(args->base + i, left, 0.0f) : v_zero();
        const vec slope = v_sub(dnormed, v_mul(x, pull));
        const vec dweight = load(args->dweight + i, left, 0.0f);
        store(args->dweight + i, v_fma(dy, v_mul(x, inverse), dweight), left);
        store(args->dx + i, v_fma(slope, inverse, base), left);
    }
}

void ISA(cpu_kernel_rotate)(float *out, const float *x, const float *table, int64_t D,
                            float direction) {
    const int64_t half = D / 2;
    for (int64_t i = 0; i < half; i += VEC) {
        const int64_t left = half - i;
        const vec low = load(x + i, left, 0.0f), high = load(x + half + i, left, 0.0f);
        const vec cosine = load(table + i, left, 0.0f);
        const vec sine = v_mul(load(table + half + i, left, 0.0f), v_set1(direction));
        store(out + i, v_sub(v_mul(low, cosine), v_mul(high, sine)), left);
        store(out + half + i, v_add(v_mul(high, cosine), v_mul(low, sine)), left);
    }
}

SIMD vec sigmoid(vec x) {
    const vec one = v_set1(1.0f);
    return v_div(one, v_add(one, v_exp(v_sub(v_zero(), x))));
}

void ISA(cpu_kernel_swiglu)(float *out, const float *gate, const float *up, int64_t n) {
    for (int64_t i = 0; i < n; i += VEC) {
        const vec g = load(gate + i, n - i, 0.0f);
        store(out + i, v_mul(v_mul(g, sigmoid(g)), load(up + i, n - i, 0.0f)), n - i);
    }
}

void ISA(cpu_kernel_swiglu_backward)(float *dgate, float *dup, const float *gate, const float *up,
                                     const float *dout, int64_t n) {
    const vec one = v_set1(1.0f);
    for (int64_t i = 0; i < n; i += VEC) {
        const int64_t left = n - i;
        const vec g = load(gate + i, left, 0.0f), d = load(dout + i, left, 0.0f);
        const vec du = v_mul(d, load(up + i, left, 0.0f)), s = sigmoid(g);
        const vec slope = v_mul(s, v_fma(g, v_sub(one, s), one));
        store(dgate + i, v_mul(du, slope), left);
        store(dup + i, v_mul(d, v_mul(g, s)), left);
    }
}

float ISA(cpu_kernel_largest)(const float *z, int64_t n) {
    vec largest = v_set1(-INFINITY), trace = v_zero(); /* trace: 0 while every z is finite */
    for (int64_t i = 0; i < n; i += VEC) {
        const vec a = load(z + i, n - i, z[0]);
        largest = v_max(largest, a);
        trace = v_fma(a, v_zero(), trace);
    }
    return v_largest(largest) + v_sum(trace);
}

/* One vector of terms of the head's sums. The maximum is subtracted before anything is scaled, for
 * that difference hardly rounds; the sum weighted by it, not by its multiple, stays finite where the
 * multiple does not. */
SIMD void add_terms(vec z, vec max, vec scale, int64_t left, vec *sum, vec *weighted) {
    const vec below = v_sub(z, max), power = keep(v_exp(v_mul(below, scale)), left);
    *sum = v_add(*sum, power);
    *weighted = v_fma(below, power, *weighted);
}

struct cpu_head_sums ISA(cpu_kernel_head_sums)(const float *z, int64_t n, float scale) {
    vec sums[CHAINS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    vec weighted[CHAINS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    vec largest = v_set1(-INFINITY);
    for (int64_t i = 0; i < n; i += VEC)
        largest = v_max(largest, load(z + i, n - i, -INFINITY));
    const float max = v_largest(largest);
    const vec factor = v_set1(scale), shift = v_set1(max);
    int64_t i = 0;
    for (; i + CHAINS * VEC <= n; i += CHAINS * VEC)
#pragma GCC unroll 4
        for (int chain = 0; chain < CHAINS; chain++)
            add_terms(v_load(z + i + chain * VEC), shift, factor, VEC, &sums[chain],
                      &weighted[chain]);
    for (; i < n; i += VEC)
        add_terms(load(z + i, n - i, max), shift, factor, n - i, &sums[0], &weighted[0]);
    return (struct cpu_head_sums){
        .sum = (double)add_chains(sums), .weighted = (double)add_chains(weighted), .max = max};
}

void ISA(cpu_kernel_head_backward)(const struct cpu_head_gradient *args) {
    const vec scale = v_set1(args->scale), max = v_set1(args->max);
    const vec entropy = v_set1(args->entropy), least = v_set1(-104.0f); /* exp(−104) is 0 */
    const vec d_logprob = v_set1(args->d_logprob), d_entropy = v_set1(args->d_entropy);
    for (int64_t i = 0; i < args->n; i += VEC) {
        const int64_t left = args->n - i;
        const vec z = load(args->z + i, left, 0.0f);
        const vec log_p = v_max(least, v_fma(v_sub(z, max), scale, v_set1(-args->log_sum)));
        const vec weight = v_fma(d_entropy, v_add(log_p, entropy), d_logprob);
        store(args->z + i, v_mul(v_mul(v_exp(log_p), v_set1(-args->scale)), weight), left);
    }
}

double ISA(cpu_kernel_weights)(float *weights, const float *z, int64_t n, float max, float scale) {
    vec sums[CHAINS] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int64_t i = 0; i < n; i += VEC) {
        const vec a = v_mul(v_sub(load(z + i, n - i, max), v_set1(max)), v_set1(scale));
        const vec power = keep(v_exp(a), n - i);
        sums[0] = v_add(sums[0], power);
        store(weights + i, power, n - i);
    }
    return (double)add_chains(sums);
}
