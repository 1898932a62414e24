/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/budgets.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

struct budget_settings budget_settings_of(const struct settings *settings) {
    const struct settings_rollout *rollout = &settings->rollout;
    return (struct budget_settings){.group = "rollout",
                                    .max_new_tokens = rollout->max_new_tokens,
                                    .think_tokens = rollout->think_tokens,
                                    .answer_tokens = rollout->answer_tokens,
                                    .think_tag = settings->reward.think_tag,
                                    .think_close = rollout->think_close};
}

static enum status check_stop_ids(const struct budgets *budgets, const int32_t *stop_ids,
                                  int64_t count) {
    const struct token_list *close = &budgets->close;
    for (int64_t i = 0; i < close->count; i++)
        for (int64_t k = 0; k < count; k++)
            if (close->ids[i] == stop_ids[k])
                return FAIL(
                    STATUS_INPUT,
                    "%s.think_close holds token %d, at which the model's answers stop: give a "
                    "text without it",
                    budgets->settings.group, (int)close->ids[i]);
    return STATUS_OK;
}

static enum status check_room(const struct budgets *budgets) {
    const struct budget_settings *s = &budgets->settings;
    const int64_t begin = s->think_tokens + budgets->close.count;
    if (s->think_tokens >= s->max_new_tokens || begin < s->max_new_tokens)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s.max_new_tokens = %lld leaves no room for an answer behind %s.think_tokens = "
                "%lld and the %lld tokens of %s.think_close: raise it",
                s->group, (long long)s->max_new_tokens, s->group, (long long)s->think_tokens,
                (long long)budgets->close.count, s->group);
}

enum status budgets_init(struct budgets *budgets, const struct budget_settings *settings,
                         struct tokenizer *tokenizer, const int32_t *stop_ids,
                         int64_t stop_id_count) {
    *budgets = (struct budgets){.settings = *settings, .tag_id = -1};
    if (settings->think_tokens == 0 || tokenizer == NULL) {
        budgets->settings.think_tokens = 0;
        return STATUS_OK;
    }
    snprintf(budgets->tag, sizeof budgets->tag, "</%s>", settings->think_tag);
    const int32_t id = tokenizer_find(tokenizer, budgets->tag);
    if (id >= 0 && tokenizer_is_added(tokenizer, id))
        budgets->tag_id = id;
    TRY(tokenizer_encode(tokenizer, settings->think_close, strlen(settings->think_close), false,
                         &budgets->close));
    TRY(check_stop_ids(budgets, stop_ids, stop_id_count));
    return check_room(budgets);
}

void budgets_release(struct budgets *budgets) {
    memory_release(&budgets->close.ids);
    budgets->close.count = budgets->close.capacity = 0;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

bool budgets_force(const struct budgets *budgets, int64_t n) {
    const struct budget_settings *s = &budgets->settings;
    return s->think_tokens > 0 && n == s->think_tokens && n < s->max_new_tokens;
}

int64_t budgets_thinking(const struct budgets *budgets) {
    const struct budget_settings *s = &budgets->settings;
    return s->think_tokens > 0 ? least(s->think_tokens, s->max_new_tokens) : s->max_new_tokens;
}

int64_t budgets_answer(const struct budgets *budgets, int64_t begin) {
    const struct budget_settings *s = &budgets->settings;
    return s->answer_tokens > 0 ? least(begin + s->answer_tokens, s->max_new_tokens)
                                : s->max_new_tokens;
}
