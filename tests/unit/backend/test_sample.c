/* SPDX-License-Identifier: Apache-2.0
 *
 * The draw: each filter against the distribution got by sorting in double, the exact cases, and
 * counts of many draws by a chi-square test.
 */
#include "fixture.h"

static const struct sample_settings PLAIN = {.temperature = 1, .top_p = 1};

static enum status sample(struct fixture *f, const float *logits, int64_t B, int64_t V,
                          const double *uniforms, const struct sample_settings *settings,
                          int32_t *tokens) {
    const double *u = fixture_upload(f, uniforms, (size_t)B * sizeof *u);
    int32_t *drawn = fixture_ints(f, NULL, B);
    TRY(backend_run(&f->backend, sample, .logits = logits, .uniforms = u, .tokens = drawn, .B = B,
                    .V = V, .ld = V, .settings = *settings));
    return f->backend.ops->download(&f->backend, tokens, drawn, (size_t)B * sizeof *tokens);
}

static int32_t sample_one(struct fixture *f, const float *logits, int64_t V, double uniform,
                          const struct sample_settings *settings) {
    int32_t token = -1;
    CHECK_OK(sample(f, fixture_floats(f, logits, V), 1, V, &uniform, settings, &token));
    return token;
}

/* The token whose part of the cumulated probabilities holds `uniform`; true when `token` is it, or
 * its neighbour and the border closer than the rounding of fp32 weights. */
static bool agrees(const double *probabilities, int64_t V, double uniform, int32_t token) {
    const double rounding = 1e-6;
    double before = 0;
    if (token < 0 || token >= V || probabilities[token] == 0)
        return false;
    for (int64_t v = 0; v < token; v++)
        before += probabilities[v];
    return before - rounding <= uniform && uniform <= before + probabilities[token] + rounding;
}

/* What a draw says of its tokens has the bits of the head. */
static void check_head(struct fixture *f, const struct sample_args *drawn, float temperature) {
    const int64_t B = drawn->B, V = drawn->V;
    struct head_row *rows = fixture_upload(f, NULL, (size_t)B * sizeof *rows);
    float *logprob = fixture_floats(f, NULL, B), *entropy = fixture_floats(f, NULL, B);
    CHECK_OK(backend_run(&f->backend, head_block, .logits = drawn->logits, .targets = drawn->tokens,
                         .rows = rows, .R = B, .columns = V, .ld = V, .temperature = temperature));
    CHECK_OK(backend_run(&f->backend, head_finish, .rows = rows, .logprob = logprob,
                         .entropy = entropy, .R = B, .temperature = temperature));
    fixture_same_arrays(f, "log-probability of a draw", drawn->logprob, logprob, B);
    fixture_same_arrays(f, "entropy of a draw", drawn->entropy, entropy, B);
}

static void test_settings(struct fixture *f, int64_t V, const struct sample_settings *settings,
                          const char *what) {
    enum { B = 16, SEEN = 3 };
    double uniforms[B];
    int32_t tokens[B], alone[B];
    static const int32_t seen[] = {9, 9, 9, 9, 0, 5, 5, 9}; /* the second of two rows */
    int32_t rows[B];
    const int32_t counts[B] = {SEEN, 0, SEEN, SEEN, 1};
    const float *logits = fixture_normal(f, B * V, 0, 3);
    const double *z = fixture_doubles(f, logits, B * V);
    double *probabilities = fixture_host(f, V);
    for (int b = 0; b < B; b++) {
        uniforms[b] = random_uniform(3, RANDOM_TEST, (uint32_t)b, 0, 0, 0);
        rows[b] = 1;
    }
    struct sample_args args = {.logits = logits,
                               .uniforms = fixture_upload(f, uniforms, sizeof uniforms),
                               .seen = fixture_ints(f, seen, 8),
                               .seen_rows = fixture_ints(f, rows, B),
                               .seen_counts = fixture_ints(f, counts, B),
                               .seen_ld = 4,
                               .tokens = fixture_ints(f, NULL, B),
                               .logprob = fixture_floats(f, NULL, B),
                               .entropy = fixture_floats(f, NULL, B),
                               .B = B,
                               .V = V,
                               .ld = V,
                               .settings = *settings};
    CHECK_OK(f->backend.ops->sample(&f->backend, &args));
    CHECK_OK(f->backend.ops->download(&f->backend, tokens, args.tokens, sizeof tokens));
    for (int b = 0; b < B; b++) {
        const int32_t count = settings->presence_penalty != 0 ? counts[b] : 0;
        reference_sample(z + b * V, V, settings, seen + 4, count, probabilities);
        if (!agrees(probabilities, V, uniforms[b], tokens[b]))
            CHECK_FAILED("%s: %s, V = %lld: row %d drew %d (probability %.3g) for u = %.9g",
                         f->name, what, (long long)V, b, tokens[b],
                         tokens[b] >= 0 ? probabilities[tokens[b]] : 0.0, uniforms[b]);
    }
    check_head(f, &args, settings->temperature > 0 ? settings->temperature : 1);
    const int step = fixture_is_cuda(f) ? 5 : 1; /* where each thread may be a fiber: some */
    for (int b = 0; b < B; b += step) {          /* the same row by row */
        struct sample_args one = args;
        one.logits += b * V;
        one.uniforms += b;
        one.seen_rows += b;
        one.seen_counts += b;
        one.tokens += b;
        one.logprob += b;
        one.entropy += b;
        one.B = 1;
        CHECK_OK(f->backend.ops->sample(&f->backend, &one));
    }
    CHECK_OK(f->backend.ops->download(&f->backend, alone, args.tokens, sizeof alone));
    CHECK(memcmp(alone, tokens, sizeof tokens) == 0);
    fixture_reset(f);
}

static void test_filters(struct fixture *f) {
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
        {"top_k of one", {.temperature = 1, .top_p = 1, .top_k = 1}},
        {"top_k beyond the vocabulary", {.temperature = 1, .top_p = 1, .top_k = 1 << 20}},
        {"top_p", {.temperature = 1, .top_p = 0.83f}},
        {"small top_p", {.temperature = 1, .top_p = 1e-6f}},
        {"top_p of zero", {.temperature = 1, .top_p = 0}},
        {"min_p", {.temperature = 1, .top_p = 1, .min_p = 0.07f}},
        {"min_p of one", {.temperature = 1, .top_p = 1, .min_p = 1}},
        {"all", {0.8f, 0.9f, 0.05f, 0.7f, 20}},
    };
    static const int64_t sizes[] = {6, 1024, 2500};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            test_settings(f, sizes[s], &cases[i].settings, cases[i].what);
}

/* Ties: lower ids win at the border of a filter. */
static void test_ties(struct fixture *f) {
    const float equal[] = {1, 1, 1, 1, 0, 1}, zeros[] = {-0.0f, 0.0f, -1, 0.0f};
    struct sample_settings settings = PLAIN;
    settings.top_k = 3;
    CHECK_EQ(sample_one(f, equal, 6, 0.999999, &settings), 2);
    CHECK_EQ(sample_one(f, equal, 6, 0.34, &settings), 1);
    settings.top_k = 2;
    CHECK_EQ(sample_one(f, zeros, 4, 0.0, &settings), 0);
    CHECK_EQ(sample_one(f, zeros, 4, 0.999999, &settings), 1);
    settings = PLAIN;
    settings.top_p = 0.3f; /* of weights 5 × 0.186 and 0.068: two tokens */
    CHECK_EQ(sample_one(f, equal, 6, 0.999999, &settings), 1);
    settings.top_k = 3; /* of three at one third each: one, and it stays so */
    settings.top_p = 0.1f;
    CHECK_EQ(sample_one(f, equal, 6, 0.999999, &settings), 0);
    settings.top_p = 0.99f; /* all of the three, and none of those that top_k left out */
    CHECK_EQ(sample_one(f, equal, 6, 0.999999, &settings), 2);
    settings = PLAIN;
    settings.temperature = 0;
    const float pair[] = {0, 3, 3};
    CHECK_EQ(sample_one(f, pair, 3, 0.999999, &settings), 1);
    CHECK_EQ(sample_one(f, zeros, 4, 0.999999, &settings), 0);
    fixture_reset(f);
}

/* The largest uniform number never runs off the end or takes a token of probability zero, and zero
 * never takes a token before the first that has any. */
static void test_ends(struct fixture *f) {
    enum { V = 3000 };
    const double last = 1 - 0x1p-53;
    float logits[V];
    for (int v = 0; v < V; v++)
        logits[v] = v >= 1100 && v < 2100 ? (float)(v % 7) : -400.0f;
    CHECK_EQ(sample_one(f, logits, V, last, &PLAIN), 2099);
    CHECK_EQ(sample_one(f, logits, V, 0, &PLAIN), 1100);
    struct sample_settings settings = PLAIN;
    settings.min_p = 0.9f; /* only v % 7 = 6 stay */
    CHECK_EQ(sample_one(f, logits, V, last, &settings), 2099);
    CHECK_EQ(sample_one(f, logits, V, 0, &settings), 1105);
    settings = PLAIN;
    settings.temperature = 1e-40f; /* its inverse is not a float */
    CHECK_EQ(sample_one(f, logits, V, 0, &settings), 1105);
    for (uint32_t i = 0; i < 60; i++) { /* close to the end under every rounding */
        for (int v = 0; v < V; v++)
            logits[v] = (float)random_normal(9, RANDOM_TEST, i, (uint32_t)v, 0, 0);
        logits[V - 1] = -400;
        const int32_t token = sample_one(f, logits, V, last, &PLAIN);
        CHECK(token >= 0 && token < V - 1);
        fixture_reset(f);
    }
}

static void test_nonfinite(struct fixture *f) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const double uniforms[2] = {0.5, 0.5};
    for (size_t i = 0; i < 3; i++)
        for (int way = 0; way < 3; way++) {
            struct sample_settings settings = PLAIN;
            settings.temperature = way == 1 ? 0 : 1;
            settings.top_k = way == 2 ? 5 : 0;
            float logits[2 * 70] = {0};
            logits[70 + 33] = bad[i];
            int32_t tokens[2];
            CHECK_OK(sample(f, fixture_floats(f, logits, 140), 2, 70, uniforms, &settings, tokens));
            CHECK(tokens[0] >= 0);
            CHECK_EQ(tokens[1], -1);
            fixture_reset(f);
        }
}

/* The numbers of the counter generator are those that the host would hand over. */
static void test_counters(struct fixture *f) {
    enum { B = 9, V = 300 };
    const uint64_t seed = 0x123456789abcdefu;
    uint32_t counters[4 * B];
    double uniforms[B];
    int32_t want[B], tokens[B];
    for (uint32_t b = 0; b < B; b++) {
        const uint32_t c[] = {7, b / 3, 0xfffffffeu + b % 3, 40 * b};
        memcpy(counters + 4 * b, c, sizeof c);
        uniforms[b] = random_uniform(seed, RANDOM_SAMPLE, c[0], c[1], c[2], c[3]);
    }
    const float *logits = fixture_normal(f, B * V, 0, 1);
    CHECK_OK(sample(f, logits, B, V, uniforms, &PLAIN, want));
    int32_t *drawn = fixture_ints(f, NULL, B);
    CHECK_OK(backend_run(&f->backend, sample, .logits = logits,
                         .counters = fixture_upload(f, counters, sizeof counters),
                         .seed = fixture_upload(f, &seed, sizeof seed), .tokens = drawn, .B = B,
                         .V = V, .ld = V, .settings = PLAIN));
    CHECK_OK(f->backend.ops->download(&f->backend, tokens, drawn, sizeof tokens));
    for (int b = 0; b < B; b++)
        CHECK_EQ(tokens[b], want[b]);
    fixture_reset(f);
}

/* Counts of 6,000 draws from 12 tokens, of fewer where each thread may be a fiber; the bound is passed
 * by chance once in 10,000. */
static void test_counts(struct fixture *f) {
    enum { V = 12 };
    const int B = fixture_is_cuda(f) ? 400 : 6000;
    struct sample_settings settings = {0.9f, 0.95f, 0.02f, 0, 10};
    float *row = calloc(V, sizeof *row), *logits = calloc((size_t)(B * V), sizeof *logits);
    double *uniforms = reference_new(B), *probabilities = fixture_host(f, V);
    int32_t *tokens = calloc((size_t)B, sizeof *tokens);
    int64_t counts[V] = {0}, freedom = -1;
    double chi_square = 0;
    for (int v = 0; v < V; v++)
        row[v] = (float)random_normal(4, RANDOM_TEST, (uint32_t)v, 0, 0, 0);
    for (int b = 0; b < B; b++) {
        memcpy(logits + (int64_t)b * V, row, V * sizeof *row);
        uniforms[b] = random_uniform(5, RANDOM_TEST, (uint32_t)b, 0, 0, 0);
    }
    CHECK_OK(
        sample(f, fixture_floats(f, logits, (int64_t)B * V), B, V, uniforms, &settings, tokens));
    for (int b = 0; b < B; b++)
        counts[tokens[b]]++;
    double *z = reference_widen(row, V);
    reference_sample(z, V, &settings, NULL, 0, probabilities);
    for (int v = 0; v < V; v++) {
        const double expected = B * probabilities[v], off = (double)counts[v] - expected;
        CHECK(probabilities[v] > 0 || counts[v] == 0);
        chi_square += expected > 0 ? off * off / expected : 0;
        freedom += expected > 0;
    }
    const double k = (double)freedom; /* quantile by Wilson and Hilferty's approximation */
    const double bound = k * pow(1 - 2 / (9 * k) + 3.72 * sqrt(2 / (9 * k)), 3);
    CHECK(freedom >= 5);
    if (!(chi_square < bound))
        CHECK_FAILED("%s: chi-square is %.3f with %lld degrees of freedom, allowed %.3f", f->name,
                     chi_square, (long long)freedom, bound);
    free(z);
    free(tokens);
    free(uniforms);
    free(logits);
    free(row);
    fixture_reset(f);
}

static void test_all(struct fixture *f) {
    test_filters(f);
    test_ties(f);
    test_ends(f);
    test_nonfinite(f);
    test_counters(f);
    test_counts(f);
}

int main(void) {
    fixture_every(test_all);
    return CHECK_END();
}
