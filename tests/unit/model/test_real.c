/* SPDX-License-Identifier: Apache-2.0
 *
 * On a real pretrained model (SmolLM2-135M-Instruct, in the directory that GRADUS_REAL_MODEL names;
 * skipped without it): the log-probabilities of texts and greedy continuations are those of
 * transformers in fp32.
 */
#include "check.h"
#include "data/model/real/real_expected.h"
#include "unit/model/tiny.h"

enum { LONGEST = 256, TEXTS = sizeof real_texts / sizeof *real_texts };

static void score(struct model *model, const struct real_text *text) {
    struct batch batch = BATCH_EMPTY;
    float logprob[LONGEST], entropy[LONGEST];
    CHECK_OK(batch_append_text(&batch, text->ids, text->count));
    CHECK_OK(model_forward(model, &batch, 1.0f, false, logprob, entropy));
    for (int32_t t = 0; t + 1 < text->count; t++)
        CHECK_NEAR(logprob[t], text->logprob[t], 1e-4);
    batch_release(&batch);
}

static int32_t draw_greedy(struct model *model) {
    int32_t token = -1;
    float logprob, entropy;
    const struct draw_args args = {.source = (const int32_t[]){0},
                                   .uniforms = (const double[]){0.5},
                                   .B = 1,
                                   .settings = {.temperature = 0.0f, .top_p = 1.0f},
                                   .tokens = &token,
                                   .logprob = &logprob,
                                   .entropy = &entropy};
    CHECK_OK(model_draw(model, &args));
    return token;
}

static void continue_text(struct model *model, const struct real_text *text) {
    struct cache *cache;
    struct cache_sequence prompt = {.length = 0}, own = {.length = 0};
    CHECK_OK(cache_create(&cache, model_backend(model), model_hparams(model)));
    CHECK_OK(model_prefill(model, cache, text->ids, text->count, &prompt, 0));
    for (int32_t i = 0; i < text->greedy_count; i++) {
        const int32_t token = draw_greedy(model);
        CHECK_EQ(token, text->greedy[i]);
        const struct decode_row row = {
            .token = text->greedy[i], .position = text->count + i, .prompt = &prompt, .own = &own};
        CHECK_OK(model_decode(model, cache, &row, 1));
    }
    cache_sequence_release(cache, &own);
    cache_sequence_release(cache, &prompt);
    cache_destroy(&cache);
}

int main(void) {
    const char *directory = getenv("GRADUS_REAL_MODEL");
    if (directory == NULL)
        CHECK_SKIP("GRADUS_REAL_MODEL does not name a directory with SmolLM2-135M-Instruct");
    struct backend backend;
    struct hparams hparams;
    struct model *model = NULL;
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(hparams_read(directory, &hparams));
    CHECK_OK(tiny_create(&model, &backend, &hparams,
                         &(struct model_settings){.max_positions = LONGEST}));
    CHECK_OK(weights_load(model_weights(model), directory, NULL));
    for (int i = 0; i < TEXTS && check_failures == 0; i++) {
        score(model, &real_texts[i]);
        continue_text(model, &real_texts[i]);
    }
    tiny_close(&model);
    backend_close(&backend);
    return CHECK_END();
}
