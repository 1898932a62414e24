/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding over the cache gives the bits of the packed batch: for every position of a text,
 * wherever it is cut into prompt and answer, one row at a time and all together, and whatever
 * stands in the pages behind the positions that count.
 */
#include "fixture.h"

enum { TEXT = 170, LAYERS = 2, LAYER = 1, PAGES = 3 }; /* pages of a whole text */

struct heads {
    int64_t H, K, D;
};

/* A text whose keys and values stand in pages, numbered backwards so that nobody counts on their
 * order; the numbers of the pages stand one after another. */
struct cached {
    struct heads s;
    int64_t width;
    const float *qkv; /* (TEXT, width) */
    struct cache_pool pool;
    int32_t numbers[2 * PAGES]; /* of the pages of a prompt, and of those of the answers */
};

static struct cached cached_text(struct fixture *f, struct heads s, const float *qkv) {
    const int64_t width = (s.H + 2 * s.K) * s.D, elements = LAYERS * s.K * 2 * CACHE_PAGE * s.D;
    struct cached c = {.s = s, .width = width, .qkv = fixture_floats(f, qkv, TEXT * width)};
    float *memory = fixture_floats(f, NULL, 2 * PAGES * elements);
    for (int64_t i = 0; i < 2 * PAGES * elements; i++) /* what stands there does not matter */
        memory[i] = (float)(i % 97) - 40.5f;
    c.pool = (struct cache_pool){
        .memory = memory, .page_elements = elements, .page_count = 2 * PAGES, .K = s.K, .D = s.D};
    for (int32_t i = 0; i < 2 * PAGES; i++)
        c.numbers[i] = 2 * PAGES - 1 - i;
    return c;
}

/* Stores the positions begin … end − 1 of the text, from the page number `first` of the list on. */
static void store(struct fixture *f, struct cached *c, int64_t begin, int64_t end, int64_t first) {
    int32_t pages[TEXT], slots[TEXT];
    for (int64_t t = 0; t < end - begin; t++) {
        pages[t] = c->numbers[first + t / CACHE_PAGE];
        slots[t] = (int32_t)(t % CACHE_PAGE);
    }
    CHECK_OK(backend_run(&f->backend, cache_store, .qkv = c->qkv + begin * c->width,
                         .pool = c->pool, .pages = fixture_ints(f, pages, end - begin),
                         .slots = fixture_ints(f, slots, end - begin), .B = end - begin,
                         .H = c->s.H, .layer = LAYER));
}

/* Where the keys of a row stand. */
struct run {
    int32_t prompt_begin, own_begin, prompt_length, own_length;
};

static void decode(struct fixture *f, const struct cached *c, const struct run *runs, int64_t row,
                   int64_t B, float *out) {
    int32_t columns[4][TEXT];
    struct decode_plan plan = {.B = B, .H = c->s.H, .K = c->s.K, .D = c->s.D, .longest = TEXT};
    for (int64_t b = 0; b < B; b++) {
        columns[0][b] = runs[b].prompt_begin;
        columns[1][b] = runs[b].own_begin;
        columns[2][b] = runs[b].prompt_length;
        columns[3][b] = runs[b].own_length;
    }
    plan.prompts = columns[0];
    CHECK_OK(f->backend.ops->decode_prepare(&f->backend, &plan));
    CHECK_OK(backend_run(
        &f->backend, attention_decode, .plan = &plan, .qkv = c->qkv + row * c->width,
        .pool = c->pool, .page_numbers = fixture_ints(f, c->numbers, 2 * PAGES),
        .prompt_begin = fixture_ints(f, columns[0], B), .own_begin = fixture_ints(f, columns[1], B),
        .prompt_length = fixture_ints(f, columns[2], B),
        .own_length = fixture_ints(f, columns[3], B), .out = out, .page_number_count = 2 * PAGES,
        .layer = LAYER));
    f->backend.ops->decode_discard(&f->backend, &plan);
}

/* The positions behind `prompt`, each as a row that has not seen the later ones. */
static void compare_cut(struct fixture *f, struct heads s, const float *qkv, const float *want,
                        int32_t prompt) {
    struct cached c = cached_text(f, s, qkv);
    struct run runs[TEXT];
    const int64_t B = TEXT - prompt, N = s.H * s.D;
    store(f, &c, 0, prompt, 0);
    store(f, &c, prompt, TEXT, PAGES);
    for (int32_t b = 0; b < B; b++)
        runs[b] = (struct run){0, PAGES, prompt, b + 1};
    float *out = fixture_floats(f, NULL, B * N);
    decode(f, &c, runs, prompt, B, out);
    fixture_same(f, "rows decoded together and packed", out, want + prompt * N, B * N);
    for (int64_t b = 0; b < B; b += 13) {
        decode(f, &c, runs + b, prompt + b, 1, out);
        fixture_same(f, "a row decoded alone and packed", out, want + (prompt + b) * N, N);
    }
    fixture_reset(f);
}

/* Rows of two prompts in one call, the second without a prompt at all. */
static void compare_two(struct fixture *f, struct heads s, const float *qkv, const float *want) {
    enum { PROMPT = 90, CUT = 26 };
    struct cached c = cached_text(f, s, qkv);
    store(f, &c, 0, PROMPT, 0);
    store(f, &c, PROMPT, TEXT, 2); /* two pages; the prompt has two */
    struct run runs[TEXT - PROMPT];
    const int64_t B = TEXT - PROMPT, N = s.H * s.D;
    for (int32_t b = 0; b < B; b++)
        runs[b] = (struct run){0, 2, PROMPT, b + 1};
    float *out = fixture_floats(f, NULL, B * N);
    decode(f, &c, runs, PROMPT, CUT, out);
    store(f, &c, 0, TEXT, PAGES);
    for (int32_t b = CUT; b < B; b++)
        runs[b] = (struct run){1, PAGES, 0, PROMPT + b + 1};
    decode(f, &c, runs, PROMPT, B, out);
    fixture_same(f, "rows of two prompts", out, want + PROMPT * N, B * N);
    fixture_reset(f);
}

/* A row that is not to be stored changes nothing. */
static void test_not_stored(struct fixture *f) {
    const struct heads s = {3, 1, 16};
    const float *qkv = fixture_normal(f, TEXT * (s.H + 2 * s.K) * s.D, 0, 1);
    struct cached c = cached_text(f, s, qkv);
    const int32_t pages[] = {1, 2, 3}, slots[] = {5, -1, 63};
    const int64_t n = c.pool.page_count * c.pool.page_elements, each = c.pool.page_elements;
    float *before = fixture_floats(f, NULL, n), *after = c.pool.memory;
    memcpy(before, after, (size_t)n * sizeof *before);
    CHECK_OK(backend_run(&f->backend, cache_store, .qkv = c.qkv, .pool = c.pool,
                         .pages = fixture_ints(f, pages, 3), .slots = fixture_ints(f, slots, 3),
                         .B = 3, .H = s.H, .layer = LAYER));
    fixture_same(f, "a page that nothing is stored in", after + 2 * each, before + 2 * each, each);
    CHECK(memcmp(after + each, before + each, (size_t)each * sizeof *after) != 0);
    CHECK(memcmp(after + 3 * each, before + 3 * each, (size_t)each * sizeof *after) != 0);
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

static void test_all(struct fixture *f) {
    test_decode(f);
    test_not_stored(f);
}

int main(void) {
    fixture_each(test_all);
    return CHECK_END();
}
