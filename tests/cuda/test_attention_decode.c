/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding over the cache gives the bits of the packed batch: for every position of a text, wherever
 * it is cut into prompt and answer, alone, in groups of any size, and whatever stands in the pages
 * behind the positions that count. (test_attention.c compares the packed batch with plain loops.)
 */
#include "attention_fixture.h"
#include "cuda/kernel/attention_decode.h"
#include "cuda/kernel/cache_store.h"

/* more keys than four warps take at once, twice */
enum { TEXT = 330, LAYERS = 2, LAYER = 1, PAGES = 16, PROMPT_PAGE = 0, OWN_PAGE = 8, ROWS = 512 };

/* A text whose first `prompt` positions are in the prompt's pages and whose others are in a row's
 * own; pages of both stand in the pool in no order. */
struct cached {
    struct device *device;
    struct heads s;
    void *pool, *qkv, *numbers;
    int32_t prompt;
};
static const int32_t numbers[PAGES] = {5, 2, 7, 0, 3, 6, 1, 4, 15, 9, 11, 8, 14, 10, 13, 12};

static struct cache_layer layer_of(const struct cached *c) {
    return (struct cache_layer){c->pool, LAYERS * c->s.K * 2 * CACHE_PAGE * c->s.D, LAYER};
}

/* The pool begins as NaNs: what is read of it must have been stored, or count for nothing. */
static struct cached cache_text(struct device *device, struct heads s, const float *qkv,
                                int32_t prompt) {
    struct cached c = {.device = device, .s = s, .prompt = prompt};
    int32_t pages[TEXT], slots[TEXT];
    for (int32_t t = 0; t < TEXT; t++) {
        const int32_t at = t < prompt ? t : t - prompt;
        pages[t] = numbers[(t < prompt ? PROMPT_PAGE : OWN_PAGE) + at / CACHE_PAGE];
        slots[t] = at % CACHE_PAGE;
    }
    c.pool = upload_as(device, s, NULL, PAGES * layer_of(&c).page_elements);
    c.qkv = upload_as(device, s, qkv, TEXT * heads_width(s));
    c.numbers = fixture_upload(device, numbers, sizeof numbers);
    void *places[] = {fixture_upload(device, pages, sizeof pages),
                      fixture_upload(device, slots, sizeof slots)};
    const struct cache_store_launch args = {.dtype = s.dtype,
                                            .qkv = c.qkv,
                                            .pages = places[0],
                                            .slots = places[1],
                                            .cache = layer_of(&c),
                                            .B = TEXT,
                                            .H = s.H,
                                            .K = s.K,
                                            .D = s.D};
    MUST(DEVICE_LAUNCH(launch_cache_store(device->stream, &args)));
    MUST(device_synchronize(device, device->stream));
    device_release(device, &places[0]);
    device_release(device, &places[1]);
    return c;
}

static void cached_release(struct cached *c) {
    device_release(c->device, &c->pool);
    device_release(c->device, &c->qkv);
    device_release(c->device, &c->numbers);
}

/* Rows first..first + B - 1 of the text, each of which sees itself and what is before it. */
static float *decode(const struct cached *c, int32_t first, int32_t B, int64_t rows_per_block) {
    int32_t prompt_begin[ROWS], own_begin[ROWS], prompt_length[ROWS], own_length[ROWS];
    struct attention_decode_block blocks[ROWS + 2];
    for (int32_t b = 0; b < B; b++) {
        prompt_begin[b] = PROMPT_PAGE;
        own_begin[b] = OWN_PAGE;
        prompt_length[b] = c->prompt;
        own_length[b] = first + b + 1 - c->prompt;
    }
    const int64_t count = attention_decode_blocks(prompt_begin, B, rows_per_block, blocks),
                  N = c->s.H * c->s.D;
    for (int64_t i = count; i < count + 2; i++)
        blocks[i] = (struct attention_decode_block){.begin = B, .count = 0}; /* do nothing */
    const size_t bytes = (size_t)B * sizeof(int32_t);
    void *memory[] = {fixture_upload(c->device, prompt_begin, bytes),
                      fixture_upload(c->device, own_begin, bytes),
                      fixture_upload(c->device, prompt_length, bytes),
                      fixture_upload(c->device, own_length, bytes),
                      fixture_upload(c->device, blocks, (size_t)(count + 2) * sizeof *blocks),
                      upload_as(c->device, c->s, NULL, B * N)};
    const struct attention_decode_launch args = {
        .dtype = c->s.dtype,
        .qkv = (const char *)c->qkv + (size_t)(first * heads_width(c->s)) * dtype_bytes(c->s.dtype),
        .out = memory[5],
        .page_numbers = c->numbers,
        .prompt_begin = memory[0],
        .own_begin = memory[1],
        .prompt_length = memory[2],
        .own_length = memory[3],
        .blocks = memory[4],
        .cache = layer_of(c),
        .block_count = count + 2,
        .rows_per_block = rows_per_block,
        .B = B,
        .H = c->s.H,
        .K = c->s.K,
        .D = c->s.D};
    MUST(DEVICE_LAUNCH(launch_attention_decode(c->device->stream, &args)));
    float *out = download_as(c->device, c->s, args.out, B * N);
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        device_release(c->device, &memory[i]);
    return out;
}

static void check_cut(struct device *device, struct heads s, const float *qkv, const float *want,
                      int32_t prompt, int32_t most, int32_t step) {
    static const int64_t sizes[] = {ATTENTION_DECODE_WIDE, 1, 2, 4};
    struct cached c = cache_text(device, s, qkv, prompt);
    const int32_t B = TEXT - prompt < most ? TEXT - prompt : most, first = TEXT - B;
    const int64_t N = s.H * s.D;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        float *out = decode(&c, first, B, sizes[i]);
        same_bits("rows decoded together and packed", s, out, want + first * N, B * N);
        free(out);
    }
    for (int32_t b = prompt; b < TEXT; b += step) {
        float *out = decode(&c, b, 1, ATTENTION_DECODE_WIDE);
        same_bits("a row decoded alone and packed", s, out, want + b * N, N);
        free(out);
    }
    cached_release(&c);
}

static void test_decode(struct device *device, bool small) {
    static const struct heads shapes[] = {{DTYPE_BF16, 7, 1, 64},  {DTYPE_BF16, 2, 2, 128},
                                          {DTYPE_BF16, 17, 1, 64}, {DTYPE_BF16, 2, 1, 48},
                                          {DTYPE_F32, 3, 1, 16},   {DTYPE_F32, 2, 2, 6}};
    static const int32_t cuts[] = {0, 101, 1, 128, 329};
    const struct segment whole = {0, TEXT, -1, 0};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct heads s = shapes[i];
        uint64_t state = 31;
        float *qkv = draw(s, TEXT * heads_width(s), 4, &state);
        struct attended want = attend(device, s, qkv, &whole, 1);
        const size_t most = small && i > 0 ? 2 : sizeof cuts / sizeof cuts[0];
        for (size_t c = small ? 1 : 0; c < most; c++)
            check_cut(device, s, qkv, want.out, cuts[c], small ? 18 : TEXT, small ? 37 : 1);
        attended_release(&want);
        free(qkv);
    }
}

static void test_blocks(void) {
    const int32_t prompts[] = {3, 3, 3, 3, 3, 8, 9, 9};
    struct attention_decode_block blocks[8];
    CHECK_EQ(attention_decode_blocks(prompts, 8, 4, blocks), 4);
    CHECK_EQ(blocks[0].count, 4);
    CHECK_EQ(blocks[1].begin, 4);
    CHECK_EQ(blocks[1].count, 1);
    CHECK_EQ(blocks[3].begin, 6);
    CHECK_EQ(blocks[3].count, 2);
    CHECK_EQ(attention_decode_blocks(prompts, 8, 1, NULL), 8);
    CHECK_EQ(attention_decode_blocks(prompts, 8, ATTENTION_DECODE_WIDE, NULL), 8);
    CHECK_EQ(attention_decode_rows(prompts, 8, 2, 132), ATTENTION_DECODE_WIDE);
    CHECK_EQ(attention_decode_rows(prompts, 8, 2, 1), 4);
    CHECK_EQ(attention_decode_rows(prompts + 4, 3, 2, 1), 1);
}

/* A row with a negative slot is not stored. */
static void test_unstored(struct device *device) {
    const struct heads s = {DTYPE_BF16, 1, 1, 8};
    const int32_t pages[] = {0, 0}, slots[] = {3, -1};
    const int64_t n = 2 * CACHE_PAGE * s.D;
    float qkv[48];
    for (int i = 0; i < 48; i++)
        qkv[i] = (float)i;
    void *memory[] = {upload_as(device, s, qkv, 48), fixture_upload(device, pages, sizeof pages),
                      fixture_upload(device, slots, sizeof slots), upload_as(device, s, NULL, n)};
    const struct cache_store_launch args = {
        s.dtype, memory[0], memory[1], memory[2], {memory[3], n, 0}, 2, 1, 1, 8};
    MUST(DEVICE_LAUNCH(launch_cache_store(device->stream, &args)));
    float *page = download_as(device, s, memory[3], n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t slot = i / s.D % CACHE_PAGE, part = i / s.D / CACHE_PAGE;
        if (slot == 3)
            CHECK_EQ(page[i], 8 + 8 * part + i % s.D);
        else
            CHECK(isnan(page[i]));
    }
    free(page);
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        device_release(device, &memory[i]);
}

int main(void) {
    struct device device = fixture_open();
    struct device_facts facts;
    MUST(device_facts(&device, &facts));
    test_blocks();
    test_unstored(&device);
    test_decode(&device, facts.is_host);
    device_close(&device);
    return CHECK_END();
}
