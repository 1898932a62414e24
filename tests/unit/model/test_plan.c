/* SPDX-License-Identifier: Apache-2.0
 *
 * What a planned backend books is what the real one allocates: the same calls (prompt, decoding,
 * draw, forward, backward) on both leave the same accounts, label by label, to the byte; a shape
 * that no kernel takes is refused by both with the same sentence.
 */
#include "base/memory.h"
#include "check.h"
#include "model/decoder.h"
#include "unit/model/tiny.h"

enum { PROMPT = 40, ANSWERS = 3, STEPS = 70 };

static enum status ignore(void *context, const struct gradient_piece *piece) {
    (void)context, (void)piece;
    return STATUS_OK;
}

/* Leaves the decoder with what it holds at the end. */
static void decode(struct model *model, struct decoder **decoder) {
    struct decoder_answer answers[ANSWERS] = {{0, STEPS}, {1, STEPS}, {2, STEPS}};
    int32_t tokens[PROMPT];
    tiny_tokens("prompt", model_hparams(model)->V, tokens, PROMPT);
    CHECK_OK(
        decoder_create(decoder, model,
                       &(struct decoder_settings){.sampling = {.temperature = 1.0f, .top_p = 0.9f},
                                                  .most_rows = ANSWERS,
                                                  .most_tokens = STEPS,
                                                  .most_prompt = PROMPT}));
    CHECK_OK(decoder_begin(
        *decoder, &(struct decoder_prompt){
                      .tokens = tokens, .n = PROMPT, .answers = answers, .answer_count = ANSWERS}));
    while (decoder_end(*decoder, 0) == DECODE_OPEN)
        CHECK_OK(decoder_advance(*decoder, ANSWERS, 3));
    CHECK_EQ(decoder_count(*decoder, ANSWERS - 1), STEPS);
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
    struct decoder *decoder;
    float *master;
    memory_watch();
    CHECK_OK(tiny_open(&model, backend, name, recompute, &master));
    decode(model, &decoder);
    train(model);
    const int count = memory_accounts(accounts, MEMORY_LABELS);
    decoder_destroy(&decoder);
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
