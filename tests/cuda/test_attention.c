/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over packed groups and its gradient, against plain loops in double: every way (tensor
 * cores at head sizes 64 and 128, plain otherwise and for fp32), 1, 6, 7 and 8 query heads to a key
 * head, parents with several children, segments of one position. And the promises: a position's bits
 * do not depend on cuts, neighbours and later positions; launches are repeated bit for bit.
 */
#include "attention_fixture.h"
#include "cuda/kernel/attention_backward.h"

enum { SEGMENTS = 8 };

/* Gradient of Σ dout · out by the chain rule, from the reference's out and log_sum. */
struct gradient {
    const struct reference_attention *forward;
    const double *dout;
    double *dqkv;
};

static void add_pair(const struct gradient *g, int64_t row, int64_t key, int64_t head,
                     double delta) {
    const struct reference_attention *args = g->forward;
    const int64_t D = args->D, width = (args->H + 2 * args->K) * D,
                  group = head / (args->H / args->K), at = (row * args->H + head) * D,
                  q = row * width + head * D, k = key * width + (args->H + group) * D,
                  v = k + args->K * D;
    const double scale = 1 / sqrt((double)D);
    double score = 0, slope = -delta;
    for (int64_t d = 0; d < D; d++) {
        score += args->qkv[q + d] * args->qkv[k + d] * scale;
        slope += g->dout[at + d] * args->qkv[v + d];
    }
    const double weight = exp(score - args->log_sum[row * args->H + head]);
    slope *= weight * scale;
    for (int64_t d = 0; d < D; d++) {
        g->dqkv[q + d] += slope * args->qkv[k + d];
        g->dqkv[k + d] += slope * args->qkv[q + d];
        g->dqkv[v + d] += weight * g->dout[at + d];
    }
}

static void differentiate(const struct gradient *g) {
    const struct reference_attention *args = g->forward;
    for (int64_t s = 0; s < args->segment_count; s++) {
        const struct segment *own = &args->segments[s],
                             *parent = own->parent < 0 ? NULL : &args->segments[own->parent];
        for (int64_t row = own->start; row < own->start + own->length; row++)
            for (int64_t head = 0; head < args->H; head++) {
                const int64_t at = (row * args->H + head) * args->D;
                double delta = 0;
                for (int64_t d = 0; d < args->D; d++)
                    delta += g->dout[at + d] * args->out[at + d];
                for (int64_t j = 0; parent != NULL && j < parent->length; j++)
                    add_pair(g, row, parent->start + j, head, delta);
                for (int64_t j = own->start; j <= row; j++)
                    add_pair(g, row, j, head, delta);
            }
    }
}

/* The formula above is the derivative: along a drawn direction. */
static void test_formula(void) {
    const struct segment segments[] = {{0, 5, -1, 0}, {5, 4, 0, 5}, {9, 1, 0, 5}};
    const int64_t T = 10, H = 4, K = 2, D = 6, n = T * (H + 2 * K) * D, N = T * H * D;
    double *qkv = reference_new(n), *step = reference_new(n), *dout = reference_new(N),
           *out = reference_new(N), *log_sum = reference_new(T * H), *dqkv = reference_new(n);
    uint64_t state = 3;
    for (int64_t i = 0; i < n; i++) {
        qkv[i] = (double)fixture_number(&state) * 2;
        step[i] = (double)fixture_number(&state);
    }
    for (int64_t i = 0; i < N; i++)
        dout[i] = (double)fixture_number(&state);
    const struct reference_attention forward = {qkv, segments, out, log_sum, T, H, K, D, 3};
    double difference = 0, slope = 0;
    const double h = 1e-5;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int64_t i = 0; i < n; i++)
            qkv[i] += sign * h * step[i];
        reference_attention(&forward);
        for (int64_t i = 0; i < N; i++)
            difference += sign * dout[i] * out[i] / (2 * h);
        for (int64_t i = 0; i < n; i++)
            qkv[i] -= sign * h * step[i];
    }
    reference_attention(&forward);
    differentiate(&(struct gradient){&forward, dout, dqkv});
    for (int64_t i = 0; i < n; i++)
        slope += dqkv[i] * step[i];
    CHECK_NEAR(slope, difference, 1e-7 * fabs(difference) + 1e-9);
    double *const all[] = {qkv, step, dout, out, log_sum, dqkv};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* dqkv on the device, of host memory. */
static float *backward(struct device *device, struct heads s, const float *qkv,
                       const struct attended *forward, const float *dout,
                       const struct segment *segments, int64_t count) {
    const int64_t T = segments[count - 1].start + segments[count - 1].length, G = s.H / s.K,
                  queries = attention_query_blocks(segments, count, G, NULL),
                  keys = attention_key_blocks(segments, count, G, NULL);
    struct attention_block *blocks = calloc((size_t)(queries + keys), sizeof *blocks);
    ASSERT(blocks != NULL);
    attention_query_blocks(segments, count, G, blocks);
    attention_key_blocks(segments, count, G, blocks + queries);
    void *memory[] = {
        upload_as(device, s, qkv, T * heads_width(s)),
        fixture_upload(device, segments, (size_t)count * sizeof *segments),
        fixture_upload(device, blocks, (size_t)queries * sizeof *blocks),
        upload_as(device, s, forward->out, T * s.H * s.D),
        fixture_upload(device, forward->log_sum, (size_t)(T * s.H) * sizeof(float)),
        fixture_upload(device, blocks + queries, (size_t)keys * sizeof *blocks),
        upload_as(device, s, dout, T * s.H * s.D),
        upload_as(device, s, NULL, T * heads_width(s)),
        fixture_upload(device, NULL,
                       (size_t)attention_backward_floats(segments, count, s.H, s.K, s.D) *
                           sizeof(float))};
    const struct attention_backward_launch args = {.forward = {.dtype = s.dtype,
                                                               .qkv = memory[0],
                                                               .segments = memory[1],
                                                               .blocks = memory[2],
                                                               .out = memory[3],
                                                               .log_sum = memory[4],
                                                               .block_count = queries,
                                                               .H = s.H,
                                                               .K = s.K,
                                                               .D = s.D},
                                                   .key_blocks = memory[5],
                                                   .dout = memory[6],
                                                   .dqkv = memory[7],
                                                   .scratch = memory[8],
                                                   .T = T,
                                                   .key_block_count = keys};
    MUST(DEVICE_LAUNCH(launch_attention_backward(device->stream, &args)));
    float *dqkv = download_as(device, s, args.dqkv, T * heads_width(s));
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        device_release(device, &memory[i]);
    free(blocks);
    return dqkv;
}

/* Parts of dqkv apart: their sizes differ. */
static void compare_gradient(struct heads s, const float *have, const double *want, int64_t T,
                             double tolerance) {
    static const char *const names[] = {"dq", "dk", "dv"};
    const int64_t begins[] = {0, s.H * s.D, (s.H + s.K) * s.D, heads_width(s)};
    float *part = host_floats(T * heads_width(s));
    double *expected = reference_new(T * heads_width(s));
    for (int i = 0; i < 3; i++) {
        const int64_t columns = begins[i + 1] - begins[i];
        for (int64_t t = 0; t < T; t++) {
            memcpy(part + t * columns, have + t * heads_width(s) + begins[i],
                   (size_t)columns * sizeof *part);
            memcpy(expected + t * columns, want + t * heads_width(s) + begins[i],
                   (size_t)columns * sizeof *expected);
        }
        compare(names[i], s, part, expected, T * columns, tolerance);
    }
    free(part);
    free(expected);
}

/* `twice`: launched again, with the same bits. */
static void check_case(struct device *device, struct heads s, const struct segment *segments,
                       int64_t count, bool twice) {
    const int64_t T = segments[count - 1].start + segments[count - 1].length, N = T * s.H * s.D;
    const double tolerance = s.dtype == DTYPE_F32 ? 2e-5 : 1e-2;
    uint64_t state = 11;
    float *qkv = draw(s, T * heads_width(s), 4, &state), *dout = draw(s, N, 1, &state);
    double *wide = reference_widen(qkv, T * heads_width(s)), *wide_dout = reference_widen(dout, N),
           *out = reference_new(N), *log_sum = reference_new(T * s.H),
           *dqkv = reference_new(T * heads_width(s));
    const struct reference_attention forward = {wide, segments, out, log_sum, T,
                                                s.H,  s.K,      s.D, count};
    reference_attention(&forward);
    differentiate(&(struct gradient){&forward, wide_dout, dqkv});
    struct attended have = attend(device, s, qkv, segments, count);
    float *gradient = backward(device, s, qkv, &have, dout, segments, count);
    compare("out", s, have.out, out, N, tolerance);
    compare("log_sum", s, have.log_sum, log_sum, T * s.H, 2e-5);
    compare_gradient(s, gradient, dqkv, T, 2 * tolerance);
    if (twice) {
        struct attended again = attend(device, s, qkv, segments, count);
        float *repeated = backward(device, s, qkv, &have, dout, segments, count);
        same_bits("out, launched again", s, have.out, again.out, N);
        same_bits("log_sum, launched again", s, have.log_sum, again.log_sum, T * s.H);
        same_bits("dqkv, launched again", s, gradient, repeated, T * heads_width(s));
        attended_release(&again);
        free(repeated);
    }
    void *const all[] = {qkv, dout, wide, wide_dout, out, log_sum, dqkv, gradient};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    attended_release(&have);
}

static void test_numbers(struct device *device, bool small) {
    static const struct heads shapes[] = {{DTYPE_BF16, 7, 1, 64}, {DTYPE_BF16, 2, 2, 128},
                                          {DTYPE_BF16, 4, 2, 48}, {DTYPE_F32, 4, 2, 32},
                                          {DTYPE_F32, 3, 3, 6},   {DTYPE_F32, 2, 1, 256}};
    /* a family with a child of one position, a text of one position, one that fits a block */
    static const struct segment segments[SEGMENTS] = {
        {0, 21, -1, 0}, {21, 50, 0, 21}, {71, 1, 0, 21},  {72, 9, 0, 21},
        {81, 1, -1, 0}, {82, 64, -1, 0}, {146, 5, 5, 64}, {151, 3, -1, 0}};
    /* so many rows see the first that they are cut into parts */
    static const struct segment shared[] = {{0, 20, -1, 0}, {20, 70, 0, 20}, {90, 45, 0, 20}};
    static const struct heads many[] = {{DTYPE_BF16, 16, 1, 64}, {DTYPE_F32, 16, 1, 6}};
    /* a group as reinforcement learning has them */
    static const struct segment group[] = {{0, 105, -1, 0},    {105, 300, 0, 105},
                                           {405, 211, 0, 105}, {616, 64, 0, 105},
                                           {680, 333, -1, 0},  {1013, 1, 4, 333}};
    static const struct heads large[] = {{DTYPE_BF16, 14, 2, 64}, {DTYPE_BF16, 12, 2, 128},
                                         {DTYPE_BF16, 8, 1, 128}, {DTYPE_BF16, 2, 2, 64},
                                         {DTYPE_BF16, 6, 3, 48},  {DTYPE_F32, 7, 1, 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_case(device, shapes[i], segments, SEGMENTS, !small || i < 2);
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++)
        check_case(device, many[i], shared, 3, !small);
    for (size_t i = 0; !small && i < sizeof large / sizeof large[0]; i++)
        check_case(device, large[i], group, 6, true);
}

enum { TEXT = 150, BEFORE = 45, OTHER = 31, WHOLE = BEFORE + TEXT + OTHER + 1 };

/* A text as one segment, and the same text cut behind `prompt` positions: as the second of three
 * answers, behind another text. */
static void compare_cut(struct device *device, struct heads s, const float *qkv,
                        const struct attended *want, int32_t prompt) {
    const int32_t answer = TEXT - prompt;
    const struct segment segments[] = {{0, BEFORE, -1, 0},
                                       {BEFORE, prompt, -1, 0},
                                       {BEFORE + prompt, OTHER, 1, prompt},
                                       {BEFORE + prompt + OTHER, answer, 1, prompt},
                                       {BEFORE + prompt + OTHER + answer, 1, 1, prompt}};
    const int64_t width = heads_width(s), N = s.H * s.D, at = BEFORE + prompt + OTHER;
    uint64_t state = 23;
    float *batch = draw(s, WHOLE * width, 1, &state);
    memcpy(batch + BEFORE * width, qkv, (size_t)(prompt * width) * sizeof *qkv);
    memcpy(batch + at * width, qkv + prompt * width, (size_t)(answer * width) * sizeof *qkv);
    struct attended have = attend(device, s, batch, segments, 5);
    same_bits("rows of the prompt", s, have.out + BEFORE * N, want->out, prompt * N);
    same_bits("rows of the answer", s, have.out + at * N, want->out + prompt * N, answer * N);
    same_bits("log_sum of the answer", s, have.log_sum + at * s.H, want->log_sum + prompt * s.H,
              answer * s.H);
    attended_release(&have);
    free(batch);
}

/* A text, its cuts, and its beginning alone. */
static void test_invariance(struct device *device) {
    static const struct heads shapes[] = {{DTYPE_BF16, 3, 1, 64},
                                          {DTYPE_BF16, 1, 1, 128},
                                          {DTYPE_BF16, 2, 1, 48},
                                          {DTYPE_F32, 3, 1, 16}};
    static const int32_t cuts[] = {1, 64, 77}, beginnings[] = {1, 65, 101};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct heads s = shapes[i];
        const struct segment whole = {0, TEXT, -1, 0};
        uint64_t state = 5;
        float *qkv = draw(s, TEXT * heads_width(s), 4, &state);
        struct attended want = attend(device, s, qkv, &whole, 1);
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++)
            compare_cut(device, s, qkv, &want, cuts[c]);
        for (size_t c = 0; c < sizeof beginnings / sizeof beginnings[0]; c++) {
            const struct segment shorter = {0, beginnings[c], -1, 0};
            struct attended have = attend(device, s, qkv, &shorter, 1);
            same_bits("a text and its beginning", s, have.out, want.out, beginnings[c] * s.H * s.D);
            attended_release(&have);
        }
        attended_release(&want);
        free(qkv);
    }
}

/* Work lists: every packed row and every key once, most work first. */
static void test_blocks(void) {
    const struct segment segments[] = {
        {0, 105, -1, 0}, {105, 300, 0, 105}, {405, 1, 0, 105}, {406, 70, -1, 0}};
    struct attention_block blocks[64];
    const int64_t G = 7, queries = attention_query_blocks(segments, 4, G, blocks);
    int64_t rows = 0;
    CHECK_EQ(queries, attention_query_blocks(segments, 4, G, NULL));
    for (int64_t i = 0; i < queries; i++) {
        const int64_t left = segments[blocks[i].segment].length * G - blocks[i].first;
        CHECK(left > 0 && blocks[i].first % ATTENTION_ROWS == 0);
        CHECK(i == 0 || blocks[i].work <= blocks[i - 1].work);
        rows += left < ATTENTION_ROWS ? left : ATTENTION_ROWS;
    }
    CHECK_EQ(rows, (105 + 300 + 1 + 70) * G);
    /* 2842, 2394 and 2100 rows see the prompt's two blocks and the answer's first: two parts each */
    const int64_t keys = attention_key_blocks(segments, 4, G, blocks);
    CHECK_EQ(keys, 2 * 3 + 4 + 1 + 2);
    rows = 0;
    for (int64_t i = 0; i < keys; i++) {
        rows += blocks[i].rows;
        CHECK(i == 0 || blocks[i].work <= blocks[i - 1].work);
        if (blocks[i].segment != 0 || blocks[i].first != 64 || blocks[i].part == 0)
            continue;
        CHECK_EQ(blocks[i].parts, 2); /* 41 rows of the prompt, 130 of the answer in the first */
        CHECK_EQ(blocks[i].query_segment, 1);
        CHECK_EQ(blocks[i].query_first, 1216 - 41 * 7);
        CHECK_EQ(blocks[i].rows, 2394 - 1216);
    }
    CHECK_EQ(rows, 2842 + 2394 + 2100 + (236 + 172 + 108 + 44 + 1 + 70 + 6) * G);
    CHECK_EQ(attention_backward_floats(segments, 4, 14, 2, 8), 2 * 476 * 14 + 6 * 2 * 2 * 64 * 8);
    /* the second part begins with the child */
    const struct segment whole[] = {{0, 128, -1, 0}, {128, 128, 0, 128}};
    CHECK_EQ(attention_key_blocks(whole, 2, 16, blocks), 2 * 2 + 2);
    for (int64_t i = 0; i < 6; i++)
        if (blocks[i].segment == 0 && blocks[i].first == 0 && blocks[i].part == 1) {
            CHECK_EQ(blocks[i].query_segment, 1);
            CHECK_EQ(blocks[i].query_first, 0);
        }
}

int main(void) {
    struct device device = fixture_open();
    struct device_facts facts;
    MUST(device_facts(&device, &facts));
    test_formula();
    test_blocks();
    test_numbers(&device, facts.is_host);
    test_invariance(&device);
    device_close(&device);
    return CHECK_END();
}
