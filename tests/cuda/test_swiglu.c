/* SPDX-License-Identifier: Apache-2.0
 *
 * The gated activation on the device: values against the formula in double, the gradient against
 * central differences of it.
 */
#include "arrays.h"
#include "cuda/kernel/swiglu.h"

static double activated(double gate, double up) {
    double pair[2] = {gate, up}, out;
    reference_swiglu(pair, &out, 1, 1);
    return out;
}

static void test_shape(struct arrays *a, int64_t T, int64_t F, enum dtype dtype) {
    const double step = 1e-5;
    float *x = arrays_normal(a, T * 2 * F, 0, 3), *dout = arrays_normal(a, T * F, 0, 1);
    double *want = arrays_doubles(a, T * F), *gradient = arrays_doubles(a, T * 2 * F);
    x[0] = -60;
    struct swiglu_launch args = {.gate_up = arrays_put(a, x, T * 2 * F, dtype),
                                 .out = arrays_blank(a, T * F, dtype),
                                 .T = T,
                                 .F = F,
                                 .dtype = dtype};
    RUN(a, launch_swiglu(a->device.stream, &args));
    reference_swiglu(arrays_widen(a, x, T * 2 * F), want, T, F);
    const float *out = arrays_get(a, args.out, T * F, dtype);
    arrays_compare("swiglu", out, want, T * F, arrays_tolerance(dtype, 1e-6));
    struct swiglu_backward_launch back = {.gate_up = args.gate_up,
                                          .dout = arrays_put(a, dout, T * F, dtype),
                                          .dgate_up = arrays_blank(a, T * 2 * F, dtype),
                                          .T = T,
                                          .F = F,
                                          .dtype = dtype};
    RUN(a, launch_swiglu_backward(a->device.stream, &back));
    for (int64_t i = 0; i < T * F; i++) {
        const int64_t at = i / F * 2 * F + i % F;
        const double gate = (double)x[at], up = (double)x[at + F], d = (double)dout[i];
        gradient[at] = d * (activated(gate + step, up) - activated(gate - step, up)) / (2 * step);
        gradient[at + F] =
            d * (activated(gate, up + step) - activated(gate, up - step)) / (2 * step);
    }
    const float *have = arrays_get(a, back.dgate_up, T * 2 * F, dtype);
    arrays_compare("dgate_up", have, gradient, T * 2 * F, arrays_tolerance(dtype, 1e-6));
    back.gate_up = back.dgate_up = arrays_put(a, x, T * 2 * F, dtype);
    RUN(a, launch_swiglu_backward(a->device.stream, &back));
    arrays_same("in place", arrays_get(a, back.dgate_up, T * 2 * F, dtype), have, T * 2 * F);
    args.T = 1; /* the last row alone */
    args.gate_up = arrays_put(a, x + (T - 1) * 2 * F, 2 * F, dtype);
    RUN(a, launch_swiglu(a->device.stream, &args));
    arrays_same("a row alone", arrays_get(a, args.out, F, dtype), out + (T - 1) * F, F);
    arrays_reset(a);
}

static void test_nonfinite(struct arrays *a) {
    float x[] = {NAN, 1, INFINITY, 1, 1, NAN, 1, 1};
    const struct swiglu_launch args = {.gate_up = arrays_put(a, x, 8, DTYPE_F32),
                                       .out = arrays_blank(a, 4, DTYPE_F32),
                                       .T = 1,
                                       .F = 4};
    RUN(a, launch_swiglu(a->device.stream, &args));
    const float *out = arrays_get(a, args.out, 4, DTYPE_F32);
    CHECK(isnan(out[0]) && isnan(out[1]) && isinf(out[2]) && isfinite(out[3]));
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    static const int64_t widths[] = {1, 5, 8, 896, 4864};
    arrays_open(&a);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        test_shape(&a, 3, widths[i], DTYPE_F32);
        test_shape(&a, 3, widths[i], DTYPE_BF16);
    }
    test_nonfinite(&a);
    arrays_close(&a);
    return CHECK_END();
}
