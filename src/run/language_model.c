/* SPDX-License-Identifier: Apache-2.0 */
#include "run/policy.h"

static enum status open_tokenizer(struct policy *policy, const struct settings *settings) {
    TRY(tokenizer_open(&policy->tokenizer, settings->model.path));
    const int32_t size = tokenizer_size(policy->tokenizer);
    if (size > policy->hparams.V)
        return FAIL(
            STATUS_INPUT,
            "%s: tokenizer.json has ids up to %d, but the model's vocabulary ends at %lld: they do not belong "
            "together",
            settings->model.path, size - 1, (long long)policy->hparams.V - 1);
    return STATUS_OK;
}

enum status policy_open(struct policy *policy, const struct settings *settings, int threads) {
    *policy = (struct policy){.model = NULL};
    TRY(hparams_read(settings->model.path, &policy->hparams));
    TRY(open_tokenizer(policy, settings));
    TRY(chat_resolve((enum chat_form)settings->prompt.chat, settings->model.path, &policy->style));
    policy->form = (struct prompt_form){.template_text = settings->prompt.template,
                                        .system = settings->prompt.system,
                                        .style = &policy->style,
                                        .thinking = settings->prompt.thinking,
                                        .date = settings->prompt.date,
                                        .tokenizer = policy->tokenizer};
    TRY(prompt_form_check(&policy->form));
    TRY(backend_open(&policy->backend, settings_word(settings, "run.device"), threads));
    policy->backend_is_open = true;
    return STATUS_OK;
}

enum status policy_open_model(struct policy *policy, const struct settings *settings,
                              int64_t max_positions) {
    const struct model_settings how = {.recompute = settings->model.recompute,
                                       .max_positions = max_positions};
    return model_create(&policy->model, &policy->backend, &policy->hparams, &how);
}

void policy_close(struct policy *policy) {
    model_destroy(&policy->model);
    if (policy->backend_is_open)
        backend_close(&policy->backend);
    policy->backend_is_open = false;
    chat_release(&policy->style);
    tokenizer_destroy(&policy->tokenizer);
}

enum status policy_prompt_limit(const struct policy *policy, const struct settings *settings,
                                int64_t answer, int64_t *limit) {
    const int64_t room = policy->hparams.max_positions - answer;
    if (room < 1)
        return FAIL(
            STATUS_INPUT,
            "rollout.max_new_tokens = %lld leaves no room for a prompt: the model in %s has %lld positions",
            (long long)answer, settings->model.path, (long long)policy->hparams.max_positions);
    *limit = room < settings->prompt.max_tokens ? room : settings->prompt.max_tokens;
    return STATUS_OK;
}
