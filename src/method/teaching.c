/* SPDX-License-Identifier: Apache-2.0 */
#include "method/teaching.h"

#include <string.h>

#include "base/memory.h"

/* Cuts the template at {reason}. */
static enum status open_reason(struct teaching *teaching, const struct settings *settings) {
    const char *text = settings->distill.teacher_template, *place = strstr(text, SETTINGS_REASON);
    const char *rest = place + strlen(SETTINGS_REASON);
    const size_t length = (size_t)(place - text);
    TRY(memory_new(&teaching->asks, (int64_t)length + 1, "template of a teacher"));
    memcpy(teaching->asks, text, length);
    teaching->form.template_text = teaching->asks;
    teaching->reason_tokens = settings->distill.reason_tokens;
    return tokenizer_encode(teaching->form.tokenizer, rest, strlen(rest), false, &teaching->rest);
}

enum status teaching_open(struct teaching *teaching, const struct settings *settings,
                          const struct prompt_form *student) {
    const struct settings_distill *distill = &settings->distill;
    *teaching = (struct teaching){.form = *student};
    teaching->form.template_text = distill->teacher_template;
    teaching->form.solution = true;
    teaching->form.thinking = distill->teacher_thinking;
    if (distill->teacher_system != NULL)
        teaching->form.system = distill->teacher_system;
    if (student->style->form == CHAT_NONE && distill->teacher_system != NULL &&
        distill->teacher_system[0] != '\0')
        return FAIL(STATUS_INPUT, "distill.teacher_system has no place in prompt.chat = \"none\": "
                                  "write it into distill.teacher_template or choose a chat form");
    return distill->reason_first ? open_reason(teaching, settings) : STATUS_OK;
}

void teaching_release(struct teaching *teaching) {
    memory_release(&teaching->asks);
    memory_release(&teaching->rest.ids);
}

static enum status encode(const struct teaching *teaching, const struct dataset_item *item,
                          struct token_list *ids) {
    struct strbuf text = STRBUF_EMPTY;
    const enum status status = prompt_encode_item(&teaching->form, item, &text, ids);
    strbuf_release(&text);
    return status;
}

enum status teaching_count(const struct teaching *teaching, const struct dataset_item *item,
                           int64_t *tokens) {
    struct token_list ids = {.ids = NULL};
    const enum status status = encode(teaching, item, &ids);
    *tokens = ids.count + teaching->reason_tokens + teaching->rest.count;
    memory_release(&ids.ids);
    return status;
}

enum status teaching_begin(const struct teaching *teaching, const struct dataset_item *item,
                           struct rollout_group *group) {
    struct token_list ids = {.ids = NULL};
    const enum status status = encode(teaching, item, &ids);
    group->teacher = ids.ids;
    group->teacher_length = ids.count;
    return status;
}

enum status teaching_finish(const struct teaching *teaching, const int32_t *reason, int64_t n,
                            struct rollout_group *group) {
    const struct token_list *rest = &teaching->rest;
    int64_t *length = &group->teacher_length;
    TRY(memory_grow(&group->teacher, *length + n + rest->count, "prompt of a teacher"));
    if (n > 0)
        memcpy(group->teacher + *length, reason, (size_t)n * sizeof *reason);
    *length += n;
    if (rest->count > 0)
        memcpy(group->teacher + *length, rest->ids, (size_t)rest->count * sizeof *rest->ids);
    *length += rest->count;
    return STATUS_OK;
}
