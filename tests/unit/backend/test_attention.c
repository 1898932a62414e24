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

static void attend(struct fixture *f, struct heads s, const float *qkv,
                   const struct segment *segments, int64_t count, float *out, float *log_sum) {
    CHECK_OK(backend_run(&f->backend, attention, .qkv = qkv, .out = out, .log_sum = log_sum,
                         .plan = fixture_plan(f, segments, count, s.H, s.K, s.D)));
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
    attend(f, s, batch, segments, 5, out, log_sum);
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
        attend(&one, s, qkv, &whole, 1, want, want_sum);
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
        attend(f, s, qkv, &whole, 1, want, NULL);
        for (int64_t bad = 0; bad < TEXT; bad += 37) {
            const struct segment shorter = {0, (int32_t)bad + 1, -1, 0};
            attend(f, s, qkv, &shorter, 1, out, NULL);
            fixture_same(f, "a text and its beginning", out, want, (bad + 1) * N);
        }
        const int64_t bad = 100;
        for (int64_t d = 0; d < width(s); d++)
            qkv[bad * width(s) + d] = NAN;
        attend(f, s, qkv, &whole, 1, out, NULL);
        fixture_same(f, "rows before one of NaN", out, want, bad * N);
        CHECK(isnan(out[bad * N]) && isnan(out[TEXT * N - 1]));
        fixture_reset(f);
    }
}

static enum status plan_of(struct backend *backend, struct heads s, const struct segment *segments,
                           int64_t count) {
    struct attention_plan plan = {.state = NULL};
    const enum status status = attention_plan_make(
        backend, &plan,
        &(struct attention_plan_args){
            .segments = segments, .segment_count = count, .H = s.H, .K = s.K, .D = s.D});
    attention_plan_release(backend, &plan);
    return status;
}

static void test_refusals(void) {
    struct backend backend;
    const struct heads heads = {2, 1, 4};
    const struct segment good[] = {{0, 2, -1, 0}, {2, 1, 0, 2}, {3, 1, 0, 2}},
                         gap[] = {{0, 2, -1, 0}, {3, 1, 0, 2}},
                         grandchild[] = {{0, 2, -1, 0}, {2, 1, 0, 2}, {3, 1, 1, 1}},
                         later[] = {{0, 2, 1, 0}, {2, 1, -1, 0}};
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(plan_of(&backend, heads, good, 3));
    CHECK_OK(plan_of(&backend, heads, NULL, 0));
    CHECK_STATUS(plan_of(&backend, heads, gap, 2), STATUS_DEFECT, "segment 1 of a packed batch");
    CHECK_STATUS(plan_of(&backend, heads, grandchild, 3), STATUS_DEFECT, "segment 2");
    CHECK_STATUS(plan_of(&backend, heads, later, 2), STATUS_DEFECT, "segment 0");
    CHECK_STATUS(plan_of(&backend, (struct heads){3, 2, 4}, good, 3), STATUS_INPUT,
                 "3 query heads");
    CHECK_STATUS(plan_of(&backend, (struct heads){1, 1, 3}, good, 3), STATUS_INPUT,
                 "head size of 3");
    backend_close(&backend);
}

/* One plan for one list after another. */
static void test_made_anew(struct fixture *f) {
    const struct heads s = shapes[0];
    const int64_t N = s.H * s.D;
    const float *qkv = fixture_normal(f, TEXT * width(s), 0, 1);
    float *want = fixture_floats(f, NULL, TEXT * N), *out = fixture_floats(f, NULL, TEXT * N);
    struct attention_plan plan = {.state = NULL};
    for (int32_t length = 5; length <= TEXT; length += 29) {
        const struct segment both[] = {{0, 3, -1, 0}, {3, length - 3, 0, 3}};
        attend(f, s, qkv, both, 2, want, NULL);
        CHECK_OK(attention_plan_make(
            &f->backend, &plan,
            &(struct attention_plan_args){
                .segments = both, .segment_count = 2, .H = s.H, .K = s.K, .D = s.D}));
        CHECK_OK(backend_run(&f->backend, attention, .plan = &plan, .qkv = qkv, .out = out));
        fixture_same(f, "a plan that has served before", out, want, length * N);
    }
    attention_plan_release(&f->backend, &plan);
    fixture_reset(f);
}

int main(void) {
    fixture_each(test_cuts);
    fixture_each(test_causal);
    fixture_each(test_made_anew);
    test_refusals();
    return CHECK_END();
}
