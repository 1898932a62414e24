/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary embedding on the device, with and without norms of the heads: values against the formula in
 * double, the gradient against central differences of it, rows alone and in company bit for bit.
 */
#include "arrays.h"
#include "cuda/kernel/rope.h"

static const double EPSILON = 1e-5;
enum { POSITIONS = 50 };

struct problem {
    int64_t T, H, K, D;
    enum dtype dtype;
    float *qkv, *table, *q_norm, *k_norm;
    int32_t *positions;
    struct rope_launch args;
};

static struct problem problem_make(struct arrays *a, int64_t T, int64_t D, enum dtype dtype,
                                   bool norms) {
    struct problem p = {.T = T, .H = 3, .K = 2, .D = D, .dtype = dtype};
    const int64_t n = T * (p.H + 2 * p.K) * D;
    p.qkv = arrays_normal(a, n, 0.1, 1.5);
    p.table = arrays_normal(a, POSITIONS * D, 0, 1);
    p.q_norm = norms ? arrays_normal(a, D, 1, 0.2) : NULL;
    p.k_norm = norms ? arrays_normal(a, D, 1, 0.2) : NULL;
    p.positions = arrays_host(a, T, sizeof *p.positions);
    for (int64_t t = 0; t < T; t++)
        p.positions[t] = (int32_t)((7 * t + 3) % POSITIONS);
    p.args = (struct rope_launch){
        .qkv = arrays_put(a, p.qkv, n, dtype),
        .positions = arrays_upload(a, p.positions, (size_t)T * sizeof *p.positions),
        .table = arrays_put(a, p.table, POSITIONS * D, DTYPE_F32),
        .q_norm = norms ? arrays_put(a, p.q_norm, D, DTYPE_F32) : NULL,
        .k_norm = norms ? arrays_put(a, p.k_norm, D, DTYPE_F32) : NULL,
        .out = arrays_blank(a, n, dtype),
        .T = T,
        .H = p.H,
        .K = p.K,
        .D = D,
        .epsilon = (float)EPSILON,
        .dtype = dtype};
    return p;
}

static int64_t width(const struct problem *p) {
    return (p->H + 2 * p->K) * p->D;
}

/* The reference with everything widened. */
static struct reference_rope widened(struct arrays *a, const struct problem *p) {
    const bool norms = p->q_norm != NULL;
    return (struct reference_rope){.qkv = arrays_widen(a, p->qkv, p->T * width(p)),
                                   .positions = p->positions,
                                   .table = arrays_widen(a, p->table, POSITIONS * p->D),
                                   .q_norm = norms ? arrays_widen(a, p->q_norm, p->D) : NULL,
                                   .k_norm = norms ? arrays_widen(a, p->k_norm, p->D) : NULL,
                                   .out = arrays_doubles(a, p->T * width(p)),
                                   .T = p->T,
                                   .H = p->H,
                                   .K = p->K,
                                   .D = p->D,
                                   .epsilon = EPSILON};
}

static void test_forward(struct arrays *a, int64_t T, int64_t D, enum dtype dtype, bool norms) {
    struct problem p = problem_make(a, T, D, dtype, norms);
    const int64_t n = T * width(&p);
    const struct reference_rope want = widened(a, &p);
    reference_rope(&want);
    RUN(a, launch_rope(a->device.stream, &p.args));
    const float *have = arrays_get(a, p.args.out, n, dtype);
    arrays_compare("rope", have, want.out, n, arrays_tolerance(dtype, 1e-6));
    struct rope_launch other = p.args;
    other.T = 1;
    for (int64_t t = 0; t < T; t++) {
        other.qkv = (const char *)p.args.qkv + (size_t)(t * width(&p)) * dtype_bytes(dtype);
        other.positions = p.args.positions + t;
        other.out = arrays_blank(a, width(&p), dtype);
        RUN(a, launch_rope(a->device.stream, &other));
        arrays_same("a row alone", arrays_get(a, other.out, width(&p), dtype), have + t * width(&p),
                    width(&p));
    }
    other = p.args;
    other.qkv = other.out = arrays_put(a, p.qkv, n, dtype);
    RUN(a, launch_rope(a->device.stream, &other));
    arrays_same("in place", arrays_get(a, other.out, n, dtype), have, n);
    arrays_reset(a);
}

static double objective(const struct reference_rope *r, const double *dy, int64_t n) {
    double sum = 0;
    reference_rope(r);
    for (int64_t i = 0; i < n; i++)
        sum += dy[i] * r->out[i];
    return sum;
}

/* Of the objective with respect to *at, a number that the reference reads. */
static double slope(const struct reference_rope *r, const double *at, const double *dy, int64_t n) {
    const double step = 1e-5;
    double *place = (double *)(uintptr_t)at;
    *place += step;
    const double above = objective(r, dy, n);
    *place -= 2 * step;
    const double below = objective(r, dy, n);
    *place += step;
    return (above - below) / (2 * step);
}

static void test_backward(struct arrays *a, int64_t T, int64_t D, enum dtype dtype, bool norms) {
    struct problem p = problem_make(a, T, D, dtype, norms);
    const int64_t n = T * width(&p), slots = rope_slots(T);
    float *dy = arrays_normal(a, n, 0, 1);
    struct rope_backward_launch args = {.forward = p.args,
                                        .dqkv = arrays_put(a, dy, n, dtype),
                                        .dq_norm = norms ? arrays_blank(a, D, DTYPE_F32) : NULL,
                                        .dk_norm = norms ? arrays_blank(a, D, DTYPE_F32) : NULL,
                                        .partial = norms ? arrays_blank(a, slots * 2 * D, DTYPE_F32)
                                                         : NULL};
    args.forward.out = NULL;
    RUN(a, launch_rope_backward(a->device.stream, &args));
    const struct reference_rope r = widened(a, &p);
    const double *wide = arrays_widen(a, dy, n);
    double *want = arrays_doubles(a, n), *want_norm = arrays_doubles(a, D);
    for (int64_t i = 0; i < n; i++) { /* a row depends on itself alone */
        struct reference_rope row = r;
        const int64_t t = i / width(&p);
        row.qkv += t * width(&p);
        row.positions += t;
        row.T = 1;
        want[i] = slope(&row, r.qkv + i, wide + t * width(&p), width(&p));
    }
    const float *dqkv = arrays_get(a, args.dqkv, n, dtype);
    arrays_compare("dqkv", dqkv, want, n, arrays_tolerance(dtype, 3e-6));
    for (int which = 0; norms && which < 2; which++) {
        const double *norm = which == 0 ? r.q_norm : r.k_norm;
        for (int64_t d = 0; d < D; d++)
            want_norm[d] = slope(&r, norm + d, wide, n);
        arrays_compare(which == 0 ? "dq_norm" : "dk_norm",
                       arrays_get(a, which == 0 ? args.dq_norm : args.dk_norm, D, DTYPE_F32),
                       want_norm, D, 3e-6);
    }
    if (norms) { /* nobody wants the norms' */
        args.dq_norm = args.dk_norm = args.partial = NULL;
        args.dqkv = arrays_put(a, dy, n, dtype);
        RUN(a, launch_rope_backward(a->device.stream, &args));
        arrays_same("dqkv alone", arrays_get(a, args.dqkv, n, dtype), dqkv, n);
    }
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    static const int64_t sizes[] = {2, 6, 16, 64, 80, 128, 256};
    arrays_open(&a);
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const enum dtype dtype = kind / 2 == 0 ? DTYPE_F32 : DTYPE_BF16;
            test_forward(&a, 5, sizes[i], dtype, kind % 2 == 1);
            test_backward(&a, sizes[i] < 64 ? 9 : 3, sizes[i], dtype, kind % 2 == 1);
        }
    test_backward(&a, 301, 8, DTYPE_F32, true); /* slots of several rows */
    arrays_close(&a);
    return CHECK_END();
}
