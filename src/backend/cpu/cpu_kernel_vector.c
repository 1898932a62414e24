/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_kernel_vector.h"

#include "backend/cpu/simd.h"

double ISA(cpu_kernel_dot)(const float *x, const float *y, int64_t n) {
    enum { CHAINS = 4 };
    wide_vec sums[CHAINS] = {{0}, {0}, {0}, {0}};
    int64_t i = 0;
    for (; i + CHAINS * WIDE <= n; i += CHAINS * WIDE)
#pragma GCC unroll 4
        for (int chain = 0; chain < CHAINS; chain++)
            sums[chain] += widen(x + i + chain * WIDE) * widen(y + i + chain * WIDE);
    const wide_vec sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double total = 0;
    for (int lane = 0; lane < WIDE; lane++)
        total += sum[lane];
    for (; i < n; i++)
        total += (double)x[i] * (double)y[i];
    return total;
}

void ISA(cpu_kernel_lerp)(float *out, const float *x, const float *y, int64_t n, float factor) {
    int64_t i = 0;
    for (; i + VEC <= n; i += VEC) {
        const vec start = v_load(x + i);
        v_store(out + i, v_fma(v_set1(factor), v_sub(v_load(y + i), start), start));
    }
    if (i < n) {
        const vec start = v_load_n(x + i, n - i, 0.0f), end = v_load_n(y + i, n - i, 0.0f);
        v_store_n(out + i, v_fma(v_set1(factor), v_sub(end, start), start), n - i);
    }
}

/* The nearest whole number, ties to even; |x| < 2^63. */
SIMD int64_t nearest(double x) {
#if defined(GRADUS_ISA_PLAIN)
    return llrint(x);
#else
    return _mm_cvtsd_si64(_mm_set_sd(x));
#endif
}

static void accumulate_one(int64_t *total, float value, double scale, double bound,
                           struct cpu_refused *refused) {
    const double scaled = (double)value * scale;
    if (fabs(scaled) <= bound)
        *total += nearest(scaled);
    else if (isfinite(value))
        refused->largest = fmax(refused->largest, fabs((double)value));
    else
        refused->nonfinite++;
}

/* A vector of elements, all within the bound; false, and nothing done, when one is not. */
SIMD bool accumulate_vector(int64_t *total, const float *values, double scale, double bound) {
    const wide_vec scaled = widen(values) * scale;
#if defined(GRADUS_ISA_AVX512)
    const __m512d limit = _mm512_set1_pd(bound), size = _mm512_abs_pd((__m512d)scaled);
    if (_mm512_cmp_pd_mask(size, limit, _CMP_LE_OQ) != 0xff)
        return false;
    const __m512i sum = _mm512_loadu_si512(total);
    _mm512_storeu_si512(total, _mm512_add_epi64(sum, _mm512_cvtpd_epi64((__m512d)scaled)));
#else
    for (int lane = 0; lane < WIDE; lane++)
        if (!(fabs(scaled[lane]) <= bound))
            return false;
    for (int lane = 0; lane < WIDE; lane++)
        total[lane] += nearest(scaled[lane]);
#endif
    return true;
}

struct cpu_refused ISA(cpu_kernel_accumulate)(int64_t *total, const float *values, int64_t n,
                                              double scale, double bound) {
    struct cpu_refused refused = {.largest = 0};
    int64_t i = 0;
    for (; i + WIDE <= n; i += WIDE)
        if (!accumulate_vector(total + i, values + i, scale, bound))
            for (int64_t lane = i; lane < i + WIDE; lane++)
                accumulate_one(total + lane, values[lane], scale, bound, &refused);
    for (; i < n; i++)
        accumulate_one(total + i, values[i], scale, bound, &refused);
    return refused;
}

void ISA(cpu_kernel_resolve)(float *out, const int64_t *total, int64_t n, double scale) {
    int64_t i = 0;
    for (; i + WIDE <= n; i += WIDE) {
        wide_int whole;
        memcpy(&whole, total + i, sizeof whole);
        const wide_vec value = __builtin_convertvector(whole, wide_vec) * scale;
        const half_vec rounded = __builtin_convertvector(value, half_vec);
        memcpy(out + i, &rounded, sizeof rounded);
    }
    for (; i < n; i++)
        out[i] = (float)((double)total[i] * scale);
}
