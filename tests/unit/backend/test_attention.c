/* SPDX-License-Identifier: Apache-2.0
 *
 * The bits of a position's attention depend on the keys it sees alone: not on how they are cut into
 * prompt and answer, not on what else the batch holds, not on later positions, not on threads. The
 * numbers themselves are compared with double precision in test_ops.c and test_gradients.c.
 */
#include "fixture.h"

struct heads {
    int64_t H, K, D;
};
static const struct heads shapes[] = {{3, 1, 16}, {9, 3, 64}, {4, 4, 6}, {16, 1, 32}, {14, 2, 128}};

static int64_t width(struct heads s) {
    return (s.H + 2 * s.K) * s.D;
}

static void attend(struct backend *backend, struct heads s, const float *qkv,
                   const struct segment *segments, int64_t count, float *out, float *log_sum) {
    const int64_t T = segments[count - 1].start + segments[count - 1].length;
    CHECK_OK(backend_run(backend, attention, .qkv = qkv, .segments = segments, .out = out,
                         .log_sum = log_sum, .T = T, .H = s.H, .K = s.K, .D = s.D,
                         .segment_count = count));
}

enum { TEXT = 150, BEFORE = 45, MOST = 3 * TEXT + BEFORE };

/* A text as one segment, by one thread, and the same text cut behind `prompt` positions: as the
 * second of three answers, behind another text. */
static void compare_cut(struct fixture *f, struct heads s, const float *qkv, const float *want,
                        const float *want_sum, int32_t prompt) {
    const int32_t answer = TEXT - prompt, other = 31;
    const struct segment segments[] = {{0, BEFORE, -1, 0},
                                       {BEFORE, prompt, -1, 0},
                                       {BEFORE + prompt, other, 1, prompt},
                                       {BEFORE + prompt + other, answer, 1, prompt},
                                       {BEFORE + prompt + other + answer, 1, 1, prompt}};
    const int64_t row = width(s), T = BEFORE + prompt + other + answer + 1, N = s.H * s.D,
                  at = BEFORE + prompt + other;
    float *batch = fixture_normal(f, T * row, 0, 1), *out = fixture_floats(f, NULL, T * N),
          *log_sum = fixture_floats(f, NULL, T * s.H);
    memcpy(batch + BEFORE * row, qkv, (size_t)(prompt * row) * sizeof *qkv);
    memcpy(batch + at * row, qkv + prompt * row, (size_t)(answer * row) * sizeof *qkv);
    attend(&f->backend, s, batch, segments, 5, out, log_sum);
    fixture_same(f, "rows of the prompt", out + BEFORE * N, want, prompt * N);
    fixture_same(f, "rows of the answer", out + at * N, want + prompt * N, answer * N);
    fixture_same(f, "log_sum of the answer", log_sum + at * s.H, want_sum + prompt * s.H,
                 answer * s.H);
    fixture_reset(f);
}

static void test_cuts(struct fixture *f) {
    const struct segment whole = {0, TEXT, -1, 0};
    const int32_t cuts[] = {1, 31, 32, 77, 149};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct heads s = shapes[i];
        struct fixture one;
        fixture_open(&one, "cpu", 1);
        const float *qkv = fixture_normal(&one, TEXT * width(s), 0, 1);
        float *want = fixture_floats(&one, NULL, TEXT * s.H * s.D),
              *want_sum = fixture_floats(&one, NULL, TEXT * s.H);
        attend(&one.backend, s, qkv, &whole, 1, want, want_sum);
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++)
            compare_cut(f, s, qkv, want, want_sum, cuts[c]);
        fixture_close(&one);
    }
}

/* Earlier rows do not feel a later one, even when it is not a number. */
static void test_causal(struct fixture *f) {
    const struct segment whole = {0, TEXT, -1, 0};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct heads s = shapes[i];
        const int64_t N = s.H * s.D;
        float *qkv = fixture_normal(f, TEXT * width(s), 0, 1),
              *want = fixture_floats(f, NULL, TEXT * N), *out = fixture_floats(f, NULL, TEXT * N);
        attend(&f->backend, s, qkv, &whole, 1, want, NULL);
        for (int64_t bad = 0; bad < TEXT; bad += 37) {
            const struct segment shorter = {0, (int32_t)bad + 1, -1, 0};
            attend(&f->backend, s, qkv, &shorter, 1, out, NULL);
            fixture_same(f, "a text and its beginning", out, want, (bad + 1) * N);
        }
        const int64_t bad = 100;
        for (int64_t d = 0; d < width(s); d++)
            qkv[bad * width(s) + d] = NAN;
        attend(&f->backend, s, qkv, &whole, 1, out, NULL);
        fixture_same(f, "rows before one of NaN", out, want, bad * N);
        CHECK(isnan(out[bad * N]) && isnan(out[TEXT * N - 1]));
        fixture_reset(f);
    }
}

static void test_refusals(void) {
    struct backend backend;
    float values[64] = {0};
    const struct segment one = {0, 1, -1, 0};
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_STATUS(backend_run(&backend, attention, .qkv = values, .segments = &one, .out = values,
                             .T = 1, .H = 3, .K = 2, .D = 4, .segment_count = 1),
                 STATUS_INPUT, "3 query heads");
    CHECK_STATUS(backend_run(&backend, attention, .qkv = values, .segments = &one, .out = values,
                             .T = 1, .H = 1, .K = 1, .D = 3, .segment_count = 1),
                 STATUS_INPUT, "head size of 3");
    backend_close(&backend);
}

int main(void) {
    fixture_each(test_cuts);
    fixture_each(test_causal);
    test_refusals();
    return CHECK_END();
}
