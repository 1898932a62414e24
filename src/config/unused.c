/* SPDX-License-Identifier: Apache-2.0
 *
 * What was given and has no effect, by the conditions that settings.def declares.
 */
#include "config/parameter.h"

#include <stdbool.h>
#include <string.h>

static bool has_word(const char *words, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static bool holds(const struct settings *settings, const struct parameter_condition *condition) {
    const struct parameter *const other = &parameter_table[condition->other];
    const void *const value = parameter_value_const(other, settings);
    if (other->kind == PARAMETER_CHOICE)
        return has_word(condition->words, other->words[*(const int *)value]);
    return other->kind == PARAMETER_REAL ? *(const double *)value > 0.0
                                         : *(const int64_t *)value > 0;
}

/* The condition that makes a parameter idle: its own, or one of what it depends on; NULL: none. */
static const struct parameter_condition *failing(const struct settings *settings,
                                                 enum setting_id id) {
    for (int i = 0; i < parameter_condition_count; i++) {
        const struct parameter_condition *const condition = &parameter_conditions[i];
        if (condition->parameter != id)
            continue;
        const struct parameter_condition *const before = failing(settings, condition->other);
        if (before != NULL)
            return before;
        if (!holds(settings, condition))
            return condition;
    }
    return NULL;
}

/* A value that is the default may have been given, as in settings.cfg, and says nothing. */
static enum status is_default(const struct parameter *parameter, const struct settings *settings,
                              const struct settings *defaults, bool *same) {
    struct strbuf given = STRBUF_EMPTY, usual = STRBUF_EMPTY;
    enum status status = parameter_append_value(parameter, settings, &given);
    if (status == STATUS_OK)
        status = parameter_append_value(parameter, defaults, &usual);
    *same = strcmp(strbuf_text(&given), strbuf_text(&usual)) == 0;
    strbuf_release(&given);
    strbuf_release(&usual);
    return status;
}

static enum status sentence_of(const struct settings *settings,
                               const struct parameter_condition *condition, enum setting_id id,
                               struct strbuf *out) {
    char full[PARAMETER_NAME_MAX];
    TRY(strbuf_append_format(out, "%s: %s has no effect: it matters only where ",
                             settings->origins[id],
                             parameter_full_name(&parameter_table[id], full)));
    TRY(parameter_append_condition(condition, out));
    TRY(strbuf_append_text(out, ", and it is "));
    return parameter_append_value(&parameter_table[condition->other], settings, out);
}

static enum status tell_of(const struct settings *settings, const struct settings *defaults,
                           enum setting_id id, void (*tell)(const char *sentence)) {
    const struct parameter_condition *const condition = failing(settings, id);
    bool same = true;
    if (condition == NULL || settings->origins[id] == NULL)
        return STATUS_OK;
    TRY(is_default(&parameter_table[id], settings, defaults, &same));
    if (same)
        return STATUS_OK;
    struct strbuf sentence = STRBUF_EMPTY;
    const enum status status = sentence_of(settings, condition, id, &sentence);
    if (status == STATUS_OK)
        tell(strbuf_text(&sentence));
    strbuf_release(&sentence);
    return status;
}

enum status settings_unused(const struct settings *settings, void (*tell)(const char *sentence)) {
    struct settings defaults = {.origins = {NULL}};
    enum status status = settings_set_defaults(&defaults);
    for (int i = 0; i < SETTINGS_COUNT && status == STATUS_OK; i++)
        status = tell_of(settings, &defaults, (enum setting_id)i, tell);
    settings_release(&defaults);
    return status == STATUS_OK ? settings_unseen_adversarial(settings, tell) : status;
}
