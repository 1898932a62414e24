/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "model/decoder.h"

enum product { PRODUCT_FORWARD, PRODUCT_FORWARD_BF16, PRODUCT_DX, PRODUCT_DW };

struct product_case {
    struct backend *backend;
    enum product kind;
    int64_t M, N, K;
    struct weight weight;
    enum dtype dtype; /* of x and y */
    void *x, *y;
    float *dw;
};

static enum status run_product(void *context) {
    struct product_case *c = context;
    if (c->kind == PRODUCT_FORWARD || c->kind == PRODUCT_FORWARD_BF16)
        return backend_run(c->backend, gemm, .x = c->x, .weight = c->weight, .y = c->y,
                           .x_dtype = c->dtype, .y_dtype = c->dtype, .M = c->M, .ldx = c->K,
                           .ldy = c->N);
    if (c->kind == PRODUCT_DX)
        return backend_run(c->backend, gemm_dx, .dy = c->y, .weight = c->weight, .dx = c->x,
                           .dy_dtype = c->dtype, .dx_dtype = c->dtype, .M = c->M, .ldy = c->N,
                           .ldx = c->K);
    return backend_run(c->backend, gemm_dw, .dy = c->y, .x = c->x, .dw = c->dw,
                       .dy_dtype = c->dtype, .x_dtype = c->dtype, .M = c->M, .N = c->N, .K = c->K,
                       .ldy = c->N, .ldx = c->K);
}

static enum status open_product(struct product_case *c, enum dtype weights) {
    struct backend *backend = c->backend;
    const size_t size = dtype_bytes(c->dtype);
    TRY(weight_create(backend, &c->weight, c->N, c->K, weights, "bench weight"));
    TRY(backend_allocate(backend, &c->x, (size_t)(c->M * c->K), size, "bench input"));
    TRY(backend_allocate(backend, &c->y, (size_t)(c->M * c->N), size, "bench output"));
    TRY(backend_new(backend, &c->dw, c->N * c->K, "bench gradient"));
    TRY(bench_fill(backend, c->x, c->dtype, c->M * c->K, 1.0f));
    TRY(bench_fill(backend, c->y, c->dtype, c->M * c->N, 1.0f));
    TRY(bench_fill(backend, c->dw, DTYPE_F32, c->N * c->K, 0.1f));
    return backend_run(backend, pack, .source = c->dw, .weight = c->weight);
}

static void close_product(struct product_case *c) {
    weight_release(c->backend, &c->weight);
    backend_release(c->backend, &c->x);
    backend_release(c->backend, &c->y);
    backend_release(c->backend, &c->dw);
}

static enum status time_product(const struct bench *bench, struct product_case c) {
    static const char *const names[] = {"forward", "forward, bf16", "input gradient",
                                        "weight gradient"};
    const enum dtype dtype = c.kind == PRODUCT_FORWARD_BF16 ? DTYPE_BF16 : bench->dtype;
    double best_s = 0.0;
    c.dtype = bench->backend->ops->activations(bench->backend, dtype);
    enum status status = open_product(&c, dtype);
    if (status == STATUS_OK)
        status = bench_best_time(bench->backend, bench->seconds, run_product, &c, &best_s);
    close_product(&c);
    TRY(status);
    const double flops = 2.0 * (double)c.M * (double)c.N * (double)c.K / best_s;
    printf("%-16s %6lld x %6lld x %6lld %10.1f GFLOP/s %6.1f %% of peak, weights at %.1f GB/s\n",
           names[c.kind], (long long)c.M, (long long)c.N, (long long)c.K, 1e-9 * flops,
           100.0 * flops / bench->ceilings.fma_flops_all,
           1e-9 * (double)dtype_bytes(dtype) * (double)c.N * (double)c.K / best_s);
    fflush(stdout);
    return STATUS_OK;
}

/* All products of a shape; gradients only of many rows, as they come. */
static enum status time_products(const struct bench *bench, int64_t M, int64_t N, int64_t K) {
    const int last = M >= 256 ? PRODUCT_DW : PRODUCT_FORWARD_BF16;
    for (int kind = PRODUCT_FORWARD; kind <= last; kind++)
        if (kind != PRODUCT_FORWARD_BF16 || bench->dtype != DTYPE_BF16)
            TRY(time_product(bench, (struct product_case){.backend = bench->backend,
                                                          .kind = (enum product)kind,
                                                          .M = M,
                                                          .N = N,
                                                          .K = K}));
    return STATUS_OK;
}

enum status bench_gemm(const struct bench *bench, const struct hparams *hparams) {
    const int64_t heads = (hparams->H + 2 * hparams->K) * hparams->D;
    const int64_t shapes[][2] = {{heads, hparams->C},
                                 {hparams->C, hparams->H * hparams->D},
                                 {2 * hparams->F, hparams->C},
                                 {hparams->C, hparams->F}};
    printf("%-16s %24s\n", "product", "rows x outputs x inputs");
    for (int r = 0; r < bench->row_count; r++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            TRY(time_products(bench, bench->rows[r], shapes[s][0], shapes[s][1]));
    return STATUS_OK;
}

/* Elements of the matrices that a position goes through: the blocks', and the head's. */
static double block_elements(const struct hparams *h) {
    const int64_t heads = (h->H + 2 * h->K) * h->D;
    return (double)h->layers * (double)(heads * h->C + h->H * h->D * h->C + 3 * h->F * h->C);
}

static double head_elements(const struct hparams *h) {
    return (double)h->V * (double)h->C;
}

static enum status check_positions(const struct hparams *hparams, int64_t needed,
                                   const char *what) {
    return hparams->max_positions >= needed
               ? STATUS_OK
               : FAIL(STATUS_INPUT,
                      "bench %s times %lld positions, but the model has %lld: name another model, "
                      "or none",
                      what, (long long)needed, (long long)hparams->max_positions);
}

/* An answer has the token drawn from the prompt, those of the steps, and room for one more. */
enum {
    DECODE_PROMPT = 64,
    DECODE_STEPS = 24,
    DECODE_TOKENS = DECODE_STEPS + 2,
    DECODE_MOST = BENCH_ANSWERS_MOST
};

struct decode_case {
    struct model *model;
    struct decoder *decoder;
    int32_t prompt[DECODE_PROMPT];
    struct decoder_answer answers[DECODE_MOST];
    bool all[DECODE_MOST];
    int64_t B;
    double steps_s; /* of the steps alone */
};

/* A prompt and its answers, which then grow by so many tokens. */
static enum status decode_steps(struct decode_case *c) {
    const int64_t ahead = model_backend(c->model)->ops->steps_ahead;
    TRY(decoder_begin(c->decoder, &(struct decoder_prompt){.tokens = c->prompt,
                                                           .n = DECODE_PROMPT,
                                                           .answers = c->answers,
                                                           .answer_count = c->B}));
    const double start_s = clock_now_s();
    for (int64_t left = DECODE_STEPS; left > 0; left -= ahead)
        TRY(decoder_advance(c->decoder, c->B, left < ahead ? left : ahead));
    c->steps_s = clock_now_s() - start_s;
    decoder_drop(c->decoder, c->all);
    return STATUS_OK;
}

/* The floor is the longer of two times: to read each weight, the prompt's keys and values once for all
 * answers and each answer's own, or to compute at the peak. */
static enum status time_decode(const struct bench *bench, struct decode_case *c) {
    const struct hparams *h = model_hparams(c->model);
    double best_s = 1e30, total_s = 0.0;
    for (int round = 0; round < 3 || total_s < bench->seconds; round++) {
        TRY(decode_steps(c));
        total_s += c->steps_s;
        best_s = c->steps_s < best_s ? c->steps_s : best_s;
    }
    const double step_s = best_s / DECODE_STEPS, weights = block_elements(h) + head_elements(h);
    const double weight_bytes = (double)dtype_bytes(weights_dtype(model_weights(c->model)));
    const enum dtype cached = bench->backend->ops->activations(bench->backend, bench->dtype);
    const double per_position = 2.0 * (double)(h->layers * h->K * h->D), B = (double)c->B,
                 own = DECODE_STEPS / 2.0;
    const double bytes = weight_bytes * weights +
                         (double)dtype_bytes(cached) * per_position * (DECODE_PROMPT + B * own),
                 flops = 2.0 * B * (weights + per_position * (DECODE_PROMPT + own));
    const double read_share = 100.0 * bytes / step_s / bench->ceilings.read_bytes_all,
                 peak_share = 100.0 * flops / step_s / bench->ceilings.fma_flops_all;
    printf("decode %4lld answers %10.1f tokens/s %6.1f %% of the read bandwidth, %5.1f %% of the "
           "peak, %5.1f %% of the floor\n",
           (long long)c->B, B / step_s, read_share, peak_share,
           read_share > peak_share ? read_share : peak_share);
    fflush(stdout);
    return STATUS_OK;
}

static enum status time_decodes(const struct bench *bench, struct decode_case *c) {
    const struct decoder_settings how = {.sampling = {.temperature = 1.0f, .top_p = 1.0f},
                                         .most_rows = DECODE_MOST,
                                         .most_tokens = DECODE_TOKENS,
                                         .most_prompt = DECODE_PROMPT,
                                         .seed = 2};
    for (int i = 0; i < DECODE_PROMPT; i++)
        c->prompt[i] = (int32_t)((i * 7919 + 13) % model_hparams(c->model)->V);
    for (int b = 0; b < DECODE_MOST; b++) {
        c->answers[b] = (struct decoder_answer){.index = (uint32_t)b, .budget = DECODE_TOKENS};
        c->all[b] = true;
    }
    TRY(decoder_create(&c->decoder, c->model, &how));
    for (int i = 0; i < bench->answer_count; i++) {
        c->B = bench->answers[i];
        TRY(time_decode(bench, c));
    }
    return STATUS_OK;
}

enum status bench_decode(const struct bench *bench, struct model *model) {
    struct decode_case *c;
    TRY(check_positions(model_hparams(model), DECODE_PROMPT + DECODE_TOKENS, "decode"));
    TRY(memory_new(&c, 1, "bench decode"));
    c->model = model;
    const enum status status = time_decodes(bench, c);
    decoder_destroy(&c->decoder);
    memory_release(&c);
    return status;
}

static enum status swallow(void *context, const struct gradient_piece *piece) {
    (void)context, (void)piece;
    return STATUS_OK;
}

static enum status forward_only(void *context) {
    struct bench_groups *c = context;
    return model_forward(c->model, &c->batch, 1.0f, true, c->logprob, c->entropy);
}

enum status bench_groups_gradient(struct bench_groups *groups, const struct gradient_sink *sink) {
    TRY(forward_only(groups));
    return model_backward(groups->model, &groups->batch, 1.0f, groups->d_logprob, NULL, sink);
}

static enum status forward_backward(void *context) {
    const struct gradient_sink sink = {.add = swallow};
    return bench_groups_gradient(context, &sink);
}

static enum status append_group(struct bench_groups *c, int64_t group) {
    const int64_t V = model_hparams(c->model)->V;
    int32_t tokens[BENCH_TOKENS], segment;
    for (int i = 0; i < BENCH_TOKENS; i++)
        tokens[i] = (int32_t)((i * 104729LL + 7 + group) % V);
    TRY(batch_append_prompt(&c->batch, tokens, BENCH_PROMPT, &segment));
    for (int a = 0; a < BENCH_ANSWERS; a++) {
        for (int i = 0; i < BENCH_TOKENS; i++)
            tokens[i] = (int32_t)((i * 15485863LL + 31 * a + group) % V);
        TRY(batch_append_answer(&c->batch, segment, tokens, BENCH_TOKENS));
    }
    return STATUS_OK;
}

static enum status fill_groups(struct bench_groups *c, int64_t groups) {
    const int64_t targets = groups * BENCH_ANSWERS * BENCH_TOKENS;
    TRY(check_positions(model_hparams(c->model), BENCH_PROMPT + BENCH_TOKENS, "step"));
    TRY(memory_new(&c->logprob, targets, "bench step"));
    TRY(memory_new(&c->entropy, targets, "bench step"));
    TRY(memory_new(&c->d_logprob, targets, "bench step"));
    for (int64_t g = 0; g < groups; g++)
        TRY(append_group(c, g));
    for (int64_t i = 0; i < targets; i++)
        c->d_logprob[i] = 1e-3f * (float)(i % 7 - 3);
    return STATUS_OK;
}

enum status bench_groups_init(struct bench_groups *groups, struct model *model, int64_t count) {
    *groups = (struct bench_groups){.model = model, .batch = BATCH_EMPTY};
    const enum status status = fill_groups(groups, count);
    if (status != STATUS_OK)
        bench_groups_release(groups);
    return status;
}

void bench_groups_release(struct bench_groups *groups) {
    batch_release(&groups->batch);
    memory_release(&groups->logprob);
    memory_release(&groups->entropy);
    memory_release(&groups->d_logprob);
}

static void print_pass(const char *name, double positions, double flops, double pass_s,
                       double peak) {
    printf("%-18s %10.1f positions/s %6.1f %% of the peak, %8.3f TFLOP/s\n", name,
           positions / pass_s, 100.0 * flops / pass_s / peak, 1e-12 * flops / pass_s);
}

/* A backward multiplies with each weight, and once more where the weight is trained. */
static void print_step(const struct bench *bench, const struct bench_groups *c,
                       const struct adapter *adapter, double forward_s, double both_s) {
    const struct hparams *h = model_hparams(c->model);
    const double T = (double)c->batch.T, R = (double)c->batch.target_count;
    const double base = 2.0 * (T * block_elements(h) + R * head_elements(h)),
                 added = adapter == NULL ? 0.0
                                         : 2.0 * T * (double)adapter_parameters(adapter)->elements;
    const double peak = bench->ceilings.fma_flops_all;
    if (adapter != NULL)
        printf("with an adapter of rank %lld, which alone is trained\n",
               (long long)adapter_settings(adapter)->rank);
    print_pass("forward", T, base + added, forward_s, peak);
    print_pass("forward + backward", T, (adapter == NULL ? 3.0 : 2.0) * base + 3.0 * added, both_s,
               peak);
}

enum status bench_step(const struct bench *bench, struct model *model,
                       const struct adapter *adapter) {
    struct bench_groups c;
    double forward_s = 0.0, both_s = 0.0;
    TRY(bench_groups_init(&c, model, bench->groups));
    enum status status =
        bench_best_time(bench->backend, bench->seconds, forward_only, &c, &forward_s);
    if (status == STATUS_OK)
        status = bench_best_time(bench->backend, bench->seconds, forward_backward, &c, &both_s);
    if (status == STATUS_OK)
        print_step(bench, &c, adapter, forward_s, both_s);
    bench_groups_release(&c);
    return status;
}
