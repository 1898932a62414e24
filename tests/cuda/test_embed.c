/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows by index on the device: exact copies, and sums whose order is that of the CPU backend, bit for
 * bit.
 */
#include "arrays.h"
#include "cuda/kernel/embed.h"

static void test_embed(struct arrays *a, int64_t C, enum dtype dtype) {
    enum { V = 19, T = 9 };
    static const int32_t tokens[T] = {3, 18, 0, 3, V, -1, 7, 18, 1};
    float *table = arrays_normal(a, V * C, 0, 1);
    const struct embed_launch args = {.table = arrays_put(a, table, V * C, dtype),
                                      .tokens = arrays_upload(a, tokens, sizeof tokens),
                                      .out = arrays_blank(a, T * C, DTYPE_F32),
                                      .T = T,
                                      .V = V,
                                      .C = C,
                                      .dtype = dtype};
    RUN(a, launch_embed(a->device.stream, &args));
    const float *out = arrays_get(a, args.out, T * C, DTYPE_F32);
    for (int64_t t = 0; t < T; t++) {
        if (tokens[t] >= 0 && tokens[t] < V)
            arrays_same("embed", out + t * C, table + tokens[t] * C, C);
        for (int64_t c = 0; c < C && (tokens[t] < 0 || tokens[t] >= V); c++)
            CHECK(isnan(out[t * C + c]));
    }
    arrays_reset(a);
}

static void test_gather(struct arrays *a, int64_t C) {
    enum { N = 11, R = 6 };
    static const int32_t rows[R] = {10, 0, 4, 4, 9, 1};
    float *x = arrays_normal(a, N * C, 0, 1);
    const struct gather_rows_launch args = {.x = arrays_put(a, x, N * C, DTYPE_F32),
                                            .rows = arrays_upload(a, rows, sizeof rows),
                                            .out = arrays_blank(a, R * C, DTYPE_F32),
                                            .R = R,
                                            .C = C};
    RUN(a, launch_gather_rows(a->device.stream, &args));
    const float *out = arrays_get(a, args.out, R * C, DTYPE_F32);
    for (int64_t r = 0; r < R; r++)
        arrays_same("gather", out + r * C, x + rows[r] * C, C);
    arrays_reset(a);
}

/* R rows to N places, some of them many times, against plain loops. */
static void test_scatter(struct arrays *a, int64_t R, int64_t N, int64_t C) {
    float *x = arrays_normal(a, R * C, 0, 1), *want = arrays_normal(a, N * C, 0, 1);
    int32_t *rows = arrays_host(a, R, sizeof *rows);
    for (int64_t r = 0; r < R; r++)
        rows[r] = (int32_t)(r % 3 == 0 ? 1 % N : (r * r * 7 + r / 5) % N);
    const struct scatter_rows_launch args = {
        .x = arrays_put(a, x, R * C, DTYPE_F32),
        .rows = arrays_upload(a, rows, (size_t)R * sizeof *rows),
        .out = arrays_put(a, want, N * C, DTYPE_F32),
        .places = arrays_upload(a, NULL, (size_t)(2 * R) * sizeof *rows),
        .R = R,
        .C = C};
    RUN(a, launch_scatter_rows(a->device.stream, &args));
    for (int64_t r = 0; r < R; r++)
        for (int64_t c = 0; c < C; c++)
            want[rows[r] * C + c] += x[r * C + c];
    arrays_same("scatter", arrays_get(a, args.out, N * C, DTYPE_F32), want, N * C);
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    static const int64_t widths[] = {1, 7, 64, 896, 3584};
    arrays_open(&a);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        test_embed(&a, widths[i], DTYPE_F32);
        test_embed(&a, widths[i], DTYPE_BF16);
        test_gather(&a, widths[i]);
        test_scatter(&a, 1, 1, widths[i]);
        test_scatter(&a, 37, 50, widths[i]);
    }
    test_scatter(&a, 300, 20, 12);
    test_scatter(&a, 257, 4, 5);
    test_scatter(&a, 64, 1, 5); /* as many as a warp reads at once, twice */
    test_scatter(&a, 33, 1, 132);
    if (!arrays_on_host(&a))
        test_scatter(&a, 16384, 3000, 896);
    arrays_close(&a);
    return CHECK_END();
}
