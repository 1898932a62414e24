/* SPDX-License-Identifier: Apache-2.0
 *
 * Every forward operation against its formula in double, and the promise that a row's bits depend
 * on that row alone; the output head has test_head.c.
 */
#include "fixture.h"

static void test_gemm(struct fixture *f) {
    static const int64_t shapes[][3] = {{1, 32, 16}, {3, 37, 19}, {9, 100, 65}, {33, 64, 128}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++, fixture_reset(f)) {
        const int64_t M = shapes[i][0], N = shapes[i][1], K = shapes[i][2];
        const float *x = fixture_normal(f, M * K, 0, 1), *w = fixture_normal(f, N * K, 0, 1);
        const float *bias = fixture_normal(f, N, 0, 1), *residual = fixture_normal(f, M * N, 0, 1);
        float *y = fixture_floats(f, NULL, M * N);
        const struct weight weight = fixture_weight(f, w, N, K);
        double *want = fixture_host(f, M * N);
        reference_gemm(fixture_doubles(f, x, M * K), fixture_doubles(f, w, N * K),
                       fixture_doubles(f, bias, N), fixture_doubles(f, residual, M * N), want, M, N,
                       K);
        CHECK_OK(backend_run(&f->backend, gemm, .x = x, .weight = weight, .bias = bias,
                             .residual = residual, .y = y, .M = M, .ldx = K, .ldy = N));
        fixture_compare(f, "gemm", y, want, M * N, 1e-6);
    }
}

static void test_embed(struct fixture *f) {
    const int64_t V = 70, C = 24, T = 5;
    const int32_t ids[] = {69, 0, 33, 32, 33};
    const float *table = fixture_normal(f, V * C, 0, 1);
    float *out = fixture_floats(f, NULL, T * C);
    double *want = fixture_host(f, T * C);
    const struct weight weight = fixture_weight(f, table, V, C);
    reference_embed(fixture_doubles(f, table, V * C), ids, want, T, C);
    const int32_t *tokens = fixture_ints(f, ids, T);
    CHECK_OK(
        backend_run(&f->backend, embed, .table = weight, .tokens = tokens, .out = out, .T = T));
    fixture_compare(f, "embed", out, want, T * C, 0);
    float *gathered = fixture_floats(f, NULL, T * C);
    CHECK_OK(backend_run(&f->backend, gather_rows, .x = table, .rows = tokens, .out = gathered,
                         .R = T, .C = C));
    fixture_compare(f, "gather_rows", gathered, want, T * C, 0);
    fixture_reset(f);
}

static void test_rmsnorm(struct fixture *f) {
    static const int64_t widths[] = {8, 33, 576, 1001};
    for (size_t i = 0; i < 4; i++, fixture_reset(f)) {
        const int64_t T = 7, C = widths[i];
        const float *x = fixture_normal(f, T * C, 0.3, 2), *weight = fixture_normal(f, C, 1, 0.2);
        float *y = fixture_floats(f, NULL, T * C), *single = fixture_floats(f, NULL, T * C);
        double *want = fixture_host(f, T * C);
        reference_rmsnorm(fixture_doubles(f, x, T * C), fixture_doubles(f, weight, C), want, T, C,
                          1e-6);
        CHECK_OK(backend_run(&f->backend, rmsnorm, .x = x, .weight = weight, .y = y, .T = T, .C = C,
                             .epsilon = 1e-6f));
        fixture_compare(f, "rmsnorm", y, want, T * C, 5e-7);
        for (int64_t t = 0; t < T; t++)
            CHECK_OK(backend_run(&f->backend, rmsnorm, .x = x + t * C, .weight = weight,
                                 .y = single + t * C, .T = 1, .C = C, .epsilon = 1e-6f));
        fixture_same_arrays(f, "rmsnorm, row by row", y, single, T * C);
    }
}

/* Numbers whose squares leave fp32 must not come out as zeros. */
static void test_rmsnorm_overflow(struct fixture *f) {
    enum { C = 40 };
    float *x = fixture_normal(f, C, 0, 1), *y = fixture_floats(f, NULL, C);
    const float *weight = fixture_normal(f, C, 1, 0.2);
    if (strncmp(f->name, "cpu", 3) != 0)
        return; /* check ends a run whose operations make such numbers of finite ones */
    x[17] = 1e20f;
    CHECK_OK(backend_run(&f->backend, rmsnorm, .x = x, .weight = weight, .y = y, .T = 1, .C = C,
                         .epsilon = 1e-6f));
    for (int c = 0; c < C; c++)
        CHECK(isnan(y[c]));
    fixture_reset(f);
}

/* A table of angles (positions, D). */
static float *angles(struct fixture *f, int64_t positions, int64_t D) {
    float *values = calloc((size_t)(positions * D), sizeof *values);
    ASSERT(values != NULL);
    for (int64_t t = 0; t < positions; t++)
        for (int64_t i = 0; i < D / 2; i++) {
            const double angle = (double)t * pow(10000, -2.0 * (double)i / (double)D);
            values[t * D + i] = (float)cos(angle);
            values[t * D + D / 2 + i] = (float)sin(angle);
        }
    float *out = fixture_floats(f, values, positions * D);
    free(values);
    return out;
}

static void test_rope_case(struct fixture *f, int64_t D, bool norms) {
    enum { T = 6, H = 3, K = 2, POSITIONS = 40 };
    const int64_t width = (H + 2 * K) * D;
    static const int32_t at[T] = {0, 1, 39, 2, 17, 5};
    const float *qkv = fixture_normal(f, T * width, 0, 1), *table = angles(f, POSITIONS, D);
    const float *q = norms ? fixture_normal(f, D, 1, 0.3) : NULL;
    const float *k = norms ? fixture_normal(f, D, 1, 0.3) : NULL;
    const int32_t *positions = fixture_ints(f, at, T);
    float *out = fixture_floats(f, NULL, T * width), *single = fixture_floats(f, NULL, T * width);
    double *want = fixture_host(f, T * width);
    reference_rope(&(struct reference_rope){.qkv = fixture_doubles(f, qkv, T * width),
                                            .positions = at,
                                            .table = fixture_doubles(f, table, POSITIONS * D),
                                            .q_norm = norms ? fixture_doubles(f, q, D) : NULL,
                                            .k_norm = norms ? fixture_doubles(f, k, D) : NULL,
                                            .out = want,
                                            .T = T,
                                            .H = H,
                                            .K = K,
                                            .D = D,
                                            .epsilon = 1e-6});
    struct rope_args args = {.qkv = qkv,
                             .positions = positions,
                             .table = table,
                             .q_norm = q,
                             .k_norm = k,
                             .out = out,
                             .T = T,
                             .H = H,
                             .K = K,
                             .D = D,
                             .epsilon = 1e-6f};
    CHECK_OK(f->backend.ops->rope(&f->backend, &args));
    fixture_compare(f, norms ? "rope behind norms" : "rope", out, want, T * width, 5e-7);
    for (int64_t t = 0; t < T; t++) {
        args.T = 1;
        args.qkv = qkv + t * width;
        args.positions = positions + t;
        args.out = single + t * width;
        CHECK_OK(f->backend.ops->rope(&f->backend, &args));
    }
    fixture_same_arrays(f, "rope, row by row", out, single, T * width);
    if (!norms) { /* in place */
        float *copy = fixture_floats(f, NULL, T * width);
        CHECK_OK(backend_run(&f->backend, lerp, .x = qkv, .y = qkv, .out = copy, .n = T * width,
                             .factor = 0.0f));
        CHECK_OK(backend_run(&f->backend, rope, .qkv = copy, .positions = positions, .table = table,
                             .out = copy, .T = T, .H = H, .K = K, .D = D));
        fixture_same_arrays(f, "rope in place", copy, out, T * width);
    }
    fixture_reset(f);
}

static void test_attention(struct fixture *f) {
    enum { T = 27, H = 4, K = 2, D = 16, SEGMENTS = 4 };
    static const struct segment segments[SEGMENTS] = {
        {.start = 0, .length = 9, .parent = -1},
        {.start = 9, .length = 1, .parent = 0, .position = 9},
        {.start = 10, .length = 12, .parent = 0, .position = 9},
        {.start = 22, .length = 5, .parent = -1}};
    const int64_t width = (H + 2 * K) * D;
    const float *qkv = fixture_normal(f, T * width, 0, 1);
    float *out = fixture_floats(f, NULL, T * H * D), *log_sum = fixture_floats(f, NULL, T * H);
    double *want = fixture_host(f, T * H * D), *want_sum = fixture_host(f, T * H);
    reference_attention(&(struct reference_attention){.qkv = fixture_doubles(f, qkv, T * width),
                                                      .segments = segments,
                                                      .out = want,
                                                      .log_sum = want_sum,
                                                      .T = T,
                                                      .H = H,
                                                      .K = K,
                                                      .D = D,
                                                      .segment_count = SEGMENTS});
    CHECK_OK(backend_run(&f->backend, attention, .qkv = qkv, .out = out, .log_sum = log_sum,
                         .plan = fixture_plan(f, segments, SEGMENTS, H, K, D)));
    fixture_compare(f, "attention", out, want, T * H * D, 1e-6);
    fixture_compare(f, "log_sum of attention", log_sum, want_sum, T * H, 1e-6);
    fixture_reset(f);
}

/* One decoding step of two answers of one prompt: keys and values of all positions are stored, and
 * the last row of each answer attends through the pages. */
static void test_decode(struct fixture *f) {
    enum { PROMPT = 70, FIRST = 3, SECOND = 66, T = PROMPT + FIRST + SECOND, PAGES = 5, B = 2 };
    enum { H = 4, K = 2, D = 16, LAYERS = 2, LAYER = 1 };
    static const struct segment segments[] = {
        {.start = 0, .length = PROMPT, .parent = -1},
        {.start = PROMPT, .length = FIRST, .parent = 0, .position = PROMPT},
        {.start = PROMPT + FIRST, .length = SECOND, .parent = 0, .position = PROMPT}};
    const int64_t width = (H + 2 * K) * D, heads = H * D;
    /* two pages of the prompt, one, and two */
    static const int32_t numbers[PAGES] = {4, 1, 0, 3, 2}, first_page[] = {0, 2, 3};
    const int64_t elements = (int64_t)LAYERS * K * 2 * CACHE_PAGE * D;
    int32_t pages[T], slots[T];
    const float *qkv = fixture_normal(f, T * width, 0, 1);
    double *want = fixture_host(f, T * heads), *last = fixture_host(f, B * heads);
    const struct cache_pool pool = {.memory = fixture_floats(f, NULL, PAGES * elements),
                                    .page_elements = elements,
                                    .page_count = PAGES,
                                    .K = K,
                                    .D = D};
    for (int32_t t = 0; t < T; t++) {
        const int32_t segment = t < PROMPT ? 0 : t < PROMPT + FIRST ? 1 : 2;
        const int32_t at = t - segments[segment].start;
        pages[t] = numbers[first_page[segment] + at / CACHE_PAGE];
        slots[t] = at % CACHE_PAGE;
    }
    reference_attention(&(struct reference_attention){.qkv = fixture_doubles(f, qkv, T * width),
                                                      .segments = segments,
                                                      .out = want,
                                                      .T = T,
                                                      .H = H,
                                                      .K = K,
                                                      .D = D,
                                                      .segment_count = 3});
    CHECK_OK(backend_run(&f->backend, cache_store, .qkv = qkv, .pool = pool,
                         .pages = fixture_ints(f, pages, T), .slots = fixture_ints(f, slots, T),
                         .B = T, .H = H, .layer = LAYER));
    static const int32_t prompt_begin[B] = {0, 0}, own_begin[B] = {2, 3},
                         prompt_length[B] = {PROMPT, PROMPT}, own_length[B] = {FIRST, SECOND};
    struct decode_plan plan = {
        .B = B, .H = H, .K = K, .D = D, .prompts = prompt_begin, .longest = PROMPT + SECOND};
    const int64_t ends[B] = {PROMPT + FIRST - 1, T - 1};
    float *queries = fixture_floats(f, NULL, B * width), *out = fixture_floats(f, NULL, B * heads);
    for (int b = 0; b < B; b++) {
        CHECK_OK(backend_run(&f->backend, copy, .x = qkv + ends[b] * width,
                             .out = queries + b * width, .n = width));
        memcpy(last + b * heads, want + ends[b] * heads, (size_t)heads * sizeof *want);
    }
    CHECK_OK(f->backend.ops->decode_prepare(&f->backend, &plan));
    CHECK_OK(backend_run(&f->backend, attention_decode, .plan = &plan, .qkv = queries, .pool = pool,
                         .page_numbers = fixture_ints(f, numbers, PAGES),
                         .prompt_begin = fixture_ints(f, prompt_begin, B),
                         .own_begin = fixture_ints(f, own_begin, B),
                         .prompt_length = fixture_ints(f, prompt_length, B),
                         .own_length = fixture_ints(f, own_length, B), .out = out,
                         .page_number_count = PAGES, .layer = LAYER));
    f->backend.ops->decode_discard(&f->backend, &plan);
    fixture_compare(f, "attention_decode", out, last, B * heads, 1e-6);
    fixture_reset(f);
}

static void test_swiglu(struct fixture *f) {
    enum { T = 5, F = 45 };
    const float *gate_up = fixture_normal(f, T * 2 * F, 0, 4);
    float *out = fixture_floats(f, NULL, T * F), *single = fixture_floats(f, NULL, T * F);
    double *want = fixture_host(f, T * F);
    reference_swiglu(fixture_doubles(f, gate_up, T * 2 * F), want, T, F);
    CHECK_OK(backend_run(&f->backend, swiglu, .gate_up = gate_up, .out = out, .T = T, .F = F));
    fixture_compare(f, "swiglu", out, want, T * F, 5e-7);
    for (int64_t t = 0; t < T; t++)
        CHECK_OK(backend_run(&f->backend, swiglu, .gate_up = gate_up + t * 2 * F,
                             .out = single + t * F, .T = 1, .F = F));
    fixture_same_arrays(f, "swiglu, row by row", out, single, T * F);
    const float extreme[] = {-200, -89, -1e30f, 200, 1e30f, 0, 1, 1, 1, 1, 1, 1};
    float *ends = fixture_floats(f, NULL, 6);
    CHECK_OK(backend_run(&f->backend, swiglu, .gate_up = fixture_floats(f, extreme, 12),
                         .out = ends, .T = 1, .F = 6));
    const double limits[] = {0, 0, 0, 200, 1e30, 0};
    const float *have = fixture_copy(f, ends, 6);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(have[i], limits[i], 1e-6 * limits[i] + 1e-30);
    fixture_reset(f);
}

static void test_all(struct fixture *f) {
    test_gemm(f);
    test_embed(f);
    test_rmsnorm(f);
    test_rmsnorm_overflow(f);
    test_rope_case(f, 8, false);
    test_rope_case(f, 64, false);
    test_rope_case(f, 16, true);
    test_rope_case(f, 128, true);
    test_attention(f);
    test_decode(f);
    test_swiglu(f);
}

int main(void) {
    fixture_every(test_all);
    return CHECK_END();
}
