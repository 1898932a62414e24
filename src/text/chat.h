/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat forms: the text that a family's template makes of a conversation. `auto` recognises the
 * model's own template (tokenizer_config.json's chat_template as text or list, or
 * chat_template.jinja) and refuses one that it does not know, naming prompt.chat (design, section
 * 9).
 */
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "text/chat_style.h"

struct chat_message {
    const char *role;
    struct utf8_span content;   /* any characters, zero too */
    struct utf8_span reasoning; /* an assistant's reasoning_content; text NULL: it has none */
};

/* Where a text stands in a rendered conversation. */
struct chat_place {
    size_t begin, end;
};

/* Resolves a form for the model directory; CHAT_AUTO looks at the template. The caller releases
 * *style. */
enum status chat_resolve(enum chat_form form, const char *directory,
                         struct chat_style *style) MUST_USE;
void chat_release(struct chat_style *style);

/* Appends the rendered conversation; with generation_prompt the head of the assistant's turn.
 * thinking: Qwen3's switch. */
enum status chat_render(const struct chat_style *style, const struct chat_message *messages,
                        int64_t count, bool generation_prompt, bool thinking, const char *date,
                        struct strbuf *out) MUST_USE;

/* Appends the conversation as chat_render does without a generation prompt. places[i] is where the
 * i-th message, if it is an assistant's, stands in *out: from what a generation prompt would have
 * ended with to what ends the turn. STATUS_INPUT for thoughts without thinking, as below. */
enum status chat_render_places(const struct chat_style *style, const struct chat_message *messages,
                               int64_t count, bool thinking, const char *date, struct strbuf *out,
                               struct chat_place *places) MUST_USE;

/* Appends an answer as the template writes it between the head of the assistant's turn, which a
 * generation prompt ends with, and what ends the turn. STATUS_INPUT for thoughts in an answer whose
 * head says that there are none (Qwen3 without thinking). */
enum status chat_render_answer(const struct chat_style *style, struct utf8_span answer,
                               bool thinking, struct strbuf *out) MUST_USE;

/* The token that ends a turn; NULL without a chat form. */
const char *chat_turn_end(const struct chat_style *style);

#endif
