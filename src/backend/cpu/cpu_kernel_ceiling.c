/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_kernel_ceiling.h"

#include "backend/cpu/simd.h"

enum { SUMS = 12, STREAMS = 8 };

double ISA(cpu_kernel_ceiling_fma)(int64_t rounds, float *sink) {
    vec sum[SUMS];
    for (int i = 0; i < SUMS; i++)
        sum[i] = v_set1(*sink + (float)i);
    const vec factor = v_set1(0.5f), addend = v_set1(0.25f);
    for (int64_t round = 0; round < rounds; round++)
        for (int i = 0; i < SUMS; i++)
            sum[i] = v_fma(sum[i], factor, addend);
    for (int i = 1; i < SUMS; i++)
        sum[0] = v_add(sum[0], sum[i]);
    *sink = v_sum(sum[0]);
    return 2.0 * SUMS * VEC * (double)rounds;
}

float ISA(cpu_kernel_ceiling_read)(const float *memory, int64_t n) {
    vec sum[STREAMS];
    for (int s = 0; s < STREAMS; s++)
        sum[s] = v_zero();
    const int64_t stream = n / STREAMS;
    for (int64_t i = 0; i < stream; i += 16)
        for (int s = 0; s < STREAMS; s++)
            for (int v = 0; v < 16; v += VEC)
                sum[s] = v_add(sum[s], v_load(memory + s * stream + i + v));
    for (int s = 1; s < STREAMS; s++)
        sum[0] = v_add(sum[0], sum[s]);
    return v_sum(sum[0]);
}
