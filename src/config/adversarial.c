/* SPDX-License-Identifier: Apache-2.0
 *
 * The adversarial game in the input file: what its method brings along where nothing is given, and
 * what contradicts itself.
 */
#include "config/parameter.h"

#include <string.h>

#include "base/strbuf.h"

/* Of rollout.max_new_tokens, for the text that closes thinking by force. */
enum { ROOM_FOR_CLOSE = 16 };

static const char method[] = "derived from run.method";
static const char completion[] = "derived from adversarial.completion_tokens";

/* The whole conversation, up to the tag that opens the thinking. */
#define CRUMB                                                                                      \
    "<|im_start|>system\nYou continue texts. Think about how this one goes on, about its author, " \
    "style and subject; then write its next words, and nothing else.<|im_end|>\n"                  \
    "<|im_start|>user\n{text}<|im_end|>\n"                                                         \
    "<|im_start|>assistant\n<think>\n"

static enum status derive_preset(struct settings *settings) {
    static const char preset[] = "derived from adversarial.preset";
    bool so;
    if (settings->adversarial.preset == SETTING_GAME_PRESET_NONE)
        return STATUS_OK;
    TRY(settings_derives(settings, SETTING_ID_prompt_chat, preset, &so));
    settings->prompt.chat = so ? SETTING_CHAT_NONE : settings->prompt.chat;
    return settings_derives_text(settings, SETTING_ID_prompt_template, preset,
                                 &settings->prompt.template, CRUMB);
}

static enum status derive_budgets(struct settings *settings) {
    struct settings_rollout *const rollout = &settings->rollout;
    const int64_t tokens = settings->adversarial.completion_tokens;
    bool so = false;
    if (rollout->think_tokens > 0)
        TRY(settings_derives(settings, SETTING_ID_rollout_answer_tokens, completion, &so));
    rollout->answer_tokens = so ? tokens : rollout->answer_tokens;
    TRY(settings_derives(settings, SETTING_ID_rollout_max_new_tokens, completion, &so));
    if (!so)
        return STATUS_OK;
    rollout->max_new_tokens = tokens;
    if (rollout->think_tokens > 0)
        rollout->max_new_tokens += rollout->think_tokens + ROOM_FOR_CLOSE;
    return STATUS_OK;
}

enum status settings_derive_adversarial(struct settings *settings) {
    bool so;
    if (settings->run.method != SETTING_METHOD_ADVERSARIAL)
        return STATUS_OK;
    TRY(settings_derives(settings, SETTING_ID_rollout_group_size, method, &so));
    settings->rollout.group_size = so ? 1 : settings->rollout.group_size;
    TRY(settings_derives(settings, SETTING_ID_objective_advantage, method, &so));
    settings->objective.advantage = so ? SETTING_ADVANTAGE_EMA : settings->objective.advantage;
    TRY(settings_derives(settings, SETTING_ID_reward_parts, method, &so));
    if (so)
        parameter_clear(&parameter_table[SETTING_ID_reward_parts], settings);
    TRY(settings_derives(settings, SETTING_ID_adversarial_head_learning_rate,
                         "derived from optimizer.learning_rate", &so));
    if (so)
        settings->adversarial.head_learning_rate = settings->optimizer.learning_rate;
    TRY(derive_preset(settings));
    return derive_budgets(settings);
}

/* Most tokens that a completion can get, about: how many a forced end of thinking takes is the
 * tokenizer's. */
static int64_t completion_most(const struct settings *settings) {
    const struct settings_rollout *const rollout = &settings->rollout;
    const int64_t rest = rollout->max_new_tokens - rollout->think_tokens;
    return rollout->think_tokens > 0 && rollout->answer_tokens > 0 && rollout->answer_tokens < rest
               ? rollout->answer_tokens
               : rest;
}

static enum status check_lengths(const struct settings *settings) {
    const int64_t most = completion_most(settings);
    if (settings->adversarial.length_rule != SETTING_LENGTH_RULE_EXACT ||
        most >= settings->adversarial.completion_tokens)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: adversarial.length_rule = \"exact\" rewards completions of "
                "adversarial.completion_tokens = %lld tokens, and rollout leaves at most %lld for "
                "one: raise rollout.max_new_tokens (%lld) or rollout.answer_tokens (%lld)",
                settings_origin(settings, "adversarial.completion_tokens"),
                (long long)settings->adversarial.completion_tokens, (long long)most,
                (long long)settings->rollout.max_new_tokens,
                (long long)settings->rollout.answer_tokens);
}

/* Its places, each once and in order: what stands before a completion is computed once for all of a
 * window, and something has to ask. */
static enum status check_template(const struct settings *settings) {
    const char *const text = settings->adversarial.judge_template,
                      *const prefix = strstr(text, SETTINGS_PREFIX),
                      *const told = strstr(text, SETTINGS_COMPLETION);
    const char *const place = settings_origin(settings, "adversarial.judge_template");
    if (prefix == NULL || told == NULL || told < prefix ||
        strstr(prefix + 1, SETTINGS_PREFIX) != NULL ||
        strstr(told + 1, SETTINGS_COMPLETION) != NULL)
        return FAIL(STATUS_INPUT,
                    "%s: adversarial.judge_template must hold " SETTINGS_PREFIX
                    " and then " SETTINGS_COMPLETION ", each once",
                    place);
    if (told[strlen(SETTINGS_COMPLETION)] == '\0')
        return FAIL(STATUS_INPUT,
                    "%s: adversarial.judge_template ends with " SETTINGS_COMPLETION
                    ": ask something behind it, and open the reasoning (<think>)",
                    place);
    return STATUS_OK;
}

static enum status check_reasoning(const struct settings *settings) {
    if (settings->adversarial.reason_tokens == 0)
        return STATUS_OK;
    if (settings->adversarial.pooling == SETTING_POOLING_MEAN)
        return FAIL(STATUS_INPUT,
                    "%s: adversarial.pooling = \"mean\" has no meaning with "
                    "adversarial.reason_tokens = %lld: a discriminator that reasons tells by the "
                    "state behind its reasoning; take \"last\"",
                    settings_origin(settings, "adversarial.pooling"),
                    (long long)settings->adversarial.reason_tokens);
    return check_template(settings);
}

enum status settings_check_adversarial(const struct settings *settings) {
    if (settings->run.method != SETTING_METHOD_ADVERSARIAL)
        return STATUS_OK;
    if (settings->data.corpus_count == 0)
        return FAIL(STATUS_INPUT,
                    "%s: run.method = \"adversarial\" continues windows of texts: give data.corpus "
                    "in place of data.train",
                    settings_origin(settings, "run.method"));
    if (settings->rollout.resample > 0 && settings->objective.advantage != SETTING_ADVANTAGE_EMA)
        return FAIL(STATUS_INPUT,
                    "%s: rollout.resample = %lld has no meaning for run.method = \"adversarial\", "
                    "whose windows are read by the discriminator as well: leave it out",
                    settings_origin(settings, "rollout.resample"),
                    (long long)settings->rollout.resample);
    TRY(check_reasoning(settings));
    return check_lengths(settings);
}

enum status settings_unseen_adversarial(const struct settings *settings,
                                        void (*tell)(const char *sentence)) {
    const struct settings_adversarial *const game = &settings->adversarial;
    struct strbuf sentence = STRBUF_EMPTY;
    if (settings->run.method != SETTING_METHOD_ADVERSARIAL || game->d_step != SETTING_D_STEP_OWN ||
        game->d_scale_in != SETTING_D_SCALE_IN_LOSS || game->d_scale == 1.0)
        return STATUS_OK;
    const enum status status = strbuf_append_format(
        &sentence,
        "%s: adversarial.d_scale = %g is hardly seen beside adversarial.d_step = \"own\", whose Adam "
        "divides a gradient by its size: set the pace by adversarial.head_learning_rate (%g), or "
        "the reward by adversarial.d_scale_in = \"reward\"",
        settings_origin(settings, "adversarial.d_scale"), game->d_scale, game->head_learning_rate);
    if (status == STATUS_OK)
        tell(strbuf_text(&sentence));
    strbuf_release(&sentence);
    return status;
}
