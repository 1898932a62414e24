/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompt, answer and what ends it, one after another, are the ids of transformers'
 * apply_chat_template up to the end of the assistant's turn (tests/data/text/make_sft.py), and the
 * text that chat_render makes of the whole conversation.
 */
#include "unit/data/styles.h"

#include "base/memory.h"
#include "data/prompt.h"

static void check_ids(const struct token_list *ids, const json_t *row) {
    const json_t *want = json_object_get(row, "ids");
    bool equal = ids->count == (int64_t)json_array_size(want);
    for (int64_t i = 0; equal && i < ids->count; i++)
        equal = ids->ids[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (!equal)
        CHECK_FAILED("%s: other ids for the answer \"%s\" (%lld, expected %zu)",
                     text_of(row, "template"), text_of(row, "answer"), (long long)ids->count,
                     json_array_size(want));
}

/* What the model reads is a prefix of the rendered conversation. */
static void check_rendered(const struct prompt_form *form, const struct chat_message *turns,
                           int64_t count, const struct token_list *ids) {
    struct strbuf whole = STRBUF_EMPTY, read = STRBUF_EMPTY;
    CHECK_OK(chat_render(form->style, turns, count, false, form->thinking, form->date, &whole));
    CHECK_OK(tokenizer_decode(form->tokenizer, ids->ids, ids->count, true, &read));
    CHECK(strncmp(strbuf_text(&whole), strbuf_text(&read), read.length) == 0);
    strbuf_release(&whole);
    strbuf_release(&read);
}

static void check_row(const json_t *stored, const json_t *row) {
    const json_t *messages = json_object_get(row, "messages");
    const size_t users = json_array_size(messages);
    struct chat_style style;
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {.ids = NULL}, end = {.ids = NULL};
    struct strbuf text = STRBUF_EMPTY;
    struct chat_message turns[3];
    char folder[128];
    snprintf(folder, sizeof folder, DATA "%s", text_of(row, "base"));
    CHECK_OK(tokenizer_open(&tokenizer, folder));
    find_style(stored, text_of(row, "template"), &style);
    for (size_t i = 0; i < users; i++)
        turns[i] = (struct chat_message){
            .role = json_string_value(json_array_get(json_array_get(messages, i), 0)),
            .content =
                utf8_span(json_string_value(json_array_get(json_array_get(messages, i), 1)))};
    turns[users] =
        (struct chat_message){.role = "assistant", .content = utf8_span(text_of(row, "answer"))};
    struct prompt_form form = {.template_text = "{prompt}",
                               .system = users == 2 ? turns[0].content.text : NULL,
                               .style = &style,
                               .thinking = json_is_true(json_object_get(row, "thinking")),
                               .date = "26 Jul 2024",
                               .tokenizer = tokenizer};
    const int32_t other = 7;
    CHECK_OK(prompt_find_end(&form, NULL, &other, 1, &end));
    CHECK_EQ(end.count, 1);
    CHECK_EQ(end.ids[0], tokenizer_find(tokenizer, text_of(row, "end")));
    form.answer_end = &end;
    CHECK_OK(prompt_encode(&form, turns[users - 1].content, &text, &ids));
    CHECK_OK(prompt_encode_answer(&form, turns[users].content, &text, &ids));
    check_ids(&ids, row);
    check_rendered(&form, turns, (int64_t)users + 1, &ids);
    chat_release(&style);
    tokenizer_destroy(&tokenizer);
    memory_release(&ids.ids);
    memory_release(&end.ids);
    strbuf_release(&text);
}

/* Thoughts in an answer whose prompt says that there are none. */
static void check_thoughts(void) {
    const struct chat_style style = {.form = CHAT_QWEN3};
    struct strbuf text = STRBUF_EMPTY;
    CHECK_STATUS(chat_render_answer(&style, utf8_span("<think>t</think>5"), false, &text),
                 STATUS_INPUT, "prompt.thinking");
    CHECK_OK(chat_render_answer(&style, utf8_span("<think></think>5"), false, &text));
    CHECK_TEXT(strbuf_text(&text), "5");
    strbuf_release(&text);
}

/* A zero character is a character like any other. */
static void check_zero(void) {
    const struct chat_style styles[] = {
        {.form = CHAT_NONE}, {.form = CHAT_CHATML}, {.form = CHAT_QWEN3}, {.form = CHAT_LLAMA3}};
    static const char *const want[] = {
        "a\0b", "<|im_start|>user\na\0b<|im_end|>\n", "<|im_start|>user\na\0b<|im_end|>\n",
        "<|start_header_id|>user<|end_header_id|>\n\na\0b<|eot_id|>"};
    static const size_t lengths[] = {3, 31, 31, 55};
    const struct chat_message turn = {.role = "user", .content = {"a\0b", 3}};
    for (size_t i = 0; i < 4; i++) {
        struct strbuf text = STRBUF_EMPTY;
        CHECK_OK(chat_render(&styles[i], &turn, 1, false, true, NULL, &text));
        CHECK_EQ(text.length, lengths[i]);
        CHECK(text.length == lengths[i] && memcmp(text.text, want[i], lengths[i]) == 0);
        strbuf_release(&text);
    }
}

int main(void) {
    json_t *stored = styles_load(DATA "chat.json"), *rows = styles_load(DATA "sft.json"), *row;
    size_t i;
    CHECK(json_array_size(rows) > 90);
    json_array_foreach(rows, i, row) check_row(stored, row);
    check_thoughts();
    check_zero();
    json_decref(rows);
    json_decref(stored);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
