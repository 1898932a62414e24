/* SPDX-License-Identifier: Apache-2.0
 *
 * The draw on the device: behind each filter the token of the CPU backend, in whatever order threads
 * run; what it says of a token has the bits of the head. Distributions, ties and ends are tested on
 * all backends (tests/unit/backend/test_sample.c).
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
    double uniforms[B];
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
    for (int b = 0; b < B; b++)
        if (draw.tokens[b] != cpu[b])
            CHECK_FAILED("%s, V = %lld: row %d drew %d, the CPU %d, for u = %.9g", what,
                         (long long)V, b, draw.tokens[b], cpu[b], uniforms[b]);
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
        {"favour and top_k", {.temperature = 1, .top_p = 1, .presence_penalty = -12, .top_k = 3}},
        {"top_p", {.temperature = 1, .top_p = 0.83f}},
        {"top_p at a huge temperature", {.temperature = 1e6f, .top_p = 0.83f}},
        {"small top_p", {.temperature = 1, .top_p = 1e-6f}},
        {"top_p of zero", {.temperature = 1, .top_p = 0}},
        {"min_p", {.temperature = 1, .top_p = 1, .min_p = 0.07f}},
        {"min_p of one", {.temperature = 1, .top_p = 1, .min_p = 1}},
        {"all", {0.8f, 0.9f, 0.05f, 0.7f, 20}},
    };
    static const int64_t sizes[] = {1, 6, 2500, 9 * HEAD_BLOCK + 5, 151936};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            if (sizes[s] < 3000 || !host ||
                (sizes[s] < 10000 && i % 6 == 0)) /* top_k, top_p among them */
                test_settings(a, sizes[s], cases[i].settings, cases[i].what);
}

static int32_t sample_one(struct arrays *a, const float *logits, int64_t V, double uniform,
                          struct sample_settings settings) {
    const struct problem p = {logits, &uniform, NULL, NULL, NULL, 1, V, settings};
    return draw_on_device(a, &p).tokens[0];
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

int main(void) {
    struct arrays a;
    arrays_open(&a);
    test_filters(&a, arrays_on_host(&a));
    test_many_ties(&a);
    arrays_close(&a);
    return CHECK_END();
}
