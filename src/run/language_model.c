/* SPDX-License-Identifier: Apache-2.0 */
#include "run/language_model.h"

#include "base/log.h"
#include "base/memory.h"

static bool is_stop_id(const struct hparams *hparams, int32_t id) {
    for (int i = 0; i < hparams->eos_count; i++)
        if (hparams->eos[i] == id)
            return true;
    return false;
}

/* A model that ends its turns by a token at which nothing stops writes on to the last token. */
static void log_end(const struct language_model *lm, const char *what, int32_t id) {
    if (id >= 0 && !is_stop_id(&lm->hparams, id))
        log_info("text",
                 "%s with token %d, which is no eos_token_id of the model: what it writes will not "
                 "stop there before generation_config.json lists it",
                 what, id);
}

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
    lm->plans = true;
    lm->backend_is_open = true;
    return STATUS_OK;
}

enum status language_model_create(struct language_model *lm, const struct settings *settings,
                                  int64_t max_positions) {
    const struct model_settings how = {.recompute = settings->model.recompute,
                                       .max_positions = max_positions};
    TRY(weights_create(&lm->weights, &lm->backend, &lm->hparams, DTYPE_F32));
    return model_create(&lm->model, lm->weights, NULL, &how);
}

enum status language_model_load(struct language_model *lm, const struct settings *settings,
                                float *master) {
    return (lm->plans ? weights_plan_load : weights_load)(lm->weights, settings->model.path,
                                                          master);
}

enum status language_model_find_end(struct language_model *lm, const struct settings *settings) {
    const struct token_list *end = &lm->answer_end;
    TRY(prompt_find_end(&lm->form, settings->prompt.answer_end, lm->hparams.eos,
                        lm->hparams.eos_count, &lm->answer_end));
    lm->form.answer_end = end;
    log_info("text", "answers end with token %d", end->ids[end->count - 1]);
    if (settings->prompt.answer_end != NULL || chat_turn_end(&lm->style) == NULL)
        log_end(lm, "answers end", end->ids[end->count - 1]);
    return STATUS_OK;
}

void language_model_close(struct language_model *lm) {
    model_destroy(&lm->model);
    weights_destroy(&lm->weights);
    if (lm->backend_is_open)
        backend_close(&lm->backend);
    lm->backend_is_open = false;
    memory_release(&lm->answer_end.ids);
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
            "rollout.max_new_tokens = %lld leaves no room for a prompt: the model in %s has %lld positions; lower it",
            (long long)answer, settings->model.path, (long long)lm->hparams.max_positions);
    *limit = room < settings->prompt.max_tokens ? room : settings->prompt.max_tokens;
    return STATUS_OK;
}
