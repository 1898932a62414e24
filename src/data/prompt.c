/* SPDX-License-Identifier: Apache-2.0 */
#include "data/prompt.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#define PLACE "{prompt}"

enum status prompt_form_check(const struct prompt_form *form) {
    if (form->style->form == CHAT_NONE && form->system != NULL && form->system[0] != '\0')
        return FAIL(STATUS_INPUT, "prompt.system has no place in prompt.chat = \"none\": write it "
                                  "into prompt.template or choose a chat form");
    return STATUS_OK;
}

/* As Python's template.replace("{prompt}", prompt): what the prompt brings is not looked at again.
 */
static enum status fill_template(const char *template_text, const char *prompt,
                                 struct strbuf *out) {
    const char *at = template_text;
    for (const char *place; (place = strstr(at, PLACE)) != NULL; at = place + strlen(PLACE)) {
        TRY(strbuf_append(out, at, (size_t)(place - at)));
        TRY(strbuf_append_text(out, prompt));
    }
    return strbuf_append_text(out, at);
}

static enum status render_chat(const struct prompt_form *form, const char *user,
                               struct strbuf *out) {
    const struct chat_message turns[] = {{.role = "system", .content = form->system},
                                         {.role = "user", .content = user}};
    const int64_t skip = form->system == NULL;
    return chat_render(form->style, turns + skip, 2 - skip, true, form->thinking, form->date, out);
}

static enum status encode_chat(const struct prompt_form *form, const char *user,
                               struct token_list *ids) {
    struct strbuf rendered = STRBUF_EMPTY;
    enum status status = render_chat(form, user, &rendered);
    if (status == STATUS_OK)
        status =
            tokenizer_encode(form->tokenizer, strbuf_text(&rendered), rendered.length, false, ids);
    strbuf_release(&rendered);
    return status;
}

enum status prompt_encode(const struct prompt_form *form, const char *prompt, struct strbuf *text,
                          struct token_list *ids) {
    const size_t begin = text->length;
    const int64_t before = ids->count;
    TRY(fill_template(form->template_text, prompt, text));
    const char *user = strbuf_text(text) + begin;
    if (form->style->form == CHAT_NONE)
        TRY(tokenizer_encode(form->tokenizer, user, text->length - begin, true, ids));
    else
        TRY(encode_chat(form, user, ids));
    if (ids->count == before)
        return FAIL(STATUS_INPUT, "a prompt is empty, so that the model has nothing to continue: "
                                  "write something around {prompt} in prompt.template");
    return STATUS_OK;
}

enum status prompt_encode_answer(struct tokenizer *tokenizer, const char *answer, size_t length,
                                 int32_t stop_id, struct token_list *ids) {
    TRY(tokenizer_encode(tokenizer, answer, length, false, ids));
    return stop_id < 0 ? STATUS_OK : token_list_append(ids, &stop_id, 1);
}

enum status prompt_is_short(void *context, const struct dataset *dataset,
                            const struct dataset_item *item, bool *kept) {
    struct prompt_limit *limit = context;
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    char sentence[STATUS_SENTENCE_MAX / 2];
    enum status status = prompt_encode(limit->form, item->prompt, &text, &ids);
    *kept = ids.count <= limit->max_tokens;
    if (*kept && ids.count > limit->longest)
        limit->longest = ids.count;
    strbuf_release(&text);
    memory_release(&ids.ids);
    if (status != STATUS_INPUT)
        return status;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    return FAIL(status, "%s:%lld: %s", dataset->path, (long long)item->row + 1, sentence);
}
