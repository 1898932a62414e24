/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding over the cache gives the bits of the packed batch: for every position of a text,
 * wherever it is cut into prompt and answer, one row at a time and all together, and whatever
 * stands in the pages behind the positions that count.
 */
#include "fixture.h"

enum { TEXT = 170, LAYERS = 2, LAYER = 1, PAGES = 3 };

struct heads {
    int64_t H, K, D;
};

struct cached {
    struct heads s;
    int64_t width;
    const float *qkv; /* (TEXT, width) */
    float *pages[PAGES];
};

static struct cached cached_text(struct fixture *f, struct heads s, const float *qkv) {
    const int64_t width = (s.H + 2 * s.K) * s.D;
    return (struct cached){.s = s, .width = width, .qkv = fixture_floats(f, qkv, TEXT * width)};
}

/* Pages of the fixture with the text's positions from `begin` on. */
static void store(struct fixture *f, struct cached *c, int64_t begin, int64_t end) {
    const int64_t floats = LAYERS * c->s.K * 2 * CACHE_PAGE * c->s.D;
    for (int i = 0; i < PAGES; i++)
        c->pages[i] = fixture_floats(f, NULL, floats);
    float *pages[TEXT];
    int32_t slots[TEXT];
    for (int64_t t = begin; t < end; t++) {
        pages[t - begin] = c->pages[(t - begin) / CACHE_PAGE];
        slots[t - begin] = (int32_t)((t - begin) % CACHE_PAGE);
    }
    CHECK_OK(backend_run(&f->backend, cache_store, .qkv = c->qkv + begin * c->width, .pages = pages,
                         .slots = slots, .B = end - begin, .H = c->s.H, .K = c->s.K, .D = c->s.D,
                         .layer = LAYER));
}

static void decode(struct fixture *f, const struct cached *c, const struct cache_run *runs,
                   int64_t row, int64_t B, float *out) {
    CHECK_OK(backend_run(&f->backend, attention_decode, .qkv = c->qkv + row * c->width,
                         .runs = runs, .out = out, .B = B, .H = c->s.H, .K = c->s.K, .D = c->s.D,
                         .layer = LAYER));
}

/* The positions behind `prompt`, each as a row that has not seen the later ones. */
static void compare_cut(struct fixture *f, struct heads s, const float *qkv, const float *want,
                        int32_t prompt) {
    struct cached before = cached_text(f, s, qkv), own = before;
    struct cache_run runs[TEXT];
    const int64_t B = TEXT - prompt, N = s.H * s.D;
    store(f, &before, 0, prompt);
    store(f, &own, prompt, TEXT);
    for (int32_t b = 0; b < B; b++)
        runs[b] = (struct cache_run){before.pages, own.pages, prompt, b + 1};
    float *out = fixture_floats(f, NULL, B * N);
    decode(f, &own, runs, prompt, B, out);
    fixture_same(f, "rows decoded together and packed", out, want + prompt * N, B * N);
    for (int64_t b = 0; b < B; b += 13) {
        decode(f, &own, runs + b, prompt + b, 1, out);
        fixture_same(f, "a row decoded alone and packed", out, want + (prompt + b) * N, N);
    }
    fixture_reset(f);
}

/* Rows of two prompts in one call, the second without a prompt at all. */
static void compare_two(struct fixture *f, struct heads s, const float *qkv, const float *want) {
    enum { PROMPT = 90 };
    struct cached before = cached_text(f, s, qkv), own = before, whole = before;
    store(f, &before, 0, PROMPT);
    store(f, &own, PROMPT, TEXT);
    store(f, &whole, 0, TEXT);
    struct cache_run runs[TEXT - PROMPT];
    const int64_t B = TEXT - PROMPT, N = s.H * s.D;
    for (int32_t b = 0; b < B; b++)
        runs[b] = b < 7 ? (struct cache_run){before.pages, own.pages, PROMPT, b + 1}
                        : (struct cache_run){NULL, whole.pages, 0, PROMPT + b + 1};
    float *out = fixture_floats(f, NULL, B * N);
    decode(f, &own, runs, PROMPT, B, out);
    fixture_same(f, "rows of two prompts", out, want + PROMPT * N, B * N);
    fixture_reset(f);
}

static void test_decode(struct fixture *f) {
    const struct heads shapes[] = {{3, 1, 16}, {9, 3, 64}, {4, 4, 6}, {16, 1, 32}, {14, 2, 128}};
    const int32_t cuts[] = {1, 63, 64, 101, 169};
    const struct segment whole = {0, TEXT, -1, 0};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct heads s = shapes[i];
        struct fixture one;
        fixture_open(&one, "cpu", 1);
        const float *qkv = fixture_normal(&one, TEXT * (s.H + 2 * s.K) * s.D, 0, 1);
        float *want = fixture_floats(&one, NULL, TEXT * s.H * s.D);
        CHECK_OK(backend_run(&one.backend, attention, .qkv = qkv, .out = want,
                             .plan = fixture_plan(&one, &whole, 1, s.H, s.K, s.D)));
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++)
            compare_cut(f, s, qkv, want, cuts[c]);
        compare_two(f, s, qkv, want);
        fixture_close(&one);
    }
}

int main(void) {
    fixture_each(test_decode);
    return CHECK_END();
}
