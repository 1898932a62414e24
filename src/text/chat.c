/* SPDX-License-Identifier: Apache-2.0
 *
 * The families' templates written as functions. What they leave to Jinja (trim, strip) is Python's.
 */
#include "text/chat.h"

#include <string.h>

#include "base/memory.h"
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

/* Appends the content of a turn, then what ends it; *place is where the content stands. */
static enum status append_turn(struct utf8_span content, const char *end, struct strbuf *out,
                               struct chat_place *place) {
    place->begin = out->length;
    TRY(append_span(content, out));
    place->end = out->length;
    return strbuf_append_text(out, end);
}

static enum status append_chatml(const char *role, struct utf8_span content, struct strbuf *out,
                                 struct chat_place *place) {
    TRY(strbuf_append_format(out, "<|im_start|>%s\n", role));
    return append_turn(content, CHATML_END "\n", out, place);
}

static enum status render_chatml(const struct chat_style *style,
                                 const struct chat_message *messages, int64_t count,
                                 struct strbuf *out, struct chat_place *places) {
    struct chat_place unused;
    if (style->default_system != NULL && !is_role(&messages[0], "system"))
        TRY(append_chatml("system", utf8_span(style->default_system), out, &unused));
    for (int64_t i = 0; i < count; i++)
        TRY(append_chatml(messages[i].role, messages[i].content, out, &places[i]));
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

/* What the template takes for thoughts and answer of an assistant's message. */
static void thoughts_of(const struct chat_message *message, struct utf8_span *thoughts,
                        struct utf8_span *answer) {
    *thoughts = message->reasoning;
    *answer = message->content;
    if (message->reasoning.text == NULL)
        split_thoughts(message->content, thoughts, answer);
}

static enum status refuse_thoughts(void) {
    return FAIL(STATUS_INPUT, "the answer holds thoughts (</think>), but prompt.thinking is "
                              "false: the prompt says that there are none");
}

#define NO_THOUGHTS "<think>\n\n</think>\n\n"

static enum status append_qwen3_turn(const struct chat_message *message, bool after_query,
                                     bool last, struct strbuf *out, struct chat_place *place) {
    struct utf8_span thoughts, answer;
    thoughts_of(message, &thoughts, &answer);
    TRY(strbuf_append_text(out, "<|im_start|>assistant\n"));
    const size_t begin = out->length;
    if (after_query && (last || thoughts.length > 0)) {
        TRY(append_thoughts(strip_newlines(thoughts), out));
        answer = strip_first_newlines(answer);
    }
    TRY(append_turn(answer, CHATML_END "\n", out, place));
    place->begin = begin;
    return STATUS_OK;
}

static enum status append_qwen3_answer(struct utf8_span content, bool thinking,
                                       struct strbuf *out) {
    struct utf8_span thoughts, answer;
    split_thoughts(content, &thoughts, &answer);
    if (!thinking && thoughts.length > 0)
        return refuse_thoughts();
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
                                struct strbuf *out, struct chat_place *places) {
    int64_t query = count - 1;
    for (int64_t i = count - 1; i >= 0; i--)
        if (is_role(&messages[i], "user") && !is_tool_response(messages[i].content)) {
            query = i;
            break;
        }
    for (int64_t i = 0; i < count; i++)
        if (is_role(&messages[i], "assistant"))
            TRY(append_qwen3_turn(&messages[i], i > query, i + 1 == count, out, &places[i]));
        else
            TRY(append_chatml(messages[i].role, messages[i].content, out, &places[i]));
    return STATUS_OK;
}

/* Without thinking the generation prompt ends behind an empty think block. */
static enum status leave_no_thoughts(const struct strbuf *out, struct chat_place *place) {
    const struct utf8_span turn = {out->text + place->begin, place->end - place->begin};
    if (stands_at(turn, 0, NO_THOUGHTS))
        place->begin += strlen(NO_THOUGHTS);
    else if (stands_at(turn, 0, "<think>\n"))
        return refuse_thoughts();
    return STATUS_OK;
}

/* ---- Llama 3 ------------------------------------------------------------------------------ */

#define LLAMA3_END "<|eot_id|>"

static enum status open_llama3(const char *role, struct strbuf *out) {
    return strbuf_append_format(out, "<|start_header_id|>%s<|end_header_id|>\n\n", role);
}

static enum status append_llama3(const char *role, struct utf8_span content, struct strbuf *out,
                                 struct chat_place *place) {
    TRY(open_llama3(role, out));
    return append_turn(utf8_trim(content), LLAMA3_END, out, place);
}

static enum status render_llama3(const struct chat_style *style,
                                 const struct chat_message *messages, int64_t count,
                                 const char *date, struct strbuf *out, struct chat_place *places) {
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
        TRY(append_llama3(messages[i].role, messages[i].content, out, &places[i]));
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

static enum status render(const struct chat_style *style, const struct chat_message *messages,
                          int64_t count, const char *date, struct strbuf *out,
                          struct chat_place *places) {
    TRY(check_messages(messages, count));
    switch (style->form) {
    case CHAT_NONE:
        for (int64_t i = 0; i < count; i++)
            TRY(append_turn(messages[i].content, "", out, &places[i]));
        return STATUS_OK;
    case CHAT_CHATML:
        return render_chatml(style, messages, count, out, places);
    case CHAT_QWEN3:
        return render_qwen3(messages, count, out, places);
    case CHAT_LLAMA3:
        return render_llama3(style, messages, count, date, out, places);
    case CHAT_AUTO:
        break;
    }
    return FAIL(STATUS_DEFECT, "a chat form was not resolved before use");
}

static enum status append_generation_prompt(const struct chat_style *style, bool thinking,
                                            struct strbuf *out) {
    if (style->form == CHAT_LLAMA3)
        return open_llama3("assistant", out);
    if (style->form != CHAT_NONE)
        TRY(strbuf_append_text(out, "<|im_start|>assistant\n"));
    return style->form == CHAT_QWEN3 && !thinking ? strbuf_append_text(out, NO_THOUGHTS)
                                                  : STATUS_OK;
}

enum status chat_render(const struct chat_style *style, const struct chat_message *messages,
                        int64_t count, bool generation_prompt, bool thinking, const char *date,
                        struct strbuf *out) {
    struct chat_place *places;
    TRY(memory_new(&places, count > 0 ? count : 0, "conversation"));
    enum status status = render(style, messages, count, date, out, places);
    memory_release(&places);
    if (status == STATUS_OK && generation_prompt)
        status = append_generation_prompt(style, thinking, out);
    return status;
}

enum status chat_render_places(const struct chat_style *style, const struct chat_message *messages,
                               int64_t count, bool thinking, const char *date, struct strbuf *out,
                               struct chat_place *places) {
    TRY(render(style, messages, count, date, out, places));
    for (int64_t i = 0; i < count && style->form == CHAT_QWEN3 && !thinking; i++)
        if (is_role(&messages[i], "assistant"))
            TRY(leave_no_thoughts(out, &places[i]));
    return STATUS_OK;
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
