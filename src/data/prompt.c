/* SPDX-License-Identifier: Apache-2.0 */
#include "data/prompt.h"

#include <string.h>

#include "base/memory.h"

enum status prompt_form_check(const struct prompt_form *form) {
    if (form->style->form == CHAT_NONE && form->system != NULL && form->system[0] != '\0')
        return FAIL(STATUS_INPUT, "prompt.system has no place in prompt.chat = \"none\": write it "
                                  "into prompt.template or choose a chat form");
    return STATUS_OK;
}

enum status prompt_form_check_messages(const struct prompt_form *form) {
    if (form->style->form == CHAT_NONE)
        return FAIL(STATUS_INPUT,
                    "messages have no place in prompt.chat = \"none\", which knows no "
                    "turns: choose a chat form");
    return STATUS_OK;
}

#define PLACE "{prompt}"

/* A placeholder of a template, and what takes its place. */
struct place {
    const char *name;
    struct utf8_span text;
};

/* The placeholder that comes first in the text, and where; NULL: none is left. */
static const struct place *next_place(const char *text, const struct place *places, int count,
                                      const char **at) {
    const struct place *first = NULL;
    for (int i = 0; i < count; i++) {
        const char *found = strstr(text, places[i].name);
        if (found != NULL && (first == NULL || found < *at)) {
            first = &places[i];
            *at = found;
        }
    }
    return first;
}

/* In one pass: what a row brings is not looked at again. */
static enum status fill_template(const struct prompt_form *form, struct utf8_span prompt,
                                 struct utf8_span solution, struct strbuf *out) {
    const struct place places[] = {{form->place != NULL ? form->place : PLACE, prompt},
                                   {"{solution}", solution}};
    const char *text = form->template_text, *at = text;
    for (const struct place *place;
         (place = next_place(text, places, form->solution ? 2 : 1, &at)) != NULL;
         text = at + strlen(place->name)) {
        TRY(strbuf_append(out, text, (size_t)(at - text)));
        TRY(strbuf_append(out, place->text.text, place->text.length));
    }
    return strbuf_append_text(out, text);
}

static enum status render_chat(const struct prompt_form *form, struct utf8_span user,
                               struct strbuf *out) {
    const struct chat_message turns[] = {
        {.role = "system", .content = utf8_span(form->system != NULL ? form->system : "")},
        {.role = "user", .content = user}};
    const int64_t skip = form->system == NULL;
    return chat_render(form->style, turns + skip, 2 - skip, true, form->thinking, form->date, out);
}

static enum status encode_chat(const struct prompt_form *form, struct utf8_span user,
                               struct token_list *ids) {
    struct strbuf rendered = STRBUF_EMPTY;
    enum status status = render_chat(form, user, &rendered);
    if (status == STATUS_OK)
        status =
            tokenizer_encode(form->tokenizer, strbuf_text(&rendered), rendered.length, false, ids);
    strbuf_release(&rendered);
    return status;
}

enum status prompt_encode_solution(const struct prompt_form *form, struct utf8_span prompt,
                                   struct utf8_span solution, struct strbuf *text,
                                   struct token_list *ids) {
    const size_t begin = text->length;
    const int64_t before = ids->count;
    TRY(fill_template(form, prompt, solution, text));
    const struct utf8_span user = {strbuf_text(text) + begin, text->length - begin};
    if (form->style->form == CHAT_NONE)
        TRY(tokenizer_encode(form->tokenizer, user.text, user.length, true, ids));
    else
        TRY(encode_chat(form, user, ids));
    if (ids->count == before)
        return FAIL(STATUS_INPUT, "a prompt is empty, so that the model has nothing to continue: "
                                  "write something around {prompt} in prompt.template");
    return STATUS_OK;
}

enum status prompt_encode(const struct prompt_form *form, struct utf8_span prompt,
                          struct strbuf *text, struct token_list *ids) {
    return prompt_encode_solution(form, prompt, utf8_span(""), text, ids);
}

enum status prompt_messages(const struct prompt_form *form, const struct conversation *conversation,
                            int64_t count, struct chat_message **messages, int64_t *n) {
    const bool system = form->system != NULL && !conversation_has_role(conversation, TURN_SYSTEM);
    *messages = NULL;
    *n = 0;
    TRY(prompt_form_check_messages(form));
    TRY(memory_new(messages, count + 1, "conversation"));
    if (system)
        (*messages)[(*n)++] =
            (struct chat_message){.role = "system", .content = utf8_span(form->system)};
    for (int64_t i = 0; i < count; i++)
        (*messages)[(*n)++] = conversation_message(conversation, i);
    return STATUS_OK;
}

static enum status encode_messages(const struct prompt_form *form,
                                   const struct conversation *conversation, struct strbuf *text,
                                   struct token_list *ids) {
    const int64_t count = conversation_before_answer(conversation);
    const struct utf8_span user = conversation_last(conversation, count, TURN_USER);
    struct strbuf rendered = STRBUF_EMPTY;
    struct chat_message *messages = NULL;
    int64_t n;
    enum status status;
    if (count == 0)
        return FAIL(STATUS_INPUT, "the conversation has no turn before the assistant's");
    TRY_ELSE(status, done, prompt_messages(form, conversation, count, &messages, &n));
    TRY_ELSE(status, done, strbuf_append(text, user.text, user.length));
    TRY_ELSE(status, done,
             chat_render(form->style, messages, n, true, form->thinking, form->date, &rendered));
    TRY_ELSE(
        status, done,
        tokenizer_encode(form->tokenizer, strbuf_text(&rendered), rendered.length, false, ids));
done:
    strbuf_release(&rendered);
    memory_release(&messages);
    return status;
}

enum status prompt_encode_item(const struct prompt_form *form, const struct dataset_item *item,
                               struct strbuf *text, struct token_list *ids) {
    if (item->conversation.count > 0)
        return encode_messages(form, &item->conversation, text, ids);
    return prompt_encode_solution(form, (struct utf8_span){item->prompt, item->prompt_length},
                                  (struct utf8_span){item->solution, item->solution_length}, text,
                                  ids);
}

/* One token, or added tokens one after another: not what an ordinary text breaks into. */
static enum status find_tokens(const struct prompt_form *form, const char *text, bool *found,
                               struct token_list *out) {
    const int64_t before = out->count;
    TRY(tokenizer_encode(form->tokenizer, text, strlen(text), false, out));
    *found = out->count > before;
    for (int64_t i = before; i < out->count && out->count > before + 1; i++)
        *found = *found && tokenizer_is_added(form->tokenizer, out->ids[i]);
    return STATUS_OK;
}

enum status prompt_find_end(const struct prompt_form *form, const char *wanted,
                            const int32_t *stop_ids, int64_t stop_id_count,
                            struct token_list *end) {
    char quote[STATUS_QUOTE_MAX];
    const char *turn_end = chat_turn_end(form->style);
    const char *text = wanted != NULL ? wanted : turn_end;
    const int32_t eos = tokenizer_end(form->tokenizer);
    if (text == NULL && eos < 0 && stop_id_count == 0)
        return FAIL(
            STATUS_INPUT,
            "nothing says what ends an answer: the tokenizer has no eos_token, the model no "
            "eos_token_id; set prompt.answer_end to a token of the model");
    if (text == NULL)
        return token_list_append(end, eos >= 0 ? &eos : stop_ids, 1);
    bool found;
    TRY(find_tokens(form, text, &found, end));
    if (found)
        return STATUS_OK;
    status_quote(quote, text, SIZE_MAX);
    if (wanted != NULL)
        return FAIL(STATUS_INPUT, "prompt.answer_end = \"%s\" is no token of the model", quote);
    return FAIL(STATUS_INPUT,
                "the chat form ends a turn with \"%s\", which is no token of the model: choose "
                "another prompt.chat, or set prompt.answer_end to a token of the model",
                quote);
}

enum status prompt_encode_answer(const struct prompt_form *form, struct utf8_span answer,
                                 struct strbuf *text, struct token_list *ids) {
    const size_t begin = text->length;
    TRY(chat_render_answer(form->style, answer, form->thinking, text));
    TRY(tokenizer_encode(form->tokenizer, strbuf_text(text) + begin, text->length - begin, false,
                         ids));
    if (form->answer_end == NULL)
        return STATUS_OK;
    return token_list_append(ids, form->answer_end->ids, form->answer_end->count);
}

enum status prompt_is_short(void *context, const struct dataset *dataset,
                            const struct dataset_item *item, bool *kept) {
    struct prompt_limit *limit = context;
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    const enum status status = prompt_encode_item(limit->form, item, &text, &ids);
    *kept = ids.count <= limit->max_tokens;
    if (*kept && ids.count > limit->longest)
        limit->longest = ids.count;
    limit->begun_twice += ids.count > 1 && ids.ids[0] == ids.ids[1] &&
                          tokenizer_is_added(limit->form->tokenizer, ids.ids[0]);
    limit->own_system +=
        limit->form->system != NULL && conversation_has_role(&item->conversation, TURN_SYSTEM);
    strbuf_release(&text);
    memory_release(&ids.ids);
    return status == STATUS_OK ? status : dataset_place(status, dataset->path, item->row);
}
