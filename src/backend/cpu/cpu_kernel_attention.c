/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_kernel_attention.h"

#include "backend/cpu/simd.h"

/* VEC floats from i on, or what is left of n, filled up with `rest`. */
SIMD vec load_some(const float *p, int64_t i, int64_t n, float rest) {
    return n - i >= VEC ? v_load(p + i) : v_load_n(p + i, n - i, rest);
}

SIMD void store_some(float *p, int64_t i, int64_t n, vec a) {
    if (n - i >= VEC)
        v_store(p + i, a);
    else
        v_store_n(p + i, a, n - i);
}

static float largest_of(const float *x, int64_t n) {
    vec a = v_set1(-INFINITY), b = a;
    int64_t i = 0;
    for (; i + 2 * VEC <= n; i += 2 * VEC) {
        a = v_max(v_load(x + i), a);
        b = v_max(v_load(x + i + VEC), b);
    }
    for (; i < n; i += VEC)
        a = v_max(load_some(x, i, n, -INFINITY), a);
    return v_largest(v_max(a, b));
}

float ISA(cpu_kernel_softmax)(float *scores, int64_t length, float scale, float *largest) {
    *largest = largest_of(scores, length);
    const vec shift = v_set1(*largest), factor = v_set1(scale);
    vec sum = v_zero();
    for (int64_t i = 0; i < length; i += VEC) {
        const vec p = v_exp(v_mul(v_sub(load_some(scores, i, length, -INFINITY), shift), factor));
        store_some(scores, i, length, p);
        sum = v_add(sum, p);
    }
    return v_sum(sum);
}

void ISA(cpu_kernel_softmax_backward)(float *scores, float *d, int64_t length, int64_t width,
                                      float scale, float log_sum, float delta) {
    const vec shift = v_set1(-log_sum), mean = v_set1(delta), factor = v_set1(scale);
    for (int64_t i = 0; i < length; i += VEC) {
        const vec p = v_exp(v_fma(load_some(scores, i, length, -INFINITY), factor, shift));
        const vec slope = v_mul(p, v_sub(load_some(d, i, length, 0.0f), mean));
        store_some(scores, i, length, p);
        store_some(d, i, length, v_mul(slope, factor));
    }
    for (int64_t i = length; i < width; i++)
        scores[i] = d[i] = 0.0f;
}

float ISA(cpu_kernel_inner)(const float *x, const float *y, int64_t n) {
    vec sum = v_zero();
    for (int64_t i = 0; i < n; i += VEC)
        sum = v_fma(load_some(x, i, n, 0.0f), load_some(y, i, n, 0.0f), sum);
    return v_sum(sum);
}
