/* SPDX-License-Identifier: Apache-2.0
 *
 * Flat vectors: fixed point sums, scalar products, mixtures and AdamW. The expected values of AdamW
 * are PyTorch's (tests/data/backend/make_adamw.py).
 */
#include "fixture.h"

static void test_rounding(struct fixture *f) {
    enum { N = 21 };
    /* in units of 2^-scale_bits: halves go to the even neighbour */
    static const float values[N] = {0.5f,  1.5f,   2.5f, -0.5f, -1.5f, -2.5f,  0.49f,
                                    0.51f, -0.51f, 3,    -3,    1e6f,  8,      9,
                                    0.25f, -0.75f, 7.5f, 0,     -0.0f, 100.5f, 101.5f};
    static const int64_t want[N] = {0,       2, 2, 0, -2, -2, 0, 1, -1,  3,  -3,
                                    1000000, 8, 9, 0, -1, 8,  0, 0, 100, 102};
    for (int32_t bits = -4; bits <= 54; bits += 29) {
        float scaled[N];
        for (int i = 0; i < N; i++)
            scaled[i] = ldexpf(values[i], -bits);
        const float *x = fixture_floats(f, scaled, N);
        int64_t *total = fixture_upload(f, NULL, N * sizeof *total);
        struct refused *refused = fixture_upload(f, NULL, sizeof *refused);
        for (int64_t turn = 1; turn <= 2; turn++) {
            CHECK_OK(backend_run(&f->backend, accumulate, .values = x, .total = total, .n = N,
                                 .scale_bits = bits, .bound = 0x1p50, .refused = refused));
            for (int i = 0; i < N; i++)
                CHECK_EQ(total[i], turn * want[i]);
        }
        float *out = fixture_floats(f, NULL, N);
        CHECK_OK(backend_run(&f->backend, resolve, .total = total, .out = out, .n = N,
                             .scale_bits = bits));
        for (int i = 0; i < N; i++)
            CHECK_NEAR(out[i], ldexp((double)(2 * want[i]), -bits), 0);
        CHECK_NEAR(refused->largest, 0, 0);
        CHECK_EQ(refused->nonfinite, 0);
        fixture_reset(f);
    }
}

/* Addends above the bound or not finite leave the total as it was; the largest of the former is
 * told, the latter are counted. */
static void test_refused(struct fixture *f) {
    enum { N = 70000 };
    const double bound = 0x1p58;
    float *values = calloc(N, sizeof *values);
    const struct refused before = {.largest = 17, .nonfinite = 7};
    struct refused *refused = fixture_upload(f, &before, sizeof before);
    for (int i = 0; i < N; i++)
        values[i] = i % 1000 == 3   ? 17.0f  /* 2^54 · 17 > 2^58 */
                    : i % 1000 == 4 ? -16.0f /* just allowed */
                    : i % 1000 == 5 ? -1e30f
                    : i % 1000 == 6 ? NAN
                    : i % 1000 == 7 ? INFINITY
                                    : 0.125f;
    int64_t *total = fixture_upload(f, NULL, N * sizeof *total);
    CHECK_OK(backend_run(&f->backend, accumulate, .values = fixture_floats(f, values, N),
                         .total = total, .n = N, .scale_bits = 54, .bound = bound,
                         .refused = refused));
    CHECK_NEAR(refused->largest, (double)1e30f, 0);
    CHECK_EQ(refused->nonfinite, 7 + 2 * 70);
    for (int i = 0; i < N; i++) {
        const int64_t kind = i % 1000;
        const int64_t want = kind == 4                ? -((int64_t)1 << 58)
                             : kind >= 3 && kind <= 7 ? 0
                                                      : (int64_t)1 << 51;
        if (total[i] != want)
            CHECK_EQ(total[i], want);
    }
    free(values);
    fixture_reset(f);
}

/* Rows of a matrix: the others stay, what cannot be added is told as for vectors. */
static void test_rows(struct fixture *f, int64_t C) {
    enum { ROWS = 40, R = 5 };
    static const int32_t rows[R] = {0, 3, 4, 5, 39};
    const double bound = 0x1p50;
    float *values = fixture_normal(f, R * C, 0, 1);
    values[2 * C + 1] = 0x1p12f; /* · 2^40 > 2^50 */
    values[4 * C] = NAN;
    values[C + C - 1] = -0x1p11f;
    int64_t *total = fixture_upload(f, NULL, (size_t)(ROWS * C) * sizeof *total);
    struct refused *refused = fixture_upload(f, NULL, sizeof *refused);
    for (int64_t i = 0; i < ROWS * C; i++)
        total[i] = i;
    for (int turn = 1; turn <= 2; turn++)
        CHECK_OK(backend_run(&f->backend, accumulate_rows, .values = values,
                             .rows = fixture_ints(f, rows, R), .total = total, .R = R, .C = C,
                             .scale_bits = 40, .bound = bound, .refused = refused));
    int wrong = 0;
    for (int64_t row = 0, r = 0; row < ROWS; row++) {
        const bool here = r < R && rows[r] == row;
        for (int64_t c = 0; c < C; c++) {
            const double scaled = here ? ldexp((double)values[r * C + c], 40) : 0;
            const bool added = isfinite(scaled) && fabs(scaled) <= bound;
            wrong += total[row * C + c] != row * C + c + (added ? 2 * llrint(scaled) : 0);
        }
        r += here;
    }
    CHECK_EQ(wrong, 0);
    CHECK_NEAR(refused->largest, 0x1p12, 0);
    CHECK_EQ(refused->nonfinite, 2);
    fixture_reset(f);
}

/* Sums of many addends do not depend on their order, and are those of integers. */
static void test_order(struct fixture *f) {
    enum { N = 1003, TILES = 9 };
    int64_t *totals[2];
    struct refused *refused = fixture_upload(f, NULL, sizeof *refused);
    const float *tiles[TILES];
    for (int t = 0; t < TILES; t++)
        tiles[t] = fixture_normal(f, N, 0, 1e-6 * pow(10, t));
    for (int order = 0; order < 2; order++) {
        totals[order] = fixture_upload(f, NULL, N * sizeof *totals[order]);
        for (int t = 0; t < TILES; t++)
            CHECK_OK(backend_run(&f->backend, accumulate,
                                 .values = tiles[order == 0 ? t : TILES - 1 - t],
                                 .total = totals[order], .n = N, .scale_bits = 40, .bound = 0x1p60,
                                 .refused = refused));
    }
    for (int i = 0; i < N; i++) {
        int64_t want = 0;
        for (int t = 0; t < TILES; t++)
            want += llrint(ldexp((double)tiles[t][i], 40));
        CHECK_EQ(totals[0][i], want);
        CHECK_EQ(totals[1][i], want);
    }
    fixture_reset(f);
}

static void test_dot(struct fixture *f, int64_t n) {
    const float *x = fixture_normal(f, n, 0.5, 1), *y = fixture_normal(f, n, 0.5, 1);
    double *blocks = fixture_upload(f, NULL, 4 * sizeof *blocks);
    CHECK_OK(backend_run(&f->backend, dot, .x = x, .y = y, .blocks = blocks, .n = n));
    for (int64_t at = 0; at < n; at += VECTOR_BLOCK) {
        double want = 0;
        for (int64_t i = at; i < n && i < at + VECTOR_BLOCK; i++)
            want += (double)x[i] * (double)y[i];
        CHECK_NEAR(blocks[at / VECTOR_BLOCK], want, 1e-13 * (double)VECTOR_BLOCK);
    }
    fixture_reset(f);
}

static void test_lerp(struct fixture *f, int64_t n) {
    const float *x = fixture_normal(f, n, 0, 1), *y = fixture_normal(f, n, 0, 1);
    float *out = fixture_floats(f, NULL, n), *own = fixture_floats(f, NULL, n);
    double *want = fixture_host(f, n);
    for (int64_t i = 0; i < n; i++)
        want[i] = (double)x[i] + (double)0.3f * ((double)y[i] - (double)x[i]);
    CHECK_OK(backend_run(&f->backend, lerp, .x = x, .y = y, .out = out, .n = n, .factor = 0.3f));
    fixture_compare(f, "lerp", out, want, n, 2e-7);
    CHECK_OK(f->backend.ops->upload(&f->backend, own, x, (size_t)n * sizeof *own));
    CHECK_OK(backend_run(&f->backend, lerp, .x = own, .y = y, .out = own, .n = n, .factor = 0.3f));
    fixture_same(f, "lerp into x", out, own, n);
    CHECK_OK(f->backend.ops->upload(&f->backend, own, y, (size_t)n * sizeof *own));
    CHECK_OK(backend_run(&f->backend, lerp, .x = x, .y = own, .out = own, .n = n, .factor = 0.3f));
    fixture_same(f, "lerp into y", out, own, n);
    fixture_reset(f);
}

static void test_copy_and_add(struct fixture *f, int64_t n) {
    const float *x = fixture_normal(f, n, 0, 1), *y = fixture_normal(f, n, 0, 1);
    float *out = fixture_floats(f, NULL, n), *want = fixture_floats(f, NULL, n);
    CHECK_OK(backend_run(&f->backend, copy, .x = x, .out = out, .n = n));
    fixture_same(f, "copy", out, x, n);
    for (int64_t i = 0; i < n; i++)
        want[i] = x[i] + y[i];
    CHECK_OK(backend_run(&f->backend, add, .x = y, .out = out, .n = n));
    fixture_same(f, "add", out, want, n);
    fixture_reset(f);
}

static struct adamw_args adamw_settings(int step) {
    return (struct adamw_args){.learning_rate = 3e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .epsilon = 1e-8,
                               .weight_decay = 0.1,
                               .gradient_scale = 0.7,
                               .correction1 = 1 - pow(0.9, step),
                               .correction2 = 1 - pow(0.999, step)};
}

static void test_adamw(struct fixture *f, int64_t n) {
    float *vectors[3] = {fixture_normal(f, n, 0, 1), fixture_floats(f, NULL, n),
                         fixture_floats(f, NULL, n)};
    double *want[3];
    for (int i = 0; i < 3; i++)
        want[i] = fixture_doubles(f, vectors[i], n);
    for (int step = 1; step <= 4; step++) {
        const float *gradient = fixture_normal(f, n, 0, step == 3 ? 1e-5 : 1);
        const double *g = fixture_doubles(f, gradient, n);
        struct adamw_args args = adamw_settings(step);
        args.parameters = vectors[0];
        args.exp_avg = vectors[1];
        args.exp_avg_sq = vectors[2];
        args.gradient = gradient;
        args.n = n;
        CHECK_OK(f->backend.ops->adamw(&f->backend, &args));
        for (int64_t i = 0; i < n; i++)
            reference_adamw(&args, g[i], &want[0][i], &want[1][i], &want[2][i]);
    }
    fixture_compare(f, "adamw, parameters", vectors[0], want[0], n, 3e-7);
    fixture_compare(f, "adamw, exp_avg", vectors[1], want[1], n, 3e-7);
    fixture_compare(f, "adamw, exp_avg_sq", vectors[2], want[2], n, 3e-7);
    fixture_reset(f);
}

/* tests/data/backend/adamw.txt: n, steps, then by element the parameter before, the gradients, and
 * PyTorch's parameter, exp_avg and exp_avg_sq after the last step. */
static void test_torch(struct fixture *f) {
    int n = 0, steps = 0;
    FILE *file = fopen("tests/data/backend/adamw.txt", "r");
    CHECK(file != NULL);
    if (file == NULL || fscanf(file, "%d %d", &n, &steps) != 2 || n <= 0 || n > 1000) {
        CHECK_FAILED("tests/data/backend/adamw.txt cannot be read");
        return;
    }
    float *parameters = fixture_floats(f, NULL, n), *gradients = fixture_floats(f, NULL, n * steps);
    double *want[3];
    for (int i = 0; i < 3; i++)
        want[i] = fixture_host(f, n);
    for (int i = 0; i < n; i++) {
        int read = fscanf(file, "%f", &parameters[i]);
        for (int step = 0; step < steps; step++)
            read += fscanf(file, "%f", &gradients[step * n + i]);
        for (int k = 0; k < 3; k++)
            read += fscanf(file, "%lf", &want[k][i]);
        CHECK_EQ(read, 4 + steps);
    }
    fclose(file);
    struct adamw_args args = {.parameters = NULL};
    float *exp_avg = fixture_floats(f, NULL, n), *exp_avg_sq = fixture_floats(f, NULL, n);
    for (int step = 1; step <= steps; step++) {
        args = adamw_settings(step);
        args.parameters = parameters;
        args.exp_avg = exp_avg;
        args.exp_avg_sq = exp_avg_sq;
        args.gradient = gradients + (int64_t)(step - 1) * n;
        args.n = n;
        CHECK_OK(f->backend.ops->adamw(&f->backend, &args));
    }
    fixture_compare(f, "torch.optim.AdamW, parameters", parameters, want[0], n, 1.2e-7);
    fixture_compare(f, "torch.optim.AdamW, exp_avg", exp_avg, want[1], n, 1.2e-7);
    fixture_compare(f, "torch.optim.AdamW, exp_avg_sq", exp_avg_sq, want[2], n, 1.2e-7);
    fixture_reset(f);
}

static void test_all(struct fixture *f) {
    test_rounding(f);
    test_refused(f);
    test_rows(f, 3);
    test_rows(f, 20000);
    test_order(f);
    test_dot(f, 1);
    test_dot(f, 37);
    test_dot(f, 2 * VECTOR_BLOCK + 11);
    test_copy_and_add(f, 5);
    test_copy_and_add(f, 40001);
    test_lerp(f, 5);
    test_lerp(f, 40001);
    test_adamw(f, 3);
    test_adamw(f, 33333);
    test_torch(f);
}

int main(void) {
    fixture_each(test_all);
    return CHECK_END();
}
