/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of fp32 for the kernels: VEC floats wide, 16 (AVX-512), 8 (AVX2 with FMA) or 4 (plain C
 * through the compiler's vector extension). Included by cpu_kernel_*.c alone, which are compiled
 * once with each of GRADUS_ISA_AVX512BF16, GRADUS_ISA_AVX512, GRADUS_ISA_AVX2 and GRADUS_ISA_PLAIN.
 *
 * The same source gives the same bits on one instruction set, not across them: plain C multiplies
 * and adds with two roundings, and lanes are as many as the vector is wide.
 */
#ifndef BACKEND_CPU_SIMD_H
#define BACKEND_CPU_SIMD_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(GRADUS_ISA_AVX512BF16)
#define GRADUS_ISA_AVX512
#define ISA(name) name##_avx512bf16
#elif defined(GRADUS_ISA_AVX512)
#define ISA(name) name##_avx512
#endif

#if defined(GRADUS_ISA_AVX512)
#include <immintrin.h>
enum { VEC = 16 };
typedef __m512 vec;
#elif defined(GRADUS_ISA_AVX2)
#include <immintrin.h>
#define ISA(name) name##_avx2
enum { VEC = 8 };
typedef __m256 vec;
#elif defined(GRADUS_ISA_PLAIN)
#define ISA(name) name##_plain
enum { VEC = 4 };
typedef float vec __attribute__((vector_size(16)));
typedef uint32_t vec_word __attribute__((vector_size(16)));
#else
#error "simd.h is for kernel files, which CMake compiles once for each instruction set"
#endif

#define SIMD static inline __attribute__((always_inline))

/* What comparisons of vectors give: all bits of a lane, or none. */
typedef int32_t vec_int __attribute__((vector_size(VEC * sizeof(int32_t))));
SIMD vec v_choose(vec_int where, vec yes, vec no) {
    return (vec)(((vec_int)yes & where) | ((vec_int)no & ~where));
}

/* Arithmetic, lane by lane. v_fma(a, b, c) = a b + c. v_max and v_min give the second argument when
 * one of the two is NaN. v_load and v_store need no alignment; v_load_n and v_store_n touch the
 * first n < VEC floats only (the other lanes read as `rest`). */

#if defined(GRADUS_ISA_AVX512)

SIMD vec v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
SIMD void v_store(float *p, vec a) {
    _mm512_storeu_ps(p, a);
}
SIMD vec v_set1(float a) {
    return _mm512_set1_ps(a);
}
SIMD vec v_load_n(const float *p, int64_t n, float rest) {
    return _mm512_mask_loadu_ps(v_set1(rest), (__mmask16)((1u << n) - 1u), p);
}
SIMD void v_store_n(float *p, vec a, int64_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), a);
}
SIMD vec v_add(vec a, vec b) {
    return _mm512_add_ps(a, b);
}
SIMD vec v_sub(vec a, vec b) {
    return _mm512_sub_ps(a, b);
}
SIMD vec v_mul(vec a, vec b) {
    return _mm512_mul_ps(a, b);
}
SIMD vec v_div(vec a, vec b) {
    return _mm512_div_ps(a, b);
}
SIMD vec v_sqrt(vec a) {
    return _mm512_sqrt_ps(a);
}
SIMD vec v_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
SIMD vec v_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
SIMD vec v_min(vec a, vec b) {
    return _mm512_min_ps(a, b);
}

#elif defined(GRADUS_ISA_AVX2)

SIMD vec v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
SIMD void v_store(float *p, vec a) {
    _mm256_storeu_ps(p, a);
}
SIMD vec v_set1(float a) {
    return _mm256_set1_ps(a);
}
SIMD __m256i v_first(int64_t n) { /* lanes below n: all bits one */
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SIMD vec v_load_n(const float *p, int64_t n, float rest) {
    const __m256i first = v_first(n);
    return _mm256_blendv_ps(v_set1(rest), _mm256_maskload_ps(p, first), _mm256_castsi256_ps(first));
}
SIMD void v_store_n(float *p, vec a, int64_t n) {
    _mm256_maskstore_ps(p, v_first(n), a);
}
SIMD vec v_add(vec a, vec b) {
    return _mm256_add_ps(a, b);
}
SIMD vec v_sub(vec a, vec b) {
    return _mm256_sub_ps(a, b);
}
SIMD vec v_mul(vec a, vec b) {
    return _mm256_mul_ps(a, b);
}
SIMD vec v_div(vec a, vec b) {
    return _mm256_div_ps(a, b);
}
SIMD vec v_sqrt(vec a) {
    return _mm256_sqrt_ps(a);
}
SIMD vec v_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
SIMD vec v_max(vec a, vec b) {
    return _mm256_max_ps(a, b);
}
SIMD vec v_min(vec a, vec b) {
    return _mm256_min_ps(a, b);
}

#else

SIMD vec v_load(const float *p) {
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}
SIMD void v_store(float *p, vec a) {
    memcpy(p, &a, sizeof a);
}
SIMD vec v_set1(float a) {
    return (vec){a, a, a, a};
}
SIMD vec v_load_n(const float *p, int64_t n, float rest) {
    vec a = v_set1(rest);
    memcpy(&a, p, (size_t)n * sizeof *p);
    return a;
}
SIMD void v_store_n(float *p, vec a, int64_t n) {
    memcpy(p, &a, (size_t)n * sizeof *p);
}
SIMD vec v_add(vec a, vec b) {
    return a + b;
}
SIMD vec v_sub(vec a, vec b) {
    return a - b;
}
SIMD vec v_mul(vec a, vec b) {
    return a * b;
}
SIMD vec v_div(vec a, vec b) {
    return a / b;
}
SIMD vec v_sqrt(vec a) {
    return (vec){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
SIMD vec v_fma(vec a, vec b, vec c) {
    return a * b + c; /* two roundings; -ffp-contract=off keeps it so everywhere */
}
SIMD vec v_max(vec a, vec b) {
    return v_choose(a > b, a, b);
}
SIMD vec v_min(vec a, vec b) {
    return v_choose(a < b, a, b);
}

#endif

/* Half as many doubles fill the same vector. */
enum { WIDE = VEC / 2 };
typedef float half_vec __attribute__((vector_size(WIDE * sizeof(float))));
typedef double wide_vec __attribute__((vector_size(WIDE * sizeof(double))));
typedef int64_t wide_int __attribute__((vector_size(WIDE * sizeof(int64_t))));

SIMD wide_vec w_load(const double *p) {
    wide_vec a;
    memcpy(&a, p, sizeof a);
    return a;
}
SIMD wide_vec widen(const float *p) {
    half_vec a;
    memcpy(&a, p, sizeof a);
    return __builtin_convertvector(a, wide_vec);
}

/* Two bf16 numbers stand in each lane of `pairs`: the one in the low half, and the one in the high
 * half, as fp32. */
SIMD vec v_low(vec pairs) {
#if defined(GRADUS_ISA_AVX512)
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs), 16));
#elif defined(GRADUS_ISA_AVX2)
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs), 16));
#else
    return (vec)((vec_word)pairs << 16);
#endif
}
SIMD vec v_high(vec pairs) {
#if defined(GRADUS_ISA_AVX512)
    const __m512i mask = _mm512_set1_epi32((int)0xffff0000u);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs), mask));
#elif defined(GRADUS_ISA_AVX2)
    const __m256i mask = _mm256_set1_epi32((int)0xffff0000u);
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(pairs), mask));
#else
    return (vec)((vec_word)pairs & 0xffff0000u);
#endif
}

#if defined(GRADUS_ISA_AVX512BF16)
/* c + high(a) high(b) + low(a) low(b), lane by lane, as VDPBF16PS adds: each product and sum rounded
 * to fp32 and subnormal numbers taken for 0. */
SIMD vec v_dot_pairs(vec a, vec b, vec c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
#endif

SIMD vec v_zero(void) {
    return v_set1(0.0f);
}

/* a · 2^n for whole numbers n of moderate size, rounded once. */
SIMD vec v_scale2(vec a, vec n) {
#if defined(GRADUS_ISA_AVX512)
    return _mm512_scalef_ps(a, n);
#elif defined(GRADUS_ISA_AVX2)
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1),
                  rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    a = v_mul(a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return v_mul(a, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
#else
    const vec_int whole = (vec_int)(n + 0x1.8p23f) - (vec_int)v_set1(0x1.8p23f), half = whole >> 1;
    return a * (vec)((half + 127) << 23) * (vec)((whole - half + 127) << 23);
#endif
}

/* The nearest whole number, |a| < 2^22. */
SIMD vec v_round(vec a) {
    const vec shift = v_set1(0x1.8p23f);
    return v_sub(v_add(a, shift), shift);
}

/* x = n ln 2 + r, −104 ≤ x ≤ 89. */
struct vec_reduced {
    vec n, r;
};
SIMD struct vec_reduced v_reduce(vec x) {
    const vec n = v_round(v_mul(x, v_set1(0x1.715476p+0f)));
    /* ln 2, its first 12 bits: n times them is exact; and the rest */
    const vec r = v_fma(n, v_set1(-0x1.62ep-1f), x);
    return (struct vec_reduced){n, v_fma(n, v_set1(-0x1.0bfbe8p-15f), r)};
}

/* exp(r) − 1 by the polynomial of Cephes' expf. */
SIMD vec v_exp_less_one(vec r) {
    vec p = v_set1(1.9875691500e-4f);
    p = v_fma(p, r, v_set1(1.3981999507e-3f));
    p = v_fma(p, r, v_set1(8.3334519073e-3f));
    p = v_fma(p, r, v_set1(4.1665795894e-2f));
    p = v_fma(p, r, v_set1(1.6666665459e-1f));
    p = v_fma(p, r, v_set1(5.0000001201e-1f));
    return v_fma(v_mul(r, r), p, r);
}

/* exp(x) within 1.5 units of the last place over the whole range: 0 at −inf and below −104, +inf
 * from 88.73 on, NaN at NaN. */
SIMD vec v_exp(vec x) {
    const struct vec_reduced x_ = v_reduce(v_min(v_set1(89.0f), v_max(v_set1(-104.0f), x)));
    return v_scale2(v_add(v_exp_less_one(x_.r), v_set1(1.0f)), x_.n);
}

/* exp(x), and exp(x) − 1 in *less_one, for x ≤ 0, within 1.5 units of the last place; 1 and 0 at 0,
 * NaN at NaN. */
SIMD vec v_exp_both(vec x, vec *less_one) {
    const struct vec_reduced x_ = v_reduce(v_max(v_set1(-104.0f), x));
    const vec part = v_exp_less_one(x_.r), power = v_scale2(v_set1(1.0f), x_.n);
    *less_one = v_fma(power, part, v_sub(power, v_set1(1.0f)));
    return v_scale2(v_add(part, v_set1(1.0f)), x_.n);
}

/* log(1 + x) for −1 < x ≤ 0 within 2.5 units of the last place, by the polynomial of Cephes' logf; 0 at
 * 0, anything at NaN. 1 + x is 2^k (1 + f) with 1/√2 ≤ 1 + f < √2; where k is 0, f is x, which has not
 * been rounded. */
SIMD vec v_log1p(vec x) {
    const vec_int bits = (vec_int)v_add(x, v_set1(1.0f));
    const vec_int k = (bits - 0x3f3504f3) >> 23;
    const vec n = __builtin_convertvector(k, vec);
    const vec f = v_choose(k == 0, x, v_sub((vec)(bits - (k << 23)), v_set1(1.0f)));
    const vec square = v_mul(f, f);
    vec p = v_set1(7.0376836292e-2f);
    p = v_fma(p, f, v_set1(-1.1514610310e-1f));
    p = v_fma(p, f, v_set1(1.1676998740e-1f));
    p = v_fma(p, f, v_set1(-1.2420140846e-1f));
    p = v_fma(p, f, v_set1(1.4249322787e-1f));
    p = v_fma(p, f, v_set1(-1.6668057665e-1f));
    p = v_fma(p, f, v_set1(2.0000714765e-1f));
    p = v_fma(p, f, v_set1(-2.4999993993e-1f));
    p = v_fma(p, f, v_set1(3.3333331174e-1f));
    p = v_mul(v_mul(p, f), square);
    p = v_fma(n, v_set1(-2.12194440e-4f), p); /* ln 2 = 0.693359375 − 2.12194440e-4 */
    p = v_fma(square, v_set1(-0.5f), p);
    return v_fma(n, v_set1(0.693359375f), v_add(f, p));
}

/* Whether a comparison holds in any lane. */
SIMD bool v_any(vec_int a) {
#if defined(GRADUS_ISA_AVX512)
    return _mm512_test_epi32_mask((__m512i)a, (__m512i)a) != 0;
#elif defined(GRADUS_ISA_AVX2)
    return _mm256_testz_si256((__m256i)a, (__m256i)a) == 0;
#else
    return (a[0] | a[1] | a[2] | a[3]) != 0;
#endif
}

/* Over the lanes of one vector, as a tree: lanes i and i + VEC/2 first, until one is left. */
SIMD float v_sum(vec a) {
    float lanes[VEC];
    v_store(lanes, a);
    for (int half = VEC / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

SIMD float v_largest(vec a) {
    float lanes[VEC];
    v_store(lanes, a);
    for (int half = VEC / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    return lanes[0];
}

#endif
