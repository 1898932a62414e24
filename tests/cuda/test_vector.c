/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors on the device: sums in fixed point are the integers of the CPU backend, what they
 * refuse is counted alike, and conversions are exact or rounded to even.
 */
#include "arrays.h"
#include "cuda/kernel/vector.h"

static struct refused refused_of(struct arrays *a, const struct refused *device) {
    struct refused refused;
    fixture_download(&a->device, &refused, device, sizeof refused);
    return refused;
}

/* Ties, numbers above the bound and numbers that are not finite among ordinary ones. */
static float *addends(struct arrays *a, int64_t n, int bits) {
    float *values = arrays_normal(a, n, 0, ldexp(100, -bits));
    static const float odd[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0x1p50f, -0x1.8p50f};
    for (int64_t i = 0; i < n; i++) {
        if (i % 5 == 1)
            values[i] = ldexpf(odd[i % 8], -bits);
        if (i % 97 == 3)
            values[i] = i % 2 == 0 ? NAN : -INFINITY;
    }
    return values;
}

static void cpu_accumulate(int64_t *total, const float *values, int64_t n, int bits, double bound,
                           struct refused *refused) {
    struct backend cpu;
    CHECK_OK(backend_open(&cpu, "cpu", 1));
    CHECK_OK(backend_run(&cpu, accumulate, .values = values, .total = total, .n = n,
                         .scale_bits = bits, .bound = bound, .refused = refused));
    backend_close(&cpu);
}

static void same_totals(struct arrays *a, const char *what, const int64_t *device,
                        const int64_t *want, int64_t n) {
    int64_t *have = arrays_host(a, n, sizeof *have);
    fixture_download(&a->device, have, device, (size_t)n * sizeof *have);
    for (int64_t i = 0; i < n; i++)
        if (have[i] != want[i]) {
            CHECK_FAILED("%s: element %lld is %lld, expected %lld", what, (long long)i,
                         (long long)have[i], (long long)want[i]);
            return;
        }
}

static void same_refused(struct arrays *a, const struct refused *device, struct refused want) {
    const struct refused have = refused_of(a, device);
    CHECK_NEAR(have.largest, want.largest, 0);
    CHECK_EQ(have.nonfinite, want.nonfinite);
}

/* Twice, so that totals and what was refused go on from what they were. */
static void test_accumulate(struct arrays *a, int64_t n, int64_t offset, int bits) {
    const double bound = 0x1p50;
    float *values = addends(a, n + offset, bits);
    int64_t *want = arrays_host(a, n, sizeof *want);
    struct refused refused = {.largest = 0.25, .nonfinite = 7};
    for (int64_t i = 0; i < n; i++)
        want[i] = 1000 * i - 7;
    int64_t *total = arrays_upload(a, want, (size_t)n * sizeof *want);
    const float *on_device = arrays_upload(a, values, (size_t)(n + offset) * sizeof *values);
    const struct accumulate_launch args = {
        .values = on_device + offset,
        .total = total,
        .n = n,
        .scale_bits = bits,
        .bound = bound,
        .refused = arrays_upload(a, &refused, sizeof refused),
        .parts = arrays_upload(a, NULL, VECTOR_PARTS * sizeof refused)};
    for (int turn = 0; turn < 2; turn++) {
        RUN(a, launch_accumulate(a->device.stream, &args));
        cpu_accumulate(want, values + offset, n, bits, bound, &refused);
    }
    same_totals(a, "accumulate", total, want, n);
    same_refused(a, args.refused, refused);
    struct resolve_launch back = {
        .total = total, .out = arrays_blank(a, n, DTYPE_F32), .n = n, .scale_bits = bits};
    RUN(a, launch_resolve(a->device.stream, &back));
    float *resolved = arrays_host(a, n, sizeof *resolved);
    for (int64_t i = 0; i < n; i++)
        resolved[i] = (float)ldexp((double)want[i], -bits);
    arrays_same("resolve", arrays_get(a, back.out, n, DTYPE_F32), resolved, n);
    arrays_reset(a);
}

static void test_accumulate_rows(struct arrays *a, int64_t C) {
    enum { ROWS = 12, COUNT = 4, BITS = 20 };
    static const int32_t rows[COUNT] = {1, 4, 5, 11};
    const double bound = 0x1p50;
    float *values = addends(a, COUNT * C, BITS);
    int64_t *want = arrays_host(a, ROWS * C, sizeof *want);
    struct refused refused = {.largest = 0};
    int64_t *total = arrays_upload(a, want, (size_t)(ROWS * C) * sizeof *want);
    const struct accumulate_rows_launch args = {
        .values = arrays_upload(a, values, (size_t)(COUNT * C) * sizeof *values),
        .rows = arrays_upload(a, rows, sizeof rows),
        .total = total,
        .count = COUNT,
        .C = C,
        .scale_bits = BITS,
        .bound = bound,
        .refused = arrays_upload(a, &refused, sizeof refused),
        .parts = arrays_upload(a, NULL, VECTOR_PARTS * sizeof refused)};
    RUN(a, launch_accumulate_rows(a->device.stream, &args));
    for (int i = 0; i < COUNT; i++)
        cpu_accumulate(want + rows[i] * C, values + i * C, C, BITS, bound, &refused);
    same_totals(a, "accumulate_rows", total, want, ROWS * C);
    same_refused(a, args.refused, refused);
    arrays_reset(a);
}

static void test_dot(struct arrays *a, int64_t n) {
    float *x = arrays_normal(a, n, 0.5, 1), *y = arrays_normal(a, n, 0.5, 1);
    const int64_t count = (n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    const struct dot_launch args = {.x = arrays_put(a, x, n, DTYPE_F32),
                                    .y = arrays_put(a, y, n, DTYPE_F32),
                                    .blocks = arrays_upload(a, NULL, (size_t)count * 8),
                                    .n = n};
    RUN(a, launch_dot(a->device.stream, &args));
    double *blocks = arrays_doubles(a, count);
    fixture_download(&a->device, blocks, args.blocks, (size_t)count * sizeof *blocks);
    for (int64_t at = 0; at < n; at += VECTOR_BLOCK) {
        double want = 0;
        for (int64_t i = at; i < n && i < at + VECTOR_BLOCK; i++)
            want += (double)x[i] * (double)y[i];
        CHECK_NEAR(blocks[at / VECTOR_BLOCK], want, 1e-13 * (double)VECTOR_BLOCK);
    }
    arrays_reset(a);
}

static void test_mixtures(struct arrays *a, int64_t n) {
    float *x = arrays_normal(a, n, 0, 1), *y = arrays_normal(a, n, 0, 1);
    float *sum = arrays_host(a, n, sizeof *sum), *mixed = arrays_host(a, n, sizeof *mixed);
    for (int64_t i = 0; i < n; i++) {
        sum[i] = y[i] + x[i];
        mixed[i] = fmaf(0.3f, y[i] - x[i], x[i]);
    }
    float *dx = arrays_put(a, x, n, DTYPE_F32), *dy = arrays_put(a, y, n, DTYPE_F32);
    float *out = arrays_put(a, y, n, DTYPE_F32);
    RUN(a, launch_add(a->device.stream, &(struct add_launch){dx, out, n}));
    arrays_same("add", arrays_get(a, out, n, DTYPE_F32), sum, n);
    RUN(a, launch_lerp(a->device.stream, &(struct lerp_launch){dx, dy, out, n, 0.3f}));
    arrays_same("lerp", arrays_get(a, out, n, DTYPE_F32), mixed, n);
    RUN(a, launch_lerp(a->device.stream, &(struct lerp_launch){dx, dy, dx, n, 0.3f}));
    arrays_same("lerp into x", arrays_get(a, dx, n, DTYPE_F32), mixed, n);
    arrays_reset(a);
}

static void check_nonfinite(struct arrays *a, float *x, int64_t n, enum dtype dtype, int64_t want) {
    int64_t first;
    const struct nonfinite_launch args = {.x = arrays_put(a, x, n, dtype),
                                          .first = arrays_upload(a, NULL, sizeof first),
                                          .parts =
                                              arrays_upload(a, NULL, VECTOR_PARTS * sizeof first),
                                          .n = n,
                                          .dtype = dtype};
    RUN(a, launch_nonfinite(a->device.stream, &args));
    fixture_download(&a->device, &first, args.first, sizeof first);
    CHECK_EQ(first, want);
}

static void test_nonfinite(struct arrays *a, int64_t n) {
    for (int type = 0; type < 2; type++) {
        const enum dtype dtype = type == 0 ? DTYPE_F32 : DTYPE_BF16;
        float *x = arrays_normal(a, n, 0, 1);
        check_nonfinite(a, x, n, dtype, -1);
        x[n - 1] = -INFINITY;
        check_nonfinite(a, x, n, dtype, n - 1);
        x[n / 2] = INFINITY;
        x[n / 2 + n / 4] = NAN;
        check_nonfinite(a, x, n, dtype, n / 2);
        arrays_reset(a);
    }
}

/* Every number of 16 bits widened, and numbers around the borders of bf16 rounded. */
static void test_widen(struct arrays *a, enum dtype dtype) {
    enum { N = 1 << 16 };
    uint16_t *x = arrays_host(a, N, sizeof *x);
    float *want = arrays_host(a, N, sizeof *want);
    for (int i = 0; i < N; i++)
        x[i] = (uint16_t)i;
    dtype_to_f32(dtype, x, want, N);
    const struct convert_launch args = {.x = arrays_upload(a, x, N * sizeof *x),
                                        .out = arrays_blank(a, N, DTYPE_F32),
                                        .n = N,
                                        .from = dtype,
                                        .to = DTYPE_F32};
    RUN(a, launch_convert(a->device.stream, &args));
    const float *have = arrays_get(a, args.out, N, DTYPE_F32);
    for (int i = 0; i < N; i++)
        if (isnan(want[i]) ? !isnan(have[i]) : memcmp(have + i, want + i, sizeof *have) != 0) {
            CHECK_FAILED("%s %04x is %.9g, expected %.9g", dtype_name(dtype), (unsigned)i,
                         (double)have[i], (double)want[i]);
            break;
        }
    arrays_reset(a);
}

static void test_round(struct arrays *a, int64_t n) {
    static const uint32_t ends[] = {0x7fff, 0x8000, 0x8001, 0x0000, 0xffff};
    float *x = arrays_host(a, n, sizeof *x), *want = arrays_host(a, n, sizeof *want);
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)(i * 2654435761u) << 16 | ends[i % 5];
        memcpy(&x[i], &bits, sizeof bits);
        want[i] = x[i];
    }
    const struct convert_launch args = {.x = arrays_upload(a, x, (size_t)n * sizeof *x),
                                        .out = arrays_blank(a, n, DTYPE_BF16),
                                        .n = n,
                                        .from = DTYPE_F32,
                                        .to = DTYPE_BF16};
    RUN(a, launch_convert(a->device.stream, &args));
    arrays_put(a, want, n, DTYPE_BF16);
    const float *have = arrays_get(a, args.out, n, DTYPE_BF16);
    for (int64_t i = 0; i < n; i++)
        if (isnan(want[i]) ? !isnan(have[i]) : memcmp(have + i, want + i, sizeof *have) != 0) {
            CHECK_FAILED("bf16 of %.9g is %.9g, expected %.9g", (double)x[i], (double)have[i],
                         (double)want[i]);
            break;
        }
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    static const int64_t sizes[] = {1, 7, 1024, 5003};
    arrays_open(&a);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        test_accumulate(&a, sizes[i], 0, 40);
        test_accumulate(&a, sizes[i], 1, -3);
        test_mixtures(&a, sizes[i]);
        test_dot(&a, sizes[i]);
        test_round(&a, sizes[i]);
        if (sizes[i] > 1)
            test_nonfinite(&a, sizes[i]);
    }
    test_accumulate_rows(&a, 5);
    test_accumulate_rows(&a, 300);
    test_dot(&a, VECTOR_BLOCK + 3000);
    test_widen(&a, DTYPE_BF16);
    test_widen(&a, DTYPE_F16);
    if (!arrays_on_host(&a)) /* every block several times */
        test_accumulate(&a, 3000000, 0, 40);
    arrays_close(&a);
    return CHECK_END();
}
