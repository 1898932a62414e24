/* SPDX-License-Identifier: Apache-2.0 */
#include "run/language_model.h"

#include <string.h>

#include "run/adapter_directory.h"
#include "run/added_tokens.h"
#include "run/head_file.h"
#include "run/model_directory.h"

#include "base/log.h"
#include "base/memory.h"
#include "method/judged.h"
#include "rollout/budgets.h"

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

/* Tokens that the model does not have yet get rows. An adapter has none for them: they would stay as
 * they are made, and be missing beside it. */
static enum status make_rows(struct language_model *lm, const struct settings *settings,
                             int64_t known, int64_t size) {
    if (settings->lora.rank > 0 || settings->lora.adapter != NULL)
        return FAIL(
            STATUS_INPUT,
            "model.added_tokens holds %lld tokens that the model in %s does not have, and an "
            "adapter holds no rows for them: begin with all weights (lora.rank = 0), a short "
            "sft will do, and adapt the model directory that this gives",
            (long long)(size - known), settings->model.path);
    hparams_make_rows(&lm->hparams, known, size);
    log_info("text",
             "added tokens = %lld, ids from %lld on, rows of the embedding = %lld (%lld in the "
             "files)",
             (long long)(size - known), (long long)known, (long long)lm->hparams.V,
             (long long)lm->hparams.made.stored);
    return STATUS_OK;
}

static enum status open_tokenizer(struct language_model *lm, const struct settings *settings) {
    TRY(tokenizer_open_with(&lm->tokenizer, settings->model.path,
                            (const char *const *)settings->model.added_tokens,
                            settings->model.added_tokens_count));
    TRY(tokenizer_fit(lm->tokenizer, lm->hparams.V, settings->model.path));
    if (tokenizer_further(lm->tokenizer)->count == 0)
        return STATUS_OK;
    TRY(make_rows(lm, settings, tokenizer_own_size(lm->tokenizer), tokenizer_size(lm->tokenizer)));
    return tokenizer_fit(lm->tokenizer, lm->hparams.V, settings->model.path);
}

static enum status open_text(struct language_model *lm, const struct settings *settings) {
    TRY(open_tokenizer(lm, settings));
    TRY(chat_resolve((enum chat_form)settings->prompt.chat, settings->model.path, &lm->style));
    const bool text =
        settings->data.corpus_count > 0 && strstr(settings->prompt.template, "{text}") != NULL;
    lm->form = (struct prompt_form){.template_text = settings->prompt.template,
                                    .place = text ? "{text}" : NULL,
                                    .system = settings->prompt.system,
                                    .style = &lm->style,
                                    .thinking = settings->prompt.thinking,
                                    .date = settings->prompt.date,
                                    .tokenizer = lm->tokenizer};
    return prompt_form_check(&lm->form);
}

enum status language_model_check_budgets(const struct language_model *lm,
                                         const struct budget_settings *wanted) {
    struct budgets budgets;
    if (lm->tokenizer == NULL)
        return STATUS_OK;
    const enum status status =
        budgets_init(&budgets, wanted, lm->tokenizer, lm->hparams.eos, lm->hparams.eos_count);
    budgets_release(&budgets);
    if (status == STATUS_OK && wanted->think_tokens >= wanted->max_new_tokens)
        log_warning("text",
                    "%s.think_tokens = %lld is not below %s.max_new_tokens = %lld: thinking is cut "
                    "before its end could be forced",
                    wanted->group, (long long)wanted->think_tokens, wanted->group,
                    (long long)wanted->max_new_tokens);
    return status;
}

enum status language_model_open(struct language_model *lm, const struct settings *settings,
                                int threads) {
    *lm = (struct language_model){.model = NULL};
    TRY(hparams_read(settings->model.path, &lm->hparams));
    TRY(open_text(lm, settings));
    TRY(backend_open(&lm->backend, settings_word(settings, "run.device"), threads));
    lm->backend_is_open = true;
    return STATUS_OK;
}

enum status language_model_plan(struct language_model *lm, const struct settings *settings,
                                int threads, const struct absent *absent) {
    *lm = (struct language_model){.absent = *absent};
    TRY(hparams_read(settings->model.path, &lm->hparams));
    if (!absent->tokenizer)
        TRY(open_text(lm, settings));
    TRY(backend_plan(&lm->backend, settings_word(settings, "run.device"), threads));
    lm->plans = true;
    lm->backend_is_open = true;
    return STATUS_OK;
}

/* --- the adapter --- */

/* What the input file asks for; *wanted is false where it asks for none. */
static enum status targets_of(const struct settings *settings, struct adapter_settings *out) {
    for (int64_t i = 0; i < settings->lora.targets_count; i++) {
        bool known = false;
        for (int t = 0; t < LORA_TARGETS; t++)
            if (strcmp(settings->lora.targets[i], lora_target_name((enum lora_target)t)) == 0)
                known = out->targets[t] = true;
        char quoted[STATUS_QUOTE_MAX];
        if (!known)
            return FAIL(STATUS_INPUT, "lora.targets: '%s' is none of q, k, v, o, gate, up, down",
                        status_quote(quoted, settings->lora.targets[i], SIZE_MAX));
    }
    for (int t = 0; t < LORA_TARGETS && settings->lora.targets_count == 0; t++)
        out->targets[t] = true;
    return STATUS_OK;
}

/* An adapter brings its own rank; another one in the input file is a contradiction. */
static enum status check_rank(const struct settings *settings, const struct adapter_settings *its) {
    if (settings->lora.rank == 0 || settings->lora.rank == its->rank)
        return STATUS_OK;
    return FAIL(
        STATUS_INPUT,
        "lora.rank is %lld, but the adapter in %s has rank %lld: leave lora.rank out, since "
        "an adapter brings its own",
        (long long)settings->lora.rank, settings->lora.adapter, (long long)its->rank);
}

enum status language_model_adapter(const struct language_model *lm, const struct settings *settings,
                                   struct adapter_settings *out) {
    *out = (struct adapter_settings){.rank = settings->lora.rank,
                                     .alpha = settings->lora.alpha,
                                     .rank_stabilized = settings->lora.rank_stabilized};
    if (settings->lora.adapter != NULL) {
        TRY(adapter_directory_settings(settings->lora.adapter, &lm->hparams, out));
        return check_rank(settings, out);
    }
    if (out->rank > 0 && out->alpha == 0.0)
        return FAIL(
            STATUS_INPUT,
            "lora.rank = %lld needs lora.alpha, the numerator of the adapter's scale alpha / "
            "rank: give it, twice the rank is usual",
            (long long)out->rank);
    return targets_of(settings, out);
}

static enum status create_adapter(struct language_model *lm, const struct settings *settings) {
    struct adapter_settings how;
    TRY(language_model_adapter(lm, settings, &how));
    if (how.rank == 0)
        return STATUS_OK;
    return adapter_create(&lm->adapter, &lm->backend, &lm->hparams, language_model_dtype(settings),
                          &how);
}

/* The factors to `master`, which is not NULL, and to the working copy. */
static enum status fill_adapter(struct language_model *lm, const struct settings *settings,
                                float *master) {
    if (settings->lora.adapter != NULL)
        TRY(adapter_directory_load(settings->lora.adapter, lm->adapter, &lm->backend, master));
    else
        TRY(adapter_initialise(lm->adapter, (uint64_t)settings->run.seed, master));
    return adapter_refresh(lm->adapter, master);
}

static enum status load_adapter(struct language_model *lm, const struct settings *settings,
                                float *master) {
    float *own = NULL;
    if (lm->plans)
        return STATUS_OK;
    if (master != NULL)
        return fill_adapter(lm, settings, master);
    TRY(backend_new(&lm->backend, &own, adapter_parameters(lm->adapter)->elements,
                    "an adapter being loaded"));
    const enum status status = fill_adapter(lm, settings, own);
    backend_release(&lm->backend, &own);
    return status;
}

/* --- the discriminator --- */

struct discriminator_settings language_model_head(const struct language_model *lm,
                                                  const struct settings *settings, int64_t offset) {
    return (struct discriminator_settings){.C = lm->hparams.C,
                                           .pooling = (enum pooling)settings->adversarial.pooling,
                                           .value = judged_is_valued(settings),
                                           .offset = offset};
}

enum status language_model_add_head(struct language_model *lm, const struct settings *settings) {
    const struct parameter_set *model = model_trained(lm->model);
    const struct discriminator_settings how = language_model_head(lm, settings, model->elements);
    TRY(discriminator_create(&lm->discriminator, &lm->backend, &how));
    const struct parameter_set *head = discriminator_parameters(lm->discriminator);
    lm->trained = (struct parameter_set){.count = model->count + head->count,
                                         .elements = model->elements + head->elements};
    TRY(memory_new(&lm->parameters, lm->trained.count, "list of parameters"));
    memcpy(lm->parameters, model->items, (size_t)model->count * sizeof *model->items);
    memcpy(lm->parameters + model->count, head->items, (size_t)head->count * sizeof *head->items);
    lm->trained.items = lm->parameters;
    return STATUS_OK;
}

const struct parameter_set *language_model_trained(const struct language_model *lm) {
    return lm->discriminator != NULL ? &lm->trained : model_trained(lm->model);
}

enum status language_model_refresh(struct language_model *lm, const float *master) {
    TRY(model_refresh(lm->model, master));
    return lm->discriminator != NULL ? discriminator_refresh(lm->discriminator, master) : STATUS_OK;
}

/* That of an earlier run, where what goes on has one beside it. */
static enum status load_head(struct language_model *lm, const struct settings *settings,
                             float *master) {
    const char *const beside =
        settings->lora.adapter != NULL ? settings->lora.adapter : settings->model.path;
    bool found;
    if (lm->discriminator == NULL || lm->plans)
        return STATUS_OK;
    ASSERT(master != NULL);
    TRY(head_file_load(beside, &lm->hparams, lm->discriminator, &lm->backend, master, &found));
    if (found)
        log_info("model", "discriminator = %s/" HEAD_FILE_NAME, beside);
    else
        TRY(discriminator_initialise(lm->discriminator, (uint64_t)settings->run.seed, master));
    return discriminator_refresh(lm->discriminator, master);
}

/* --- the model --- */

enum dtype language_model_dtype(const struct settings *settings) {
    return settings->model.precision == SETTING_PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

enum status language_model_create(struct language_model *lm, const struct settings *settings,
                                  int64_t max_positions) {
    const struct model_settings how = {.recompute = settings->model.recompute,
                                       .max_positions = max_positions};
    TRY(create_adapter(lm, settings));
    TRY(weights_create(&lm->weights, &lm->backend, &lm->hparams, language_model_dtype(settings)));
    return model_create(&lm->model, lm->weights, lm->adapter, &how);
}

enum status language_model_load_weights(const struct language_model *lm,
                                        const struct settings *settings, struct weights *weights,
                                        float *master, struct fingerprint *fingerprint) {
    const char *const path = settings->model.path;
    if (lm->plans)
        return weights_plan_load(weights, lm->absent.weights ? NULL : path, master);
    return weights_load(weights, path, master, fingerprint);
}

enum status language_model_load(struct language_model *lm, const struct settings *settings,
                                float *master, struct fingerprint *fingerprint) {
    float *const all = lm->adapter == NULL ? master : NULL;
    TRY(language_model_load_weights(lm, settings, lm->weights, all, fingerprint));
    if (lm->adapter != NULL)
        TRY(load_adapter(lm, settings, master));
    return load_head(lm, settings, master);
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

enum status language_model_files(const struct language_model *lm, const struct settings *settings,
                                 struct model_files *files) {
    TRY(model_files_read(files, settings->model.path));
    return lm->tokenizer != NULL ? added_tokens_write(files, lm->tokenizer, &lm->hparams)
                                 : STATUS_OK;
}

void language_model_remove(struct language_model *lm) {
    discriminator_destroy(&lm->discriminator);
    memory_release(&lm->parameters);
    model_destroy(&lm->model);
    adapter_destroy(&lm->adapter);
    weights_destroy(&lm->weights);
}

void language_model_close(struct language_model *lm) {
    language_model_remove(lm);
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
