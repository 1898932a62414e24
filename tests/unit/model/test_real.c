/* SPDX-License-Identifier: Apache-2.0
 *
 * On a real pretrained model (SmolLM2-135M-Instruct, in the directory that GRADUS_REAL_MODEL names;
 * skipped without it): the log-probabilities of texts and greedy continuations are those of
 * transformers in fp32.
 */
#include "check.h"
#include "data/model/real/real_expected.h"
#include "model/decoder.h"
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

static void continue_text(struct model *model, const struct real_text *text) {
    const struct decoder_answer answer = {.budget = text->greedy_count};
    struct decoder *decoder;
    int32_t tokens[LONGEST];
    CHECK_OK(
        decoder_create(&decoder, model,
                       &(struct decoder_settings){.sampling = {.temperature = 0.0f, .top_p = 1.0f},
                                                  .most_rows = 1,
                                                  .most_tokens = text->greedy_count,
                                                  .most_prompt = text->count}));
    CHECK_OK(decoder_begin(decoder, &(struct decoder_prompt){.tokens = text->ids,
                                                             .n = text->count,
                                                             .answers = &answer,
                                                             .answer_count = 1}));
    while (decoder_end(decoder, 0) == DECODE_OPEN)
        CHECK_OK(decoder_advance(decoder, 1, 1));
    CHECK_OK(decoder_read(decoder, 0, 0, text->greedy_count,
                          &(struct decoder_numbers){.tokens = tokens}));
    for (int32_t i = 0; i < text->greedy_count; i++)
        CHECK_EQ(tokens[i], text->greedy[i]);
    decoder_destroy(&decoder);
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
    CHECK_OK(weights_load(model_weights(model), directory, NULL, NULL));
    for (int i = 0; i < TEXTS && check_failures == 0; i++) {
        score(model, &real_texts[i]);
        continue_text(model, &real_texts[i]);
    }
    tiny_close(&model);
    backend_close(&backend);
    return CHECK_END();
}
