/* SPDX-License-Identifier: Apache-2.0
 *
 * What no parameter can say by itself: which must be given, which values follow from others, and
 * which contradict each other.
 */
#include "config/parameter.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static enum status check_given(const struct settings *settings, enum settings_purpose purpose,
                               const char *path) {
    const int wanted =
        PARAMETER_ALWAYS | (purpose == SETTINGS_FOR_TRAINING     ? PARAMETER_TRAINING
                            : purpose == SETTINGS_FOR_EVALUATION ? PARAMETER_EVALUATION
                                                                 : 0);
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        const struct parameter *const parameter = &parameter_table[i];
        if ((parameter->flags & wanted) == 0)
            continue;
        if (settings->origins[i] == NULL)
            return FAIL(STATUS_INPUT, "%s: %s.%s must be given: %s", path, parameter->group,
                        parameter->name, parameter->sentence);
        if (parameter->kind == PARAMETER_RECORDS && parameter_count_const(parameter, settings) == 0)
            return FAIL(STATUS_INPUT, "%s: %s.%s is an empty list", settings->origins[i],
                        parameter->group, parameter->name);
    }
    return STATUS_OK;
}

enum status settings_derives(struct settings *settings, enum setting_id id, const char *origin,
                             bool *so) {
    *so = settings->origins[id] == NULL;
    return *so ? parameter_set_text(&settings->origins[id], origin, strlen(origin)) : STATUS_OK;
}

enum status settings_derives_text(struct settings *settings, enum setting_id id, const char *origin,
                                  char **value, const char *text) {
    bool so;
    TRY(settings_derives(settings, id, origin, &so));
    if (!so)
        return STATUS_OK;
    parameter_clear(&parameter_table[id], settings);
    return parameter_set_text(value, text, strlen(text));
}

static enum status derive(struct settings *settings, enum setting_id id, double *value,
                          double derived, const char *origin) {
    bool so;
    TRY(settings_derives(settings, id, origin, &so));
    *value = so ? derived : *value;
    return STATUS_OK;
}

/* Sequence ratios hardly leave 1 (Zheng et al., "Group Sequence Policy Optimization", 2025). */
static enum status derive_clip_bounds(struct settings *settings) {
    if (settings->objective.level != SETTING_LEVEL_SEQUENCE)
        return STATUS_OK;
    TRY(derive(settings, SETTING_ID_objective_clip_low, &settings->objective.clip_low, 3e-4,
               "derived from objective.level"));
    return derive(settings, SETTING_ID_objective_clip_high, &settings->objective.clip_high, 4e-4,
                  "derived from objective.level");
}

/* What SFPO's authors have: reposition, window and threshold of their paper, the score of their
 * code (algorithms.md, section 2). */
static enum status derive_sfpo(struct settings *settings) {
    struct settings_update *const update = &settings->update;
    static const char origin[] = "derived from update.rule";
    bool so;
    TRY(derive(settings, SETTING_ID_update_reposition, &update->reposition, 0.8, origin));
    TRY(derive(settings, SETTING_ID_update_shutoff_threshold, &update->shutoff_threshold, 1.0,
               origin));
    TRY(settings_derives(settings, SETTING_ID_update_shutoff_inclusive, origin, &so));
    update->shutoff_inclusive = so || update->shutoff_inclusive;
    return STATUS_OK;
}

/* Directions of AdamW have no scale of their own, so a bound on them is relative; and the factors
 * are bounded by what K like steps would be (algorithms.md, 1.3 and 1.4). */
static enum status derive_gxpo(struct settings *settings) {
    struct settings_update *const update = &settings->update;
    bool so = false;
    if (update->retention == SETTING_RETENTION_ADAMW)
        TRY(settings_derives(settings, SETTING_ID_update_activity_kind,
                             "derived from update.retention", &so));
    update->activity_kind = so ? SETTING_ACTIVITY_KIND_RELATIVE : update->activity_kind;
    if (update->activity_kind == SETTING_ACTIVITY_KIND_RELATIVE)
        TRY(derive(settings, SETTING_ID_update_activity, &update->activity, 1e-3,
                   "derived from update.activity_kind"));
    return derive(settings, SETTING_ID_update_scale_limit, &update->scale_limit[1],
                  (double)update->virtual_steps / 2 + 1, "derived from update.virtual_steps");
}

static enum status derive_rule(struct settings *settings) {
    if (settings->update.rule == SETTING_RULE_SFPO)
        return derive_sfpo(settings);
    return settings->update.rule == SETTING_RULE_GXPO ? derive_gxpo(settings) : STATUS_OK;
}

/* --- eval --- */

static enum status derive_integer(struct settings *settings, enum setting_id id, int64_t *value,
                                  int64_t derived, const char *origin) {
    bool so;
    TRY(settings_derives(settings, id, origin, &so));
    *value = so ? derived : *value;
    return STATUS_OK;
}

static enum status derive_close(struct settings *settings) {
    const char *const close = settings->rollout.think_close;
    bool so;
    TRY(settings_derives(settings, SETTING_ID_eval_think_close, "derived from rollout.think_close",
                         &so));
    if (!so)
        return STATUS_OK;
    memory_release(&settings->eval.think_close);
    return parameter_set_text(&settings->eval.think_close, close, strlen(close));
}

static enum status derive_stop(struct settings *settings) {
    struct settings_eval *const eval = &settings->eval;
    const struct settings_rollout *const rollout = &settings->rollout;
    bool so;
    TRY(settings_derives(settings, SETTING_ID_eval_stop, "derived from rollout.stop", &so));
    if (!so)
        return STATUS_OK;
    TRY(memory_new(&eval->stop, rollout->stop_count, "a list of texts of the settings"));
    for (; eval->stop_count < rollout->stop_count; eval->stop_count++)
        TRY(parameter_set_text(&eval->stop[eval->stop_count], rollout->stop[eval->stop_count],
                               strlen(rollout->stop[eval->stop_count])));
    return STATUS_OK;
}

/* Of the usual k those that can be estimated. */
static enum status derive_pass_at(struct settings *settings) {
    struct settings_eval *const eval = &settings->eval;
    int64_t kept = 0;
    bool so;
    if (settings->origins[SETTING_ID_eval_pass_at] != NULL)
        return STATUS_OK;
    for (int64_t i = 0; i < eval->pass_at_count; i++)
        if (eval->pass_at[i] <= eval->samples)
            eval->pass_at[kept++] = eval->pass_at[i];
    if (kept == eval->pass_at_count)
        return STATUS_OK;
    eval->pass_at_count = kept;
    return settings_derives(settings, SETTING_ID_eval_pass_at, "derived from eval.samples", &so);
}

/* Answers are drawn as in rollout unless eval says otherwise. */
static enum status derive_eval(struct settings *settings) {
    struct settings_eval *const eval = &settings->eval;
    const struct settings_rollout *const rollout = &settings->rollout;
    if (eval->sets_count == 0)
        return STATUS_OK;
#define FROM_ROLLOUT(how, name)                                                                    \
    TRY(how(settings, SETTING_ID_eval_##name, &eval->name, rollout->name,                          \
            "derived from rollout." #name))
    FROM_ROLLOUT(derive, temperature);
    FROM_ROLLOUT(derive, top_p);
    FROM_ROLLOUT(derive_integer, top_k);
    FROM_ROLLOUT(derive, min_p);
    FROM_ROLLOUT(derive, presence_penalty);
    FROM_ROLLOUT(derive_integer, max_new_tokens);
    FROM_ROLLOUT(derive_integer, think_tokens);
    FROM_ROLLOUT(derive_integer, answer_tokens);
    FROM_ROLLOUT(derive_integer, answers_in_flight);
#undef FROM_ROLLOUT
    TRY(derive_close(settings));
    TRY(derive_stop(settings));
    return derive_pass_at(settings);
}

/* Names go into paths of HDF5 files. */
static enum status check_set(const struct settings *settings, int64_t i) {
    const struct eval_set *const sets = settings->eval.sets;
    const char *const origin = settings_origin(settings, "eval.sets");
    char quoted[STATUS_QUOTE_MAX];
    for (const char *c = sets[i].name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr("_-.", *c) != NULL) ||
            sets[i].name[0] == '.' || strlen(sets[i].name) > 40)
            return FAIL(STATUS_INPUT,
                        "%s: eval.sets[%lld].name = '%s' is no name of a set: it has 1 to 40 "
                        "letters, digits, _ - and . and does not begin with a point",
                        origin, (long long)i, status_quote(quoted, sets[i].name, SIZE_MAX));
    for (int64_t k = 0; k < i; k++)
        if (strcmp(sets[i].name, sets[k].name) == 0)
            return FAIL(STATUS_INPUT, "%s: eval.sets has two sets called '%s'", origin,
                        sets[i].name);
    if (sets[i].template[0] != '\0' && strstr(sets[i].template, "{prompt}") == NULL)
        return FAIL(STATUS_INPUT,
                    "%s: eval.sets[%lld].template does not hold {prompt}, the place of the problem",
                    origin, (long long)i);
    return STATUS_OK;
}

static enum status check_eval(const struct settings *settings) {
    const struct settings_eval *const eval = &settings->eval;
    if (eval->every > 0 && eval->sets_count == 0)
        return FAIL(STATUS_INPUT,
                    "%s: eval.every = %lld evaluates on the way, but eval.sets names no problems",
                    settings_origin(settings, "eval.every"), (long long)eval->every);
    for (int64_t i = 0; i < eval->sets_count; i++)
        TRY(check_set(settings, i));
    for (int64_t i = 0; i < eval->pass_at_count; i++)
        if (eval->sets_count > 0 && eval->pass_at[i] > eval->samples)
            return FAIL(STATUS_INPUT,
                        "%s: eval.pass_at holds %lld, which cannot be estimated from eval.samples "
                        "= %lld answers to a problem: raise the one or leave out the other",
                        settings_origin(settings, "eval.pass_at"), (long long)eval->pass_at[i],
                        (long long)eval->samples);
    return STATUS_OK;
}

/* It compares what the run writes with the real end of a window, by a model that does not change. */
static enum status check_mauve(const struct settings *settings) {
    const char *const origin = settings_origin(settings, "mauve.every");
    const long long every = (long long)settings->mauve.every;
    if (every == 0)
        return STATUS_OK;
    if (settings->data.corpus_count == 0 || settings->run.method == SETTING_METHOD_SFT)
        return FAIL(STATUS_INPUT,
                    "%s: mauve.every = %lld compares completions that the run draws with those of "
                    "data.corpus, and %s: leave it at 0",
                    origin, every,
                    settings->data.corpus_count == 0 ? "there is no data.corpus"
                                                     : "run.method = \"sft\" draws none");
    if (settings->mauve.features == NULL && settings->lora.rank == 0 &&
        settings->lora.adapter == NULL)
        return FAIL(STATUS_INPUT,
                    "%s: mauve.every = %lld takes the features of texts by the model without its "
                    "adapter, and the run has none, so that the measure would change: give "
                    "mauve.features, the directory of a model, which may be that of model.path",
                    origin, every);
    return STATUS_OK;
}

static enum status check_texts(const struct settings *settings) {
    const bool corpus = settings->data.corpus_count > 0;
    if (strstr(settings->prompt.template, "{prompt}") == NULL &&
        !(corpus && strstr(settings->prompt.template, "{text}") != NULL))
        return FAIL(STATUS_INPUT,
                    "%s: prompt.template does not hold {prompt}, the place of the row's prompt",
                    settings_origin(settings, "prompt.template"));
    return STATUS_OK;
}

/* A row is a prompt with its answer, or a conversation. */
static enum status check_sources(const struct settings *settings) {
    for (int64_t i = 0; i < settings->data.train_count; i++) {
        const struct train_source *const source = &settings->data.train[i];
        const bool messages = source->messages[0] != '\0', prompt = source->prompt[0] != '\0';
        const char *const origin = settings_origin(settings, "data.train");
        if (messages && prompt)
            return FAIL(STATUS_INPUT,
                        "%s: data.train[%lld] gives prompt and messages: a row is read by one of "
                        "them, leave the other out",
                        origin, (long long)i);
        if (!messages && !prompt)
            return FAIL(STATUS_INPUT,
                        "%s: data.train[%lld] lacks prompt, the field that holds the prompt, or "
                        "messages, the field that holds a conversation",
                        origin, (long long)i);
        if (!messages && source->answer[0] == '\0')
            return FAIL(STATUS_INPUT,
                        "%s: data.train[%lld] lacks answer, the field that holds the reference "
                        "answer",
                        origin, (long long)i);
    }
    return STATUS_OK;
}

/* Where a training run takes its prompts from: one of two. */
static enum status check_data(const struct settings *settings, const char *path) {
    const bool train = settings->data.train_count > 0, corpus = settings->data.corpus_count > 0;
    if (!train && !corpus && settings_origin_is_default(settings, "data.train"))
        return FAIL(STATUS_INPUT,
                    "%s: data.train must be given: the sources of prompts; or data.corpus, texts "
                    "to be continued",
                    path);
    if (!train && !corpus)
        return FAIL(STATUS_INPUT, "%s: data.train is an empty list",
                    settings_origin(settings, "data.train"));
    if (train && corpus)
        return FAIL(STATUS_INPUT,
                    "%s: data.train and data.corpus are both given: a run takes its prompts from "
                    "one of them",
                    settings_origin(settings, "data.corpus"));
    if (settings->adversarial.completion_tokens >= settings->adversarial.window_tokens)
        return FAIL(STATUS_INPUT,
                    "%s: adversarial.completion_tokens = %lld leaves no prefix in "
                    "adversarial.window_tokens = %lld",
                    settings_origin(settings, "adversarial.completion_tokens"),
                    (long long)settings->adversarial.completion_tokens,
                    (long long)settings->adversarial.window_tokens);
    return STATUS_OK;
}

static enum status check_objective(const struct settings *settings) {
    const struct settings_objective *const objective = &settings->objective;
    if (objective->clip_low >= 1.0)
        return FAIL(STATUS_INPUT,
                    "%s: objective.clip_low = %.9g leaves no bound: it must be below 1",
                    settings_origin(settings, "objective.clip_low"), objective->clip_low);
    if (objective->clip_dual != 0.0 && objective->clip_dual <= 1.0 + objective->clip_high)
        return FAIL(STATUS_INPUT,
                    "%s: objective.clip_dual = %.9g is not above 1 + objective.clip_high = %.9g",
                    settings_origin(settings, "objective.clip_dual"), objective->clip_dual,
                    1.0 + objective->clip_high);
    return STATUS_OK;
}

/* Whether the method learns by rewards. */
static bool is_rewarded(const struct settings *settings) {
    return settings->run.method == SETTING_METHOD_RL ||
           settings->run.method == SETTING_METHOD_ADVERSARIAL;
}

/* Whether the prompt may end with an empty think block. */
static bool prompt_closes_thinking(const struct settings *settings) {
    const struct settings_prompt *const prompt = &settings->prompt;
    return !prompt->thinking &&
           (prompt->chat == SETTING_CHAT_AUTO || prompt->chat == SETTING_CHAT_QWEN3);
}

/* An empty think block in the prompt leaves no place for the one that the format reward asks for. */
static enum status check_thinking(const struct settings *settings) {
    if (!prompt_closes_thinking(settings) || !is_rewarded(settings))
        return STATUS_OK;
    for (int64_t i = 0; i < settings->reward.parts_count; i++)
        if (strcmp(settings->reward.parts[i].name, "format") == 0)
            return FAIL(STATUS_INPUT,
                        "%s: prompt.thinking = false closes an empty think block before the "
                        "answer, and the format reward asks each answer for one of its own: set it "
                        "to true, or give reward.parts without format",
                        settings_origin(settings, "prompt.thinking"));
    return STATUS_OK;
}

/* What closes thinking must close it, and nothing else. */
static enum status check_close(const struct settings *settings) {
    const struct settings_rollout *const rollout = &settings->rollout;
    char quoted[STATUS_QUOTE_MAX], tag[128];
    snprintf(tag, sizeof tag, "</%s>", settings->reward.think_tag);
    if (strstr(rollout->think_close, tag) == NULL)
        return FAIL(STATUS_INPUT,
                    "%s: rollout.think_close = '%s' does not hold the closing tag %s of "
                    "reward.think_tag: set both to the same tag",
                    settings_origin(settings, "rollout.think_close"),
                    status_quote(quoted, rollout->think_close, SIZE_MAX), tag);
    for (int64_t i = 0; i < rollout->stop_count; i++)
        if (rollout->stop[i][0] != '\0' && strstr(rollout->think_close, rollout->stop[i]) != NULL)
            return FAIL(STATUS_INPUT,
                        "%s: rollout.think_close holds the text '%s' of rollout.stop, at which an "
                        "answer ends: take it out of one of them",
                        settings_origin(settings, "rollout.stop"),
                        status_quote(quoted, rollout->stop[i], SIZE_MAX));
    return STATUS_OK;
}

/* Of answers, and of a discriminator's reasoning; in a prompt that has closed thinking there is none to
 * close. */
static enum status check_budgets(const struct settings *settings) {
    const struct settings_rollout *const rollout = &settings->rollout;
    const bool reasons = settings->run.method == SETTING_METHOD_ADVERSARIAL &&
                         settings->adversarial.reason_tokens > 0,
               thinks = settings->run.method != SETTING_METHOD_SFT && rollout->think_tokens > 0;
    if (reasons || thinks)
        TRY(check_close(settings));
    if (thinks && prompt_closes_thinking(settings))
        return FAIL(STATUS_INPUT,
                    "%s: rollout.think_tokens = %lld is a budget for thinking, and "
                    "prompt.thinking = false lets none begin: set one of them otherwise",
                    settings_origin(settings, "rollout.think_tokens"),
                    (long long)rollout->think_tokens);
    return STATUS_OK;
}

/* Steering τ takes a gate that has one, and a pass whose ratios have moved. */
static enum status check_tau(const struct settings *settings) {
    const struct settings_objective *const objective = &settings->objective;
    const struct settings_update *const update = &settings->update;
    if (objective->tau_control == SETTING_TAU_CONTROL_FIXED || !is_rewarded(settings))
        return STATUS_OK;
    const char *const origin = settings_origin(settings, "objective.tau_control");
    if (objective->gate == SETTING_GATE_CLIP || objective->gate == SETTING_GATE_NONE)
        return FAIL(STATUS_INPUT,
                    "%s: objective.tau_control = \"%s\" moves the tau of a soft gate, and the gate "
                    "\"%s\" has none: choose sigmoid, erf, arctan or softsign, or leave it out",
                    origin, settings_word(settings, "objective.tau_control"),
                    settings_word(settings, "objective.gate"));
    if (objective->tau_control == SETTING_TAU_CONTROL_SCHEDULE && objective->tau_scale_end == 1.0)
        return FAIL(STATUS_INPUT,
                    "%s: objective.tau_control = \"schedule\" takes objective.tau_scale_end, the "
                    "factor of tau in the last step, and it is 1",
                    origin);
    if (objective->tau_control == SETTING_TAU_CONTROL_EUR && update->iterations == 1 &&
        update->mini_batches == 1 && update->rule == SETTING_RULE_SINGLE)
        return FAIL(STATUS_INPUT,
                    "%s: objective.tau_control = \"eur\" goes by the ratios of a step's last pass, "
                    "and with one pass they are all 1: raise update.iterations or "
                    "update.mini_batches, or choose a rule of several passes",
                    origin);
    return STATUS_OK;
}

/* Both rules go over one fixed batch by a plan of their own. */
static enum status check_rule(const struct settings *settings) {
    const struct settings_update *const update = &settings->update;
    const char *const rule = settings_word(settings, "update.rule");
    if (update->rule == SETTING_RULE_SINGLE)
        return STATUS_OK;
    if (update->iterations > 1)
        return FAIL(STATUS_INPUT,
                    "%s: update.iterations = %lld: the rule %s goes over the batch as often as "
                    "update.virtual_steps says; leave iterations at 1",
                    settings_origin(settings, "update.iterations"), (long long)update->iterations,
                    rule);
    if (update->rule == SETTING_RULE_GXPO && update->mini_batches > 1)
        return FAIL(STATUS_INPUT,
                    "%s: update.mini_batches = %lld: the rule gxpo compares gradients of one whole "
                    "batch; leave it at 1, or take sfpo",
                    settings_origin(settings, "update.mini_batches"),
                    (long long)update->mini_batches);
    if (update->rule == SETTING_RULE_GXPO && update->virtual_steps < 2)
        return FAIL(STATUS_INPUT,
                    "%s: update.virtual_steps = %lld: the rule gxpo foretells from two steps, so "
                    "it takes at least 2",
                    settings_origin(settings, "update.virtual_steps"),
                    (long long)update->virtual_steps);
    return STATUS_OK;
}

static enum status check_training(const struct settings *settings) {
    const struct settings_rollout *const rollout = &settings->rollout;
    if (is_rewarded(settings) && rollout->group_size < 2 &&
        settings->objective.advantage != SETTING_ADVANTAGE_EMA)
        return FAIL(STATUS_INPUT,
                    "%s: rollout.group_size = %lld: an advantage compares the answers of a group, "
                    "so it takes at least 2",
                    settings_origin(settings, "rollout.group_size"),
                    (long long)rollout->group_size);
    if (settings->update.mini_batches > rollout->prompts_per_step)
        return FAIL(STATUS_INPUT,
                    "%s: update.mini_batches = %lld is more than rollout.prompts_per_step = %lld",
                    settings_origin(settings, "update.mini_batches"),
                    (long long)settings->update.mini_batches, (long long)rollout->prompts_per_step);
    if (settings->optimizer.warmup_steps > settings->run.steps)
        return FAIL(STATUS_INPUT, "%s: optimizer.warmup_steps = %lld is more than run.steps = %lld",
                    settings_origin(settings, "optimizer.warmup_steps"),
                    (long long)settings->optimizer.warmup_steps, (long long)settings->run.steps);
    return STATUS_OK;
}

enum status settings_validate(struct settings *settings, enum settings_purpose purpose,
                              const char *path) {
    TRY(check_given(settings, purpose, path));
    TRY(derive_clip_bounds(settings));
    TRY(derive_rule(settings));
    TRY(settings_derive_distill(settings));
    TRY(settings_derive_adversarial(settings));
    TRY(derive_eval(settings));
    TRY(check_texts(settings));
    TRY(check_sources(settings));
    TRY(check_objective(settings));
    TRY(check_eval(settings));
    TRY(check_budgets(settings));
    if (purpose != SETTINGS_FOR_TRAINING)
        return STATUS_OK;
    TRY(check_data(settings, path));
    TRY(check_mauve(settings));
    TRY(check_thinking(settings));
    TRY(check_tau(settings));
    TRY(check_rule(settings));
    TRY(settings_check_distill(settings));
    TRY(settings_check_adversarial(settings));
    return check_training(settings);
}
