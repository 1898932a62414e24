/* SPDX-License-Identifier: Apache-2.0
 *
 * Where K optimizer steps would lead, told from two of them: the arithmetic of GXPO for a coordinate
 * (algorithms.md, 1.2 to 1.4), in double. The one place of it: kernels of every backend and the tests
 * on problems in double include this file.
 *
 *     r = after / before           retention: how much of its gradient a step leaves
 *     s = S_K(r) / S_2(r)          S_n(r) = 1 + r + … + r^(n−1)
 *     place = θ0 + α s (θ2 − θ0)
 *
 * S_K / S_2 is Σ_{j<K/2} r^2j, and r^(K−1) / (1 + r) besides where K is odd: no cancellation at r = 1,
 * where K/2 is exact; the pole at r = −1 is there for odd K alone.
 */
#ifndef BACKEND_EXTRAPOLATION_H
#define BACKEND_EXTRAPOLATION_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define EXTRAPOLATION_FUNCTION static __host__ __device__ __forceinline__
#else
#define EXTRAPOLATION_FUNCTION static inline
#endif

/* Of a coordinate whose ratio does not count, ratio and scale are 1: the two steps as they are. */
struct extrapolation {
    int32_t steps;     /* K, at least 2 */
    bool guarded;      /* scale 1 where the ratio is below −1 */
    double reposition; /* α */
    double ratio_least, ratio_most, scale_least, scale_most; /* clamps */
};

/* Coordinates that are computed side by side, the first n of each array; by vectors where the
 * compiler has them. */
enum { EXTRAPOLATION_ROW = 32 };
struct extrapolation_row {
    double start[EXTRAPOLATION_ROW], end[EXTRAPOLATION_ROW];    /* θ0, θ2 */
    double before[EXTRAPOLATION_ROW], after[EXTRAPOLATION_ROW]; /* gradients or directions */
    double size[EXTRAPOLATION_ROW]; /* the ratio counts where this is above the threshold */
    double place[EXTRAPOLATION_ROW], ratio[EXTRAPOLATION_ROW], scale[EXTRAPOLATION_ROW]; /* = */
    /* = 0 or 1 */
    double active[EXTRAPOLATION_ROW], ratio_clamped[EXTRAPOLATION_ROW],
        scale_clamped[EXTRAPOLATION_ROW];
};

/* s of each r, before any clamp; at the pole 1. */
#define EXTRAPOLATION_POLE 1e-8
EXTRAPOLATION_FUNCTION void extrapolation_scales(int32_t steps, int n, const double *ratio,
                                                 double *scale) {
    double square[EXTRAPOLATION_ROW], power[EXTRAPOLATION_ROW];
    for (int i = 0; i < n; i++) {
        square[i] = ratio[i] * ratio[i];
        power[i] = square[i];
        scale[i] = 1.0;
    }
    for (int32_t j = 1; j < steps / 2; j++)
        for (int i = 0; i < n; i++) {
            scale[i] = scale[i] * square[i] + 1.0;
            power[i] = power[i] * square[i];
        }
    if (steps % 2 == 0)
        return;
    for (int i = 0; i < n; i++) {
        const double below = 1.0 + ratio[i];
        const bool pole = fabs(below) <= EXTRAPOLATION_POLE;
        const double whole = scale[i] + power[i] / (pole ? 1.0 : below);
        scale[i] = pole ? 1.0 : whole;
    }
}

EXTRAPOLATION_FUNCTION void extrapolation_ratios(const struct extrapolation *how, double threshold,
                                                 int n, struct extrapolation_row *row) {
    for (int i = 0; i < n; i++) {
        const bool active = row->size[i] > threshold;
        const double quotient = (active ? row->after[i] : 1.0) / (active ? row->before[i] : 1.0);
        const double ratio = fabs(quotient) <= DBL_MAX ? quotient : 1.0; /* 1 for NaN */
        const double floored = ratio < how->ratio_least ? how->ratio_least : ratio;
        const double clamped = floored > how->ratio_most ? how->ratio_most : floored;
        row->ratio[i] = active ? clamped : 1.0;
        row->active[i] = active ? 1.0 : 0.0;
        row->ratio_clamped[i] = active && clamped != ratio ? 1.0 : 0.0;
    }
}

EXTRAPOLATION_FUNCTION void extrapolation_places(const struct extrapolation *how, int n,
                                                 struct extrapolation_row *row) {
    const double guard = how->guarded ? -1.0 : -DBL_MAX;
    for (int i = 0; i < n; i++) {
        const bool counts = row->active[i] > 0.0 && row->ratio[i] >= guard;
        const double scale = fabs(row->scale[i]) <= DBL_MAX ? row->scale[i] : 1.0;
        const double floored = scale < how->scale_least ? how->scale_least : scale;
        const double clamped = floored > how->scale_most ? how->scale_most : floored;
        row->scale[i] = counts ? clamped : 1.0;
        row->scale_clamped[i] = counts && clamped != scale ? 1.0 : 0.0;
        row->place[i] =
            row->start[i] + how->reposition * row->scale[i] * (row->end[i] - row->start[i]);
    }
}

/* From what is given of n coordinates to all the rest of the row. */
EXTRAPOLATION_FUNCTION void extrapolation_row_compute(const struct extrapolation *how,
                                                      double threshold, int n,
                                                      struct extrapolation_row *row) {
    extrapolation_ratios(how, threshold, n, row);
    extrapolation_scales(how->steps, n, row->ratio, row->scale);
    extrapolation_places(how, n, row);
}

#endif
