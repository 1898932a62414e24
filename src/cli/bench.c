/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"

void bench_print_ceilings(const struct bench *bench) {
    const struct machine_ceilings *c = &bench->ceilings;
    printf("threads %d\n", bench->backend->threads);
    printf("%-34s %10.1f GFLOP/s on one core, %.1f on all\n", "multiply-add peak, fp32",
           1e-9 * c->fma_flops_1, 1e-9 * c->fma_flops_all);
    printf("%-34s %10.1f GB/s on one core, %.1f on all\n", "memory read", 1e-9 * c->read_bytes_1,
           1e-9 * c->read_bytes_all);
    printf("%-34s %10.1f GB/s on all\n", "memory copy (read + write)", 1e-9 * c->copy_bytes_all);
}

/* Seconds of the fastest call among those that fit into bench->seconds (three at least). */
static enum status best_time(const struct bench *bench, enum status (*call)(void *context),
                             void *context, double *best_s) {
    double total_s = 0.0;
    *best_s = 1e30;
    for (int round = 0; round < 3 || total_s < bench->seconds; round++) {
        const double start_s = clock_now_s();
        TRY(call(context));
        TRY(bench->backend->ops->synchronize(bench->backend));
        const double taken_s = clock_now_s() - start_s;
        total_s += taken_s;
        *best_s = taken_s < *best_s ? taken_s : *best_s;
    }
    return STATUS_OK;
}

enum product { PRODUCT_FORWARD, PRODUCT_FORWARD_BF16, PRODUCT_DX, PRODUCT_DW };

struct product_case {
    struct backend *backend;
    enum product kind;
    int64_t M, N, K;
    struct weight weight;
    float *x, *y, *dw;
};

static enum status run_product(void *context) {
    struct product_case *c = context;
    if (c->kind == PRODUCT_FORWARD || c->kind == PRODUCT_FORWARD_BF16)
        return backend_run(c->backend, gemm, .x = c->x, .weight = c->weight, .y = c->y, .M = c->M,
                           .ldx = c->K, .ldy = c->N);
    if (c->kind == PRODUCT_DX)
        return backend_run(c->backend, gemm_dx, .dy = c->y, .weight = c->weight, .dx = c->x,
                           .M = c->M, .ldy = c->N, .ldx = c->K);
    return backend_run(c->backend, gemm_dw, .dy = c->y, .x = c->x, .dw = c->dw, .M = c->M,
                       .N = c->N, .K = c->K, .ldy = c->N, .ldx = c->K);
}

/* Fills with numbers of the size that activations and weights have. */
static enum status fill_random(struct backend *backend, float *values, int64_t n, float size) {
    float *host;
    TRY(memory_new(&host, n, "random numbers"));
    for (int64_t i = 0; i < n; i++)
        host[i] =
            size *
            (float)(random_uniform(1, RANDOM_TEST, (uint32_t)i, (uint32_t)(i >> 32), 0, 0) - 0.5);
    const enum status status =
        backend->ops->upload(backend, values, host, (size_t)n * sizeof *host);
    memory_release(&host);
    return status;
}

static enum status open_product(struct product_case *c, enum dtype dtype) {
    TRY(weight_create(c->backend, &c->weight, c->N, c->K, dtype, "bench weight"));
    TRY(backend_new(c->backend, &c->x, c->M * c->K, "bench input"));
    TRY(backend_new(c->backend, &c->y, c->M * c->N, "bench output"));
    TRY(backend_new(c->backend, &c->dw, c->N * c->K, "bench gradient"));
    TRY(fill_random(c->backend, c->x, c->M * c->K, 1.0f));
    TRY(fill_random(c->backend, c->y, c->M * c->N, 1.0f));
    TRY(fill_random(c->backend, c->dw, c->N * c->K, 0.1f));
    return backend_run(c->backend, pack, .source = c->dw, .weight = c->weight);
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
    const enum dtype dtype = c.kind == PRODUCT_FORWARD_BF16 ? DTYPE_BF16 : DTYPE_F32;
    double best_s = 0.0;
    enum status status = open_product(&c, dtype);
    if (status == STATUS_OK)
        status = best_time(bench, run_product, &c, &best_s);
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

enum status bench_gemm(const struct bench *bench, const struct hparams *hparams) {
    static const int64_t rows[] = {1, 8, 32, 256, 1024};
    const int64_t heads = (hparams->H + 2 * hparams->K) * hparams->D;
    const int64_t shapes[][2] = {{heads, hparams->C},
                                 {hparams->C, hparams->H * hparams->D},
                                 {2 * hparams->F, hparams->C},
                                 {hparams->C, hparams->F}};
    printf("%-16s %24s\n", "product", "rows x outputs x inputs");
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int kind = PRODUCT_FORWARD;
                 kind <= (rows[r] >= 256 ? PRODUCT_DW : PRODUCT_FORWARD_BF16); kind++)
                TRY(time_product(bench, (struct product_case){.backend = bench->backend,
                                                              .kind = (enum product)kind,
                                                              .M = rows[r],
                                                              .N = shapes[s][0],
                                                              .K = shapes[s][1]}));
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

enum { DECODE_PROMPT = 64, DECODE_STEPS = 24, DECODE_MOST = 32 };

struct decode_case {
    struct model *model;
    struct cache *cache;
    struct cache_sequence prompt, own[DECODE_MOST];
    struct decode_row rows[DECODE_MOST];
    int32_t tokens[DECODE_MOST], source[DECODE_MOST];
    float logprob[DECODE_MOST], entropy[DECODE_MOST];
    double uniforms[DECODE_MOST];
    int64_t B;
};

static enum status decode_steps(void *context) {
    struct decode_case *c = context;
    for (int64_t b = 0; b < c->B; b++)
        cache_sequence_release(c->cache, &c->own[b]);
    for (int32_t step = 0; step < DECODE_STEPS; step++) {
        for (int64_t b = 0; b < c->B; b++) {
            c->rows[b] = (struct decode_row){.token = c->tokens[b],
                                             .position = DECODE_PROMPT + step,
                                             .prompt = &c->prompt,
                                             .own = &c->own[b]};
            c->source[b] = (int32_t)b;
            c->uniforms[b] = random_uniform(2, RANDOM_TEST, (uint32_t)step, (uint32_t)b, 0, 0);
        }
        TRY(model_decode(c->model, c->cache, c->rows, c->B));
        TRY(model_draw(c->model,
                       &(struct draw_args){.source = c->source,
                                           .uniforms = c->uniforms,
                                           .B = c->B,
                                           .settings = {.temperature = 1.0f, .top_p = 1.0f},
                                           .tokens = c->tokens,
                                           .logprob = c->logprob,
                                           .entropy = c->entropy}));
    }
    return STATUS_OK;
}

static enum status time_decode(const struct bench *bench, struct decode_case *c) {
    const struct hparams *h = model_hparams(c->model);
    double best_s;
    TRY(best_time(bench, decode_steps, c, &best_s));
    const double step_s = best_s / DECODE_STEPS, weights = block_elements(h) + head_elements(h);
    const double weight_bytes = (double)dtype_bytes(weights_dtype(model_weights(c->model)));
    const double keys = 2.0 * (double)(h->layers * h->K * h->D) *
                        (DECODE_PROMPT + DECODE_STEPS / 2.0) * (double)c->B;
    printf(
        "decode %4lld answers %10.1f tokens/s %6.1f %% of the read bandwidth, %5.1f %% of the peak\n",
        (long long)c->B, (double)c->B / step_s,
        100.0 * (weight_bytes * weights + 4.0 * keys) / step_s / bench->ceilings.read_bytes_all,
        100.0 * 2.0 * (weights + keys / (double)c->B) * (double)c->B / step_s /
            bench->ceilings.fma_flops_all);
    fflush(stdout);
    return STATUS_OK;
}

enum status bench_decode(const struct bench *bench, struct model *model) {
    static const int64_t batches[] = {1, 8, 32};
    struct decode_case c = {.model = model};
    int32_t prompt[DECODE_PROMPT];
    enum status status;
    TRY(check_positions(model_hparams(model), DECODE_PROMPT + DECODE_STEPS, "decode"));
    for (int i = 0; i < DECODE_PROMPT; i++)
        prompt[i] = (int32_t)((i * 7919 + 13) % model_hparams(model)->V);
    TRY_ELSE(status, done, cache_create(&c.cache, model_backend(model), model_hparams(model)));
    TRY_ELSE(status, done, model_prefill(model, c.cache, prompt, DECODE_PROMPT, &c.prompt, 0));
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        c.B = batches[i];
        TRY_ELSE(status, done, time_decode(bench, &c));
    }
done:
    for (int b = 0; b < DECODE_MOST && c.cache != NULL; b++)
        cache_sequence_release(c.cache, &c.own[b]);
    if (c.cache != NULL)
        cache_sequence_release(c.cache, &c.prompt);
    cache_destroy(&c.cache);
    return status;
}

enum { STEP_PROMPT = 100, STEP_ANSWERS = 8, STEP_TOKENS = 128 };

struct step_case {
    struct model *model;
    struct batch batch;
    float logprob[STEP_ANSWERS * STEP_TOKENS], entropy[STEP_ANSWERS * STEP_TOKENS],
        d_logprob[STEP_ANSWERS * STEP_TOKENS];
};

static enum status swallow(void *context, const struct gradient_piece *piece) {
    (void)context, (void)piece;
    return STATUS_OK;
}

static enum status forward_only(void *context) {
    struct step_case *c = context;
    return model_forward(c->model, &c->batch, 1.0f, true, c->logprob, c->entropy);
}

static enum status forward_backward(void *context) {
    struct step_case *c = context;
    const struct gradient_sink sink = {.add = swallow};
    TRY(forward_only(c));
    return model_backward(c->model, &c->batch, 1.0f, c->d_logprob, NULL, &sink);
}

static enum status fill_step(struct step_case *c) {
    const int64_t V = model_hparams(c->model)->V;
    int32_t tokens[STEP_TOKENS], segment;
    for (int i = 0; i < STEP_TOKENS; i++)
        tokens[i] = (int32_t)((i * 104729 + 7) % V);
    TRY(batch_append_prompt(&c->batch, tokens, STEP_PROMPT, &segment));
    for (int a = 0; a < STEP_ANSWERS; a++) {
        for (int i = 0; i < STEP_TOKENS; i++)
            tokens[i] = (int32_t)((i * 15485863LL + 31 * a) % V);
        TRY(batch_append_answer(&c->batch, segment, tokens, STEP_TOKENS));
    }
    for (int i = 0; i < STEP_ANSWERS * STEP_TOKENS; i++)
        c->d_logprob[i] = 1e-3f * (float)(i % 7 - 3);
    return STATUS_OK;
}

/* A backward multiplies with each weight, and once more where the weight is trained. */
static void print_step(const struct bench *bench, const struct step_case *c,
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
    printf("forward            %10.1f positions/s %6.1f %% of the peak\n", T / forward_s,
           100.0 * (base + added) / forward_s / peak);
    printf("forward + backward %10.1f positions/s %6.1f %% of the peak\n", T / both_s,
           100.0 * ((adapter == NULL ? 3.0 : 2.0) * base + 3.0 * added) / both_s / peak);
}

enum status bench_step(const struct bench *bench, struct model *model,
                       const struct adapter *adapter) {
    const struct hparams *h = model_hparams(model);
    struct step_case *c;
    double forward_s = 0.0, both_s = 0.0;
    TRY(check_positions(h, STEP_PROMPT + STEP_TOKENS, "step"));
    TRY(memory_new(&c, 1, "bench step"));
    c->model = model;
    c->batch = BATCH_EMPTY;
    enum status status = fill_step(c);
    if (status == STATUS_OK)
        status = best_time(bench, forward_only, c, &forward_s);
    if (status == STATUS_OK)
        status = best_time(bench, forward_backward, c, &both_s);
    if (status == STATUS_OK)
        print_step(bench, c, adapter, forward_s, both_s);
    batch_release(&c->batch);
    memory_release(&c);
    return status;
}
