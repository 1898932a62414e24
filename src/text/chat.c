/* SPDX-License-Identifier: Apache-2.0
 *
 * The families' templates written as functions. What they leave to Jinja (trim, strip) is Python's.
 */
#include "text/chat.h"

#include <string.h>

#include "base/utf8.h"
#include "text/chat_known.h"

#define DEFAULT_DATE "26 Jul 2024" /* what Llama 3.1's template says when it is told no date */

enum status chat_resolve(enum chat_form form, const char *directory, struct chat_style *style) {
    *style = (struct chat_style){.form = form, .begin_token = form == CHAT_LLAMA3};
    if (form != CHAT_AUTO)
        return STATUS_OK;
    const enum status status = chat_known_find(directory, style);
    if (status != STATUS_OK)
        chat_release(style);
    return status;
}

void chat_release(struct chat_style *style) {
    strbuf_release(&style->text);
    *style = (struct chat_style){.form = CHAT_NONE};
}

static bool is_role(const struct chat_message *message, const char *role) {
    return strcmp(message->role, role) == 0;
}

/* ---- ChatML ------------------------------------------------------------------------------ */

#define CHATML_END "<|im_end|>"

static enum status append_span(struct utf8_span span, struct strbuf *out) {
    return strbuf_append(out, span.text, span.length);
}

static enum status append_chatml(const char *role, struct utf8_span content, struct strbuf *out) {
    TRY(strbuf_append_format(out, "<|im_start|>%s\n", role));
    TRY(append_span(content, out));
    return strbuf_append_text(out, CHATML_END "\n");
}

static enum status render_chatml(const struct chat_style *style,
                                 const struct chat_message *messages, int64_t count,
                                 struct strbuf *out) {
    if (style->default_system != NULL && !is_role(&messages[0], "system"))
        TRY(append_chatml("system", utf8_span(style->default_system), out));
    for (int64_t i = 0; i < count; i++)
        TRY(append_chatml(messages[i].role, messages[i].content, out));
    return STATUS_OK;
}

/* ---- Qwen3: ChatML in which an assistant's thoughts are kept after the last question only ---- */

static struct utf8_span strip_first_newlines(struct utf8_span span) {
    while (span.length > 0 && span.text[0] == '\n')
        span = (struct utf8_span){span.text + 1, span.length - 1};
    return span;
}

static struct utf8_span strip_newlines(struct utf8_span span) {
    span = strip_first_newlines(span);
    while (span.length > 0 && span.text[span.length - 1] == '\n')
        span.length--;
    return span;
}

static bool stands_at(struct utf8_span span, size_t at, const char *word) {
    const size_t length = strlen(word);
    return at <= span.length && length <= span.length - at &&
           memcmp(span.text + at, word, length) == 0;
}

/* The first or the last place of a word; SIZE_MAX when there is none. */
static size_t find_first(struct utf8_span span, const char *word) {
    for (size_t at = 0; at < span.length; at++)
        if (stands_at(span, at, word))
            return at;
    return SIZE_MAX;
}

static size_t find_last(struct utf8_span span, const char *word) {
    for (size_t at = span.length; at-- > 0;)
        if (stands_at(span, at, word))
            return at;
    return SIZE_MAX;
}

static struct utf8_span from_on(struct utf8_span span, size_t at) {
    return (struct utf8_span){span.text + at, span.length - at};
}

/* Splits "<think>thoughts</think>answer"; thoughts are empty where there is no "</think>". */
static void split_thoughts(struct utf8_span content, struct utf8_span *thoughts,
                           struct utf8_span *answer) {
    const size_t close = find_first(content, "</think>");
    *thoughts = (struct utf8_span){content.text, 0};
    *answer = content;
    if (close == SIZE_MAX)
        return;
    const struct utf8_span before = {content.text, close};
    const size_t open = find_last(before, "<think>");
    *thoughts =
        strip_newlines(open == SIZE_MAX ? before : from_on(before, open + strlen("<think>")));
    *answer =
        strip_first_newlines(from_on(content, find_last(content, "</think>") + strlen("</think>")));
}

static enum status append_thoughts(struct utf8_span thoughts, struct strbuf *out) {
    TRY(strbuf_append_text(out, "<think>\n"));
    TRY(append_span(thoughts, out));
    return strbuf_append_text(out, "\n</think>\n\n");
}

static enum status append_qwen3_turn(struct utf8_span content, bool after_query, bool last,
                                     struct strbuf *out) {
    struct utf8_span thoughts, answer;
    split_thoughts(content, &thoughts, &answer);
    TRY(strbuf_append_text(out, "<|im_start|>assistant\n"));
    if (after_query && (last || thoughts.length > 0)) {
        TRY(append_thoughts(thoughts, out));
        answer = strip_first_newlines(answer);
    }
    TRY(append_span(answer, out));
    return strbuf_append_text(out, CHATML_END "\n");
}

static enum status append_qwen3_answer(struct utf8_span content, bool thinking,
                                       struct strbuf *out) {
    struct utf8_span thoughts, answer;
    split_thoughts(content, &thoughts, &answer);
    if (!thinking && thoughts.length > 0)
        return FAIL(STATUS_INPUT, "the answer holds thoughts (</think>), but prompt.thinking is "
                                  "false: the prompt says that there are none");
    if (thinking)
        TRY(append_thoughts(thoughts, out));
    return append_span(strip_first_newlines(answer), out);
}

static bool is_tool_response(struct utf8_span content) {
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    return stands_at(content, 0, open) && content.length >= sizeof close - 1 &&
           stands_at(content, content.length - (sizeof close - 1), close);
}

static enum status render_qwen3(const struct chat_message *messages, int64_t count,
                                struct strbuf *out) {
    int64_t query = count - 1;
    for (int64_t i = count - 1; i >= 0; i--)
        if (is_role(&messages[i], "user") && !is_tool_response(messages[i].content)) {
            query = i;
            break;
        }
    for (int64_t i = 0; i < count; i++)
        if (is_role(&messages[i], "assistant"))
            TRY(append_qwen3_turn(messages[i].content, i > query, i + 1 == count, out));
        else
            TRY(append_chatml(messages[i].role, messages[i].content, out));
    return STATUS_OK;
}

/* ---- Llama 3 ------------------------------------------------------------------------------ */

#define LLAMA3_END "<|eot_id|>"

static enum status open_llama3(const char *role, struct strbuf *out) {
    return strbuf_append_format(out, "<|start_header_id|>%s<|end_header_id|>\n\n", role);
}

static enum status append_llama3(const char *role, struct utf8_span content, struct strbuf *out) {
    TRY(open_llama3(role, out));
    TRY(append_span(utf8_trim(content), out));
    return strbuf_append_text(out, LLAMA3_END);
}

static enum status render_llama3(const struct chat_style *style,
                                 const struct chat_message *messages, int64_t count,
                                 const char *date, struct strbuf *out) {
    if (style->begin_token)
        TRY(strbuf_append_text(out, "<|begin_of_text|>"));
    int64_t i = 0;
    if (style->llama3_date) {
        TRY(open_llama3("system", out));
        TRY(strbuf_append_format(out, "Cutting Knowledge Date: December 2023\nToday Date: %s\n\n",
                                 date != NULL ? date : DEFAULT_DATE));
        if (is_role(&messages[0], "system"))
            TRY(append_span(utf8_trim(messages[i++].content), out));
        TRY(strbuf_append_text(out, LLAMA3_END));
    }
    for (; i < count; i++)
        TRY(append_llama3(messages[i].role, messages[i].content, out));
    return STATUS_OK;
}

/* ---- all ----------------------------------------------------------------------------------- */

static enum status check_messages(const struct chat_message *messages, int64_t count) {
    char quote[STATUS_QUOTE_MAX];
    if (count < 1)
        return FAIL(STATUS_INPUT, "a conversation without messages cannot be rendered");
    for (int64_t i = 0; i < count; i++)
        if (!is_role(&messages[i], "system") && !is_role(&messages[i], "user") &&
            !is_role(&messages[i], "assistant"))
            return FAIL(STATUS_INPUT,
                        "message %lld has the role \"%s\"; system, user and assistant are known",
                        (long long)i, status_quote(quote, messages[i].role, SIZE_MAX));
    return STATUS_OK;
}

enum status chat_render(const struct chat_style *style, const struct chat_message *messages,
                        int64_t count, bool generation_prompt, bool thinking, const char *date,
                        struct strbuf *out) {
    TRY(check_messages(messages, count));
    switch (style->form) {
    case CHAT_NONE:
        for (int64_t i = 0; i < count; i++)
            TRY(append_span(messages[i].content, out));
        return STATUS_OK;
    case CHAT_CHATML:
        TRY(render_chatml(style, messages, count, out));
        return generation_prompt ? strbuf_append_text(out, "<|im_start|>assistant\n") : STATUS_OK;
    case CHAT_QWEN3:
        TRY(render_qwen3(messages, count, out));
        if (generation_prompt)
            TRY(strbuf_append_text(out, "<|im_start|>assistant\n"));
        return generation_prompt && !thinking ? strbuf_append_text(out, "<think>\n\n</think>\n\n")
                                              : STATUS_OK;
    case CHAT_LLAMA3:
        TRY(render_llama3(style, messages, count, date, out));
        return generation_prompt ? open_llama3("assistant", out) : STATUS_OK;
    case CHAT_AUTO:
        break;
    }
    return FAIL(STATUS_DEFECT, "a chat form was not resolved before use");
}

enum status chat_render_answer(const struct chat_style *style, struct utf8_span answer,
                               bool thinking, struct strbuf *out) {
    if (style->form == CHAT_QWEN3)
        return append_qwen3_answer(answer, thinking, out);
    return append_span(style->form == CHAT_LLAMA3 ? utf8_trim(answer) : answer, out);
}

const char *chat_turn_end(const struct chat_style *style) {
    if (style->form == CHAT_CHATML || style->form == CHAT_QWEN3)
        return CHATML_END;
    return style->form == CHAT_LLAMA3 ? LLAMA3_END : NULL;
}
