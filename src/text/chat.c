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

static enum status append_chatml(const char *role, const char *content, struct strbuf *out) {
    return strbuf_append_format(out, "<|im_start|>%s\n%s<|im_end|>\n", role, content);
}

static enum status render_chatml(const struct chat_style *style,
                                 const struct chat_message *messages, int64_t count,
                                 struct strbuf *out) {
    if (style->default_system != NULL && !is_role(&messages[0], "system"))
        TRY(append_chatml("system", style->default_system, out));
    for (int64_t i = 0; i < count; i++)
        TRY(append_chatml(messages[i].role, messages[i].content, out));
    return STATUS_OK;
}

/* ---- Qwen3: ChatML in which an assistant's thoughts are kept after the last question only ---- */

struct span {
    const char *start, *stop;
};

static struct span strip_newlines(struct span span) {
    while (span.start < span.stop && *span.start == '\n')
        span.start++;
    while (span.start < span.stop && span.stop[-1] == '\n')
        span.stop--;
    return span;
}

static const char *find_last(const char *text, const char *stop, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = stop - length; at >= text; at--)
        if (strncmp(at, word, length) == 0)
            return at;
    return NULL;
}

/* Splits "<think>thoughts</think>answer"; thoughts are empty where there is no "</think>". */
static void split_thoughts(const char *content, struct span *thoughts, struct span *answer) {
    const char *const end = content + strlen(content);
    const char *close = strstr(content, "</think>");
    *thoughts = (struct span){content, content};
    *answer = (struct span){content, end};
    if (close == NULL)
        return;
    const char *open = find_last(content, close, "<think>");
    thoughts->start = open != NULL ? open + strlen("<think>") : content;
    thoughts->stop = close;
    *thoughts = strip_newlines(*thoughts);
    answer->start = find_last(content, end, "</think>") + strlen("</think>");
    while (*answer->start == '\n')
        answer->start++;
}

static enum status append_qwen3_answer(const char *content, bool after_query, bool last,
                                       struct strbuf *out) {
    struct span thoughts, answer;
    split_thoughts(content, &thoughts, &answer);
    TRY(strbuf_append_text(out, "<|im_start|>assistant\n"));
    if (after_query && (last || thoughts.start < thoughts.stop)) {
        TRY(strbuf_append_text(out, "<think>\n"));
        TRY(strbuf_append(out, thoughts.start, (size_t)(thoughts.stop - thoughts.start)));
        TRY(strbuf_append_text(out, "\n</think>\n\n"));
        while (*answer.start == '\n')
            answer.start++;
    }
    TRY(strbuf_append(out, answer.start, (size_t)(answer.stop - answer.start)));
    return strbuf_append_text(out, "<|im_end|>\n");
}

static bool is_tool_response(const char *content) {
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    const size_t length = strlen(content);
    return strncmp(content, open, sizeof open - 1) == 0 && length >= sizeof close - 1 &&
           strcmp(content + length - (sizeof close - 1), close) == 0;
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
            TRY(append_qwen3_answer(messages[i].content, i > query, i + 1 == count, out));
        else
            TRY(append_chatml(messages[i].role, messages[i].content, out));
    return STATUS_OK;
}

/* ---- Llama 3 ------------------------------------------------------------------------------ */

static enum status append_trimmed(const char *text, struct strbuf *out) {
    const struct utf8_span span = utf8_trim((struct utf8_span){text, strlen(text)});
    return strbuf_append(out, span.text, span.length);
}

static enum status open_llama3(const char *role, struct strbuf *out) {
    return strbuf_append_format(out, "<|start_header_id|>%s<|end_header_id|>\n\n", role);
}

static enum status append_llama3(const char *role, const char *content, struct strbuf *out) {
    TRY(open_llama3(role, out));
    TRY(append_trimmed(content, out));
    return strbuf_append_text(out, "<|eot_id|>");
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
            TRY(append_trimmed(messages[i++].content, out));
        TRY(strbuf_append_text(out, "<|eot_id|>"));
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
            TRY(strbuf_append_text(out, messages[i].content));
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
