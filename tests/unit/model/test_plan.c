/* SPDX-License-Identifier: Apache-2.0
 *
 * What a planned backend books is what the real one allocates: the same calls (prompt, decoding,
 * draw, forward, backward) on both leave the same accounts, label by label, to the byte; a shape
 * that no kernel takes is refused by both with the same sentence.
 */
#include "base/memory.h"
#include "check.h"
#include "unit/model/tiny.h"

enum { PROMPT = 40, ANSWERS = 3, STEPS = 70 };

static enum status ignore(void *context, const struct gradient_piece *piece) {
    (void)context, (void)piece;
    return STATUS_OK;
}

static void decode(struct model *model, struct cache *cache) {
    struct cache_sequence prompt = {.length = 0}, own[ANSWERS] = {{.length = 0}};
    const int32_t source[ANSWERS] = {0}, *seen[ANSWERS] = {NULL}, counts[ANSWERS] = {0};
    int32_t tokens[PROMPT], drawn[ANSWERS];
    double uniforms[ANSWERS] = {0.5, 0.5, 0.5};
    float logprob[ANSWERS], entropy[ANSWERS];
    tiny_tokens("prompt", model_hparams(model)->V, tokens, PROMPT);
    CHECK_OK(model_prefill(model, cache, tokens, PROMPT, &prompt, 0));
    CHECK_OK(model_draw(model, &(struct draw_args){.source = source,
                                                   .uniforms = uniforms,
                                                   .seen = seen,
                                                   .seen_counts = counts,
                                                   .B = ANSWERS,
                                                   .settings = {.temperature = 1.0f, .top_p = 0.9f},
                                                   .tokens = drawn,
                                                   .logprob = logprob,
                                                   .entropy = entropy}));
    for (int step = 0; step < STEPS; step++) {
        struct decode_row rows[ANSWERS];
        for (int i = 0; i < ANSWERS; i++)
            rows[i] = (struct decode_row){
                .token = 1, .position = PROMPT + step, .prompt = &prompt, .own = &own[i]};
        CHECK_OK(model_decode(model, cache, rows, ANSWERS));
    }
    for (int i = 0; i < ANSWERS; i++)
        cache_sequence_release(cache, &own[i]);
    cache_sequence_release(cache, &prompt);
}

static void train(struct model *model) {
    const struct gradient_sink sink = {.add = ignore};
    struct batch batch = BATCH_EMPTY;
    float logprob[64], entropy[64], d[64] = {1.0f};
    CHECK_OK(tiny_batch(&batch, model_hparams(model)->V));
    CHECK(batch.target_count <= 64);
    CHECK_OK(model_forward(model, &batch, 1.0f, true, logprob, entropy));
    CHECK_OK(model_backward(model, &batch, 1.0f, d, d, &sink));
    batch_release(&batch);
}

/* Accounts after everything; returns how many. */
static int go_through(struct backend *backend, const char *name, bool recompute,
                      struct memory_account *accounts) {
    struct model *model;
    struct cache *cache;
    float *master;
    memory_watch();
    CHECK_OK(tiny_open(&model, backend, name, recompute, &master));
    CHECK_OK(cache_create(&cache, model_backend(model), model_hparams(model)));
    decode(model, cache);
    train(model);
    const int count = memory_accounts(accounts, MEMORY_LABELS);
    cache_destroy(&cache);
    tiny_close(&model);
    backend_release(backend, &master);
    backend_close(backend);
    return count;
}

static void compare(const char *name, bool recompute, int threads) {
    static struct memory_account real[MEMORY_LABELS], planned[MEMORY_LABELS];
    struct backend backend;
    CHECK_OK(backend_plan(&backend, "cpu", threads));
    const int planned_count = go_through(&backend, name, recompute, planned);
    CHECK_OK(backend_open(&backend, "cpu", threads));
    const int count = go_through(&backend, name, recompute, real);
    CHECK_EQ(planned_count, count);
    for (int i = 0; i < count; i++)
        if (planned[i].peak_bytes != real[i].peak_bytes ||
            planned[i].at_peak_bytes != real[i].at_peak_bytes)
            CHECK_FAILED("%s, %d threads: %s: planned %lld, allocated %lld bytes", name, threads,
                         real[i].label, (long long)planned[i].peak_bytes,
                         (long long)real[i].peak_bytes);
}

static void refuses_heads(void) {
    struct backend backend;
    struct hparams hparams;
    struct model *model = NULL;
    CHECK_OK(hparams_read(TINY_DATA "/qwen2", &hparams));
    hparams.D = 1024;
    for (int plans = 0; plans < 2; plans++) {
        CHECK_OK((plans ? backend_plan : backend_open)(&backend, "cpu", 1));
        CHECK_STATUS(
            tiny_create(&model, &backend, &hparams, &(struct model_settings){.max_positions = 16}),
            STATUS_INPUT, "head size of 1024");
        backend_close(&backend);
    }
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++)
        for (int recompute = 0; recompute < 2; recompute++)
            for (int threads = 1; threads <= 3; threads += 2)
                compare(tiny_names[i], recompute, threads);
    refuses_heads();
    return CHECK_END();
}
