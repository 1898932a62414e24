/* SPDX-License-Identifier: Apache-2.0 */
#include "run/language_model.h"

static enum status open_tokenizer(struct language_model *lm, const struct settings *settings) {
    TRY(tokenizer_open(&lm->tokenizer, settings->model.path));
    return tokenizer_fit(lm->tokenizer, lm->hparams.V, settings->model.path);
}

static enum status open_text(struct language_model *lm, const struct settings *settings) {
    *lm = (struct language_model){.model = NULL};
    TRY(hparams_read(settings->model.path, &lm->hparams));
    TRY(open_tokenizer(lm, settings));
    TRY(chat_resolve((enum chat_form)settings->prompt.chat, settings->model.path, &lm->style));
    lm->form = (struct prompt_form){.template_text = settings->prompt.template,
                                    .system = settings->prompt.system,
                                    .style = &lm->style,
                                    .thinking = settings->prompt.thinking,
                                    .date = settings->prompt.date,
                                    .tokenizer = lm->tokenizer};
    return prompt_form_check(&lm->form);
}

enum status language_model_open(struct language_model *lm, const struct settings *settings,
                                int threads) {
    TRY(open_text(lm, settings));
    TRY(backend_open(&lm->backend, settings_word(settings, "run.device"), threads));
    lm->backend_is_open = true;
    return STATUS_OK;
}

enum status language_model_plan(struct language_model *lm, const struct settings *settings,
                                int threads) {
    TRY(open_text(lm, settings));
    TRY(backend_plan(&lm->backend, settings_word(settings, "run.device"), threads));
    lm->backend_is_open = true;
    return STATUS_OK;
}

enum status language_model_create(struct language_model *lm, const struct settings *settings,
                                  int64_t max_positions) {
    const struct model_settings how = {.recompute = settings->model.recompute,
                                       .max_positions = max_positions};
    return model_create(&lm->model, &lm->backend, &lm->hparams, &how);
}

void language_model_close(struct language_model *lm) {
    model_destroy(&lm->model);
    if (lm->backend_is_open)
        backend_close(&lm->backend);
    lm->backend_is_open = false;
    chat_release(&lm->style);
    tokenizer_destroy(&lm->tokenizer);
}

enum status language_model_prompt_limit(const struct language_model *lm,
                                        const struct settings *settings, int64_t answer,
                                        int64_t *limit) {
    const int64_t room = lm->hparams.max_positions - answer;
    if (room < 1)
        return FAIL(
            STATUS_INPUT,
            "rollout.max_new_tokens = %lld leaves no room for a prompt: the model in %s has %lld positions",
            (long long)answer, settings->model.path, (long long)lm->hparams.max_positions);
    *limit = room < settings->prompt.max_tokens ? room : settings->prompt.max_tokens;
    return STATUS_OK;
}
