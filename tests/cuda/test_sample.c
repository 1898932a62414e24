/* SPDX-License-Identifier: Apache-2.0
 *
 * The draw on the device: each filter against the distribution got by sorting in double and against
 * the token of the CPU backend, ties, ends, numbers that are not finite; uniform numbers by counter;
 * what it says of a token has the bits of the head.
 */
#include "arrays.h"
#include "cuda/kernel/sample.h"

static const struct sample_settings PLAIN = {.temperature = 1, .top_p = 1};
enum { SEEN = 3, ROWS_MAX = 8 };

struct draw {
    int32_t tokens[ROWS_MAX];
    float logprob[ROWS_MAX], entropy[ROWS_MAX];
};

/* Rows of logits and what is drawn from them; `seen` a table of ROWS_MAX rows of SEEN tokens, or
 * NULL, of which row b has row rows[b]. */
struct problem {
    const float *logits; /* host (B, V) */
    const double *uniforms;
    const int32_t *seen, *rows, *counts;
    int64_t B, V;
    struct sample_settings settings;
};

static struct draw draw_on_device(struct arrays *a, const struct problem *p) {
    struct draw draw;
    const int64_t B = p->B, V = p->V;
    const struct sample_launch args = {
        .logits = arrays_upload(a, p->logits, (size_t)(B * V) * sizeof *p->logits),
        .uniforms = arrays_upload(a, p->uniforms, (size_t)B * sizeof *p->uniforms),
        .seen = p->seen != NULL ? arrays_upload(a, p->seen, ROWS_MAX * SEEN * 4) : NULL,
        .seen_rows = p->seen != NULL ? arrays_upload(a, p->rows, (size_t)B * 4) : NULL,
        .seen_counts = p->seen != NULL ? arrays_upload(a, p->counts, (size_t)B * 4) : NULL,
        .sums = arrays_upload(a, NULL, (size_t)(B * head_sums_of(V)) * sizeof(struct head_sums)),
        .tokens = arrays_upload(a, NULL, (size_t)B * sizeof *draw.tokens),
        .logprob = arrays_blank(a, B, DTYPE_F32),
        .entropy = arrays_blank(a, B, DTYPE_F32),
        .B = B,
        .V = V,
        .ld = V,
        .seen_ld = SEEN,
        .settings = p->settings};
    RUN(a, launch_sample(a->device.stream, &args));
    fixture_download(&a->device, draw.tokens, args.tokens, (size_t)B * sizeof *draw.tokens);
    fixture_download(&a->device, draw.logprob, args.logprob, (size_t)B * sizeof *draw.logprob);
    fixture_download(&a->device, draw.entropy, args.entropy, (size_t)B * sizeof *draw.entropy);
    return draw;
}

/* The penalty is taken off here. */
static void draw_on_cpu(struct arrays *a, const struct problem *p, int32_t *tokens) {
    struct backend cpu;
    struct sample_settings settings = p->settings;
    float *logits = arrays_host(a, p->B * p->V, sizeof *logits);
    memcpy(logits, p->logits, (size_t)(p->B * p->V) * sizeof *logits);
    for (int64_t b = 0; p->seen != NULL && b < p->B; b++)
        for (int32_t i = 0; i < p->counts[b]; i++) {
            const int64_t at = b * p->V + p->seen[p->rows[b] * SEEN + i];
            logits[at] = p->logits[at] - settings.presence_penalty;
        }
    settings.presence_penalty = 0;
    CHECK_OK(backend_open(&cpu, "cpu", 1));
    CHECK_OK(backend_run(&cpu, sample, .logits = logits, .uniforms = p->uniforms, .tokens = tokens,
                         .B = p->B, .V = p->V, .ld = p->V, .settings = settings));
    backend_close(&cpu);
}

/* Whether the token's part of the cumulated probabilities holds `uniform`, but for rounding. */
static bool agrees(const double *probabilities, int64_t V, double uniform, int32_t token) {
    const double rounding = 1e-6;
    double before = 0;
    if (token < 0 || token >= V || probabilities[token] == 0)
        return false;
    for (int64_t v = 0; v < token; v++)
        before += probabilities[v];
    return before - rounding <= uniform && uniform <= before + probabilities[token] + rounding;
}

/* Log-probability and entropy of the tokens have the bits of the head. */
static void check_head(struct arrays *a, const struct problem *p, const struct draw *draw) {
    const float temperature = p->settings.temperature > 0 ? p->settings.temperature : 1;
    const int64_t B = p->B, V = p->V;
    struct head_row *rows = arrays_upload(a, NULL, (size_t)B * sizeof *rows);
    float *logprob = arrays_blank(a, B, DTYPE_F32), *entropy = arrays_blank(a, B, DTYPE_F32);
    const struct head_block_launch block = {
        .logits = arrays_upload(a, p->logits, (size_t)(B * V) * sizeof *p->logits),
        .targets = arrays_upload(a, draw->tokens, (size_t)B * sizeof *draw->tokens),
        .rows = rows,
        .sums = arrays_upload(a, NULL, (size_t)(B * head_sums_of(V)) * sizeof(struct head_sums)),
        .R = B,
        .columns = V,
        .ld = V,
        .temperature = temperature};
    const struct head_finish_launch finish = {
        .rows = rows, .logprob = logprob, .entropy = entropy, .R = B, .temperature = temperature};
    RUN(a, launch_head_block(a->device.stream, &block));
    RUN(a, launch_head_finish(a->device.stream, &finish));
    arrays_same("log-probability", draw->logprob, arrays_get(a, logprob, B, DTYPE_F32), B);
    arrays_same("entropy", draw->entropy, arrays_get(a, entropy, B, DTYPE_F32), B);
}

static void test_settings(struct arrays *a, int64_t V, struct sample_settings settings,
                          const char *what) {
    enum { B = ROWS_MAX };
    double uniforms[B], *probabilities = arrays_doubles(a, V);
    int32_t seen[B * SEEN], rows[B], counts[B] = {SEEN, 0, SEEN, SEEN, 1}, cpu[B];
    const float *logits = arrays_normal(a, B * V, 0, 3);
    for (uint32_t b = 0; b < B; b++) {
        uniforms[b] = random_uniform(3, RANDOM_TEST, b, 0, 0, 0);
        rows[b] = (int32_t)(B - 1 - b);
        for (uint32_t i = 0; i < SEEN; i++)
            seen[b * SEEN + i] = i == 0 ? (int32_t)(b % V) : (int32_t)(5 % V);
    }
    const bool penalised = settings.presence_penalty != 0;
    struct problem p = {logits, uniforms, penalised ? seen : NULL, rows, counts, B, V, settings};
    const struct draw draw = draw_on_device(a, &p);
    draw_on_cpu(a, &p, cpu);
    check_head(a, &p, &draw);
    const double *z = arrays_widen(a, logits, B * V);
    for (int b = 0; b < B; b++) {
        reference_sample(z + b * V, V, &settings, seen + rows[b] * SEEN, penalised ? counts[b] : 0,
                         probabilities);
        if (!agrees(probabilities, V, uniforms[b], draw.tokens[b]) || draw.tokens[b] != cpu[b])
            CHECK_FAILED("%s, V = %lld: row %d drew %d, the CPU %d, for u = %.9g", what,
                         (long long)V, b, draw.tokens[b], cpu[b], uniforms[b]);
    }
    p.B = 1; /* the last row alone */
    p.logits += (B - 1) * V;
    p.uniforms += B - 1;
    p.rows += B - 1;
    p.counts += B - 1;
    const struct draw alone = draw_on_device(a, &p);
    CHECK_EQ(alone.tokens[0], draw.tokens[B - 1]);
    arrays_same("a row alone", alone.logprob, draw.logprob + B - 1, 1);
    arrays_reset(a);
}

static void test_filters(struct arrays *a, bool host) {
    static const struct {
        const char *what;
        struct sample_settings settings;
    } cases[] = {
        {"plain", {.temperature = 1, .top_p = 1}},
        {"cold", {.temperature = 0.3f, .top_p = 1}},
        {"hot", {.temperature = 2.5f, .top_p = 1}},
        {"greedy", {.temperature = 0, .top_p = 1}},
        {"greedy with a penalty", {.temperature = 0, .top_p = 1, .presence_penalty = 4}},
        {"penalty", {.temperature = 1, .top_p = 1, .presence_penalty = 1.5f}},
        {"top_k", {.temperature = 1, .top_p = 1, .top_k = 7}},
        {"top_k at a tiny temperature", {.temperature = 1e-6f, .top_p = 1, .top_k = 7}},
        {"top_k at a huge temperature", {.temperature = 1e6f, .top_p = 1, .top_k = 7}},
        {"top_k of one", {.temperature = 1, .top_p = 1, .top_k = 1}},
        {"top_k beyond the vocabulary", {.temperature = 1, .top_p = 1, .top_k = 1 << 20}},
        {"top_p", {.temperature = 1, .top_p = 0.83f}},
        {"top_p at a huge temperature", {.temperature = 1e6f, .top_p = 0.83f}},
        {"small top_p", {.temperature = 1, .top_p = 1e-6f}},
        {"top_p of zero", {.temperature = 1, .top_p = 0}},
        {"min_p", {.temperature = 1, .top_p = 1, .min_p = 0.07f}},
        {"min_p of one", {.temperature = 1, .top_p = 1, .min_p = 1}},
        {"all", {0.8f, 0.9f, 0.05f, 0.7f, 20}},
    };
    static const int64_t sizes[] = {1, 6, 2500, 151936};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            if (sizes[s] < 10000 || !host)
                test_settings(a, sizes[s], cases[i].settings, cases[i].what);
}

static int32_t sample_one(struct arrays *a, const float *logits, int64_t V, double uniform,
                          struct sample_settings settings) {
    const struct problem p = {logits, &uniform, NULL, NULL, NULL, 1, V, settings};
    return draw_on_device(a, &p).tokens[0];
}

/* Lower ids win at the border of a filter. */
static void test_ties(struct arrays *a) {
    const float equal[] = {1, 1, 1, 1, 0, 1}, zeros[] = {-0.0f, 0.0f, -1, 0.0f};
    const float pair[] = {0, 3, 3};
    struct sample_settings settings = PLAIN;
    settings.top_k = 3;
    CHECK_EQ(sample_one(a, equal, 6, 0.999999, settings), 2);
    CHECK_EQ(sample_one(a, equal, 6, 0.34, settings), 1);
    settings.top_k = 2;
    CHECK_EQ(sample_one(a, zeros, 4, 0.0, settings), 0);
    CHECK_EQ(sample_one(a, zeros, 4, 0.999999, settings), 1);
    settings = PLAIN;
    settings.top_p = 0.3f; /* of weights 5 × 0.186 and 0.068: two tokens */
    CHECK_EQ(sample_one(a, equal, 6, 0.999999, settings), 1);
    settings.top_k = 3; /* of three at one third each: one, and it stays so */
    settings.top_p = 0.1f;
    CHECK_EQ(sample_one(a, equal, 6, 0.999999, settings), 0);
    settings.top_p = 0.99f; /* all of the three, and none of those that top_k left out */
    CHECK_EQ(sample_one(a, equal, 6, 0.999999, settings), 2);
    settings = PLAIN;
    settings.temperature = 0;
    CHECK_EQ(sample_one(a, pair, 3, 0.999999, settings), 1);
    CHECK_EQ(sample_one(a, zeros, 4, 0.999999, settings), 0);
    arrays_reset(a);
}

/* More equal logits than a warp has lanes, over the parts of several warps. */
static void test_many_ties(struct arrays *a) {
    enum { V = 3000 };
    float logits[V];
    struct sample_settings settings = PLAIN;
    for (int v = 0; v < V; v++)
        logits[v] = v % 2 == 0 ? 5 : 4;
    for (int k = 1; k < V; k += 601) { /* the k lowest even ids, then the odd ones */
        const int last = k <= V / 2 ? 2 * (k - 1) : V - 2;
        settings.top_k = k;
        const int32_t token = sample_one(a, logits, V, 1 - 0x1p-53, settings);
        CHECK_EQ(token,
                 k <= V / 2 ? last : (2 * (k - V / 2) - 1 > last ? 2 * (k - V / 2) - 1 : last));
        arrays_reset(a);
    }
}

/* The largest uniform number never runs off the end or takes a token of probability zero, and zero
 * never takes a token before the first that has any. */
static void test_ends(struct arrays *a) {
    enum { V = 3000 };
    const double last = 1 - 0x1p-53;
    float logits[V];
    for (int v = 0; v < V; v++)
        logits[v] = v >= 1100 && v < 2100 ? (float)(v % 7) : -400.0f;
    CHECK_EQ(sample_one(a, logits, V, last, PLAIN), 2099);
    CHECK_EQ(sample_one(a, logits, V, 0, PLAIN), 1100);
    struct sample_settings settings = PLAIN;
    settings.min_p = 0.9f; /* only v % 7 = 6 stay */
    CHECK_EQ(sample_one(a, logits, V, last, settings), 2099);
    CHECK_EQ(sample_one(a, logits, V, 0, settings), 1105);
    settings = PLAIN;
    settings.temperature = 1e-40f; /* its inverse is not a float */
    CHECK_EQ(sample_one(a, logits, V, 0, settings), 1105);
    arrays_reset(a);
    for (uint32_t i = 0; i < 20; i++) { /* close to the end under every rounding */
        for (int v = 0; v < V; v++)
            logits[v] = (float)random_normal(9, RANDOM_TEST, i, (uint32_t)v, 0, 0);
        logits[V - 1] = -400;
        const int32_t token = sample_one(a, logits, V, last, PLAIN);
        CHECK(token >= 0 && token < V - 1);
        arrays_reset(a);
    }
}

static void test_nonfinite(struct arrays *a) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const double uniforms[2] = {0.5, 0.5};
    for (size_t i = 0; i < 9; i++) {
        struct sample_settings settings = PLAIN;
        settings.temperature = i / 3 == 1 ? 0 : 1;
        settings.top_k = i / 3 == 2 ? 5 : 0;
        float logits[2 * 70] = {0};
        logits[70 + 33] = bad[i % 3];
        const struct problem p = {logits, uniforms, NULL, NULL, NULL, 2, 70, settings};
        const struct draw draw = draw_on_device(a, &p);
        CHECK(draw.tokens[0] >= 0 && isfinite(draw.logprob[0]));
        CHECK_EQ(draw.tokens[1], -1);
        CHECK(!isfinite(draw.logprob[1]));
        arrays_reset(a);
    }
}

/* The numbers of random_uniform on the device: flat logits make a token of a number. */
static void test_counters(struct arrays *a) {
    enum { B = 9, V = 4000 };
    uint32_t counters[B][4];
    const uint64_t seed = 0x123456789abcdefu;
    int32_t tokens[B];
    const float *logits = arrays_host(a, B * V, sizeof *logits);
    for (uint32_t b = 0; b < B; b++)
        for (uint32_t i = 0; i < 4; i++)
            counters[b][i] = b * 77777777u + i * 1234567u;
    const struct sample_launch args = {
        .logits = arrays_upload(a, logits, (size_t)B * V * sizeof *logits),
        .counters = arrays_upload(a, counters, sizeof counters),
        .seed = arrays_upload(a, &seed, sizeof seed),
        .sums = arrays_upload(a, NULL, (size_t)(B * head_sums_of(V)) * sizeof(struct head_sums)),
        .tokens = arrays_upload(a, NULL, sizeof tokens),
        .B = B,
        .V = V,
        .ld = V,
        .settings = PLAIN};
    RUN(a, launch_sample(a->device.stream, &args));
    fixture_download(&a->device, tokens, args.tokens, sizeof tokens);
    for (int b = 0; b < B; b++) {
        const uint32_t *c = counters[b];
        const double uniform = random_uniform(seed, RANDOM_SAMPLE, c[0], c[1], c[2], c[3]);
        CHECK_EQ(tokens[b], (int)(uniform * V));
    }
    arrays_reset(a);
}

int main(void) {
    struct arrays a;
    arrays_open(&a);
    test_filters(&a, arrays_on_host(&a));
    test_ties(&a);
    test_many_ties(&a);
    test_ends(&a);
    test_nonfinite(&a);
    test_counters(&a);
    arrays_close(&a);
    return CHECK_END();
}
