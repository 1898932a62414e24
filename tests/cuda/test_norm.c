/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS norm on the device: values against the formula in double, the gradient against central
 * differences of it, rows alone and in company bit for bit.
 */
#include "arrays.h"
#include "cuda/kernel/norm.h"

static const double EPSILON = 1e-5;

static void test_forward(struct arrays *a, int64_t T, int64_t C, enum dtype dtype) {
    float *x = arrays_normal(a, T * C, 0.2, 2), *weight = arrays_normal(a, C, 1, 0.2);
    double *want = arrays_doubles(a, T * C), *inverse = arrays_doubles(a, T);
    float *dx = arrays_put(a, x, T * C, DTYPE_F32);
    struct rmsnorm_launch args = {.x = dx,
                                  .weight = arrays_put(a, weight, C, DTYPE_F32),
                                  .y = arrays_blank(a, T * C, dtype),
                                  .inverse_rms = arrays_blank(a, T, DTYPE_F32),
                                  .T = T,
                                  .C = C,
                                  .epsilon = (float)EPSILON,
                                  .dtype = dtype};
    RUN(a, launch_rmsnorm(a->device.stream, &args));
    reference_rmsnorm(arrays_widen(a, x, T * C), arrays_widen(a, weight, C), want, T, C, EPSILON);
    for (int64_t t = 0; t < T; t++) {
        double squares = 0;
        for (int64_t c = 0; c < C; c++)
            squares += (double)x[t * C + c] * (double)x[t * C + c];
        inverse[t] = 1 / sqrt(squares / (double)C + EPSILON);
    }
    const float *y = arrays_get(a, args.y, T * C, dtype);
    arrays_compare("rmsnorm", y, want, T * C, arrays_tolerance(dtype, 1e-6));
    arrays_compare("inverse", arrays_get(a, args.inverse_rms, T, DTYPE_F32), inverse, T, 1e-6);
    args.T = 1;
    for (int64_t t = 0; t<T; t += T> 8 ? 511 : 1) {
        args.x = dx + t * C;
        args.y = arrays_blank(a, C, dtype);
        RUN(a, launch_rmsnorm(a->device.stream, &args));
        arrays_same("a row alone", arrays_get(a, args.y, C, dtype), y + t * C, C);
    }
    arrays_reset(a);
}

/* Σ dy · y of the row. */
static double objective(const double *x, const double *weight, const double *dy, int64_t C,
                        double *y) {
    double sum = 0;
    reference_rmsnorm(x, weight, y, 1, C, EPSILON);
    for (int64_t c = 0; c < C; c++)
        sum += dy[c] * y[c];
    return sum;
}

static double slope(double *at, const double *x, const double *weight, const double *dy, int64_t C,
                    double *y) {
    const double old = *at, step = 1e-5;
    *at = old + step;
    const double above = objective(x, weight, dy, C, y);
    *at = old - step;
    const double below = objective(x, weight, dy, C, y);
    *at = old;
    return (above - below) / (2 * step);
}

static void test_backward(struct arrays *a, int64_t T, int64_t C, enum dtype dtype) {
    float *x = arrays_normal(a, T * C, 0.2, 2), *weight = arrays_normal(a, C, 1, 0.2);
    float *dy = arrays_normal(a, T * C, 0, 1), *old = arrays_normal(a, T * C, 0, 1);
    const int64_t slots = norm_slots(T);
    void *ddy = arrays_put(a, dy, T * C, dtype);
    float *dweight = arrays_blank(a, C, DTYPE_F32), *inverse = arrays_blank(a, T, DTYPE_F32);
    const struct rmsnorm_launch forward = {.x = arrays_put(a, x, T * C, DTYPE_F32),
                                           .weight = arrays_put(a, weight, C, DTYPE_F32),
                                           .y = arrays_blank(a, T * C, DTYPE_F32),
                                           .inverse_rms = inverse,
                                           .T = T,
                                           .C = C,
                                           .epsilon = (float)EPSILON};
    RUN(a, launch_rmsnorm(a->device.stream, &forward));
    struct rmsnorm_backward_launch args = {.x = forward.x,
                                           .weight = forward.weight,
                                           .inverse_rms = inverse,
                                           .dy = ddy,
                                           .dx = arrays_put(a, old, T * C, DTYPE_F32),
                                           .dweight = dweight,
                                           .partial = arrays_blank(a, slots * C, DTYPE_F32),
                                           .T = T,
                                           .C = C,
                                           .dtype = dtype};
    RUN(a, launch_rmsnorm_backward(a->device.stream, &args));
    const float *dx = arrays_get(a, args.dx, T * C, DTYPE_F32);
    args.dweight = NULL; /* the same dx without it */
    args.dx = arrays_put(a, old, T * C, DTYPE_F32);
    RUN(a, launch_rmsnorm_backward(a->device.stream, &args));
    arrays_same("dx alone", arrays_get(a, args.dx, T * C, DTYPE_F32), dx, T * C);
    double *wide = arrays_widen(a, x, T * C), *wide_weight = arrays_widen(a, weight, C);
    double *wide_dy = arrays_widen(a, dy, T * C), *y = arrays_doubles(a, C);
    double *want = arrays_doubles(a, T * C), *want_weight = arrays_doubles(a, C);
    for (int64_t t = 0; t < T; t++) {
        double *row = wide + t * C;
        const double *gradient = wide_dy + t * C;
        objective(row, wide_weight, gradient, C, y);
        for (int64_t c = 0; c < C; c++)
            want_weight[c] += gradient[c] * y[c] / wide_weight[c];
        for (int64_t c = 0; c < C; c++)
            want[t * C + c] =
                (double)old[t * C + c] + slope(&row[c], row, wide_weight, gradient, C, y);
    }
    arrays_compare("dx", dx, want, T * C, 2e-6);
    arrays_compare("dweight", arrays_get(a, dweight, C, DTYPE_F32), want_weight, C, 2e-6);
    arrays_reset(a);
}

/* A number that is not finite, and squares that leave fp32, reach every element of their row and no
 * other row. */
static void test_nonfinite(struct arrays *a) {
    enum { T = 4, C = 70 };
    static const float bad[T] = {NAN, INFINITY, 1, 1e30f};
    float *x = arrays_normal(a, T * C, 0, 1), *weight = arrays_normal(a, C, 1, 0.1);
    for (int t = 0; t < T; t++)
        x[t * C + 33] = bad[t];
    const struct rmsnorm_launch args = {.x = arrays_put(a, x, T * C, DTYPE_F32),
                                        .weight = arrays_put(a, weight, C, DTYPE_F32),
                                        .y = arrays_blank(a, T * C, DTYPE_F32),
                                        .inverse_rms = arrays_blank(a, T, DTYPE_F32),
                                        .T = T,
                                        .C = C,
                                        .epsilon = (float)EPSILON};
    RUN(a, launch_rmsnorm(a->device.stream, &args));
    const float *y = arrays_get(a, args.y, T * C, DTYPE_F32);
    for (int i = 0; i < T * C; i++)
        CHECK((bool)isfinite(y[i]) == (i / C == 2));
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    static const int64_t widths[] = {1, 7, 64, 896, 2052, 3584, 5000};
    arrays_open(&a);
    const bool host = arrays_on_host(&a);
    for (int type = 0; type < 2; type++) {
        const enum dtype dtype = type == 0 ? DTYPE_F32 : DTYPE_BF16;
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            test_forward(&a, 3, widths[i], dtype);
            test_backward(&a, widths[i] < 1000 || !host ? 5 : 2, widths[i], dtype);
        }
        test_forward(&a, 2051, 8, dtype);
        test_backward(&a, 1301, 8, dtype); /* slots of several rows, the last of fewer */
        if (!host)
            test_forward(&a, 4099, 3584, dtype);
    }
    test_nonfinite(&a);
    arrays_close(&a);
    return CHECK_END();
}
