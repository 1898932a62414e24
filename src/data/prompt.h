/* SPDX-License-Identifier: Apache-2.0
 *
 * From a row's texts to the token ids that the model reads: template, chat form, tokenizer.
 */
#ifndef DATA_PROMPT_H
#define DATA_PROMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "data/dataset.h"
#include "text/chat.h"
#include "text/tokenizer.h"

/* How prompts are written; everything is borrowed. */
struct prompt_form {
    const char *template_text;      /* each place in it gives way to the row's prompt */
    const char *place;              /* NULL: {prompt} */
    bool solution;                  /* and each {solution} to the row's solution */
    const char *system;             /* NULL: no system turn; "": an empty one */
    const struct chat_style *style; /* resolved: its form is not CHAT_AUTO */
    bool thinking;                  /* as chat_render takes them */
    const char *date;
    struct tokenizer *tokenizer;
    const struct token_list *answer_end; /* what ends an answer given by the data; NULL: nothing */
};

/* STATUS_INPUT when a system text is given that the form has no place for (chat = "none"). */
enum status prompt_form_check(const struct prompt_form *form) MUST_USE;

/* Appends the user's text, the template filled in, to `text`, and to `ids` the tokens of the
 * conversation up to the head of the assistant's turn. Without a chat form these are the tokens of
 * the text as `tokenizer(text)` gives them. Fails where no token comes out. */
enum status prompt_encode(const struct prompt_form *form, struct utf8_span prompt,
                          struct strbuf *text, struct token_list *ids) MUST_USE;

/* STATUS_INPUT where rows with messages cannot be written (chat = "none"). */
enum status prompt_form_check_messages(const struct prompt_form *form) MUST_USE;

/* The first `count` turns of a conversation as the chat form takes them, before them prompt.system
 * where the conversation has no system turn of its own; the caller gives *messages back. */
enum status prompt_messages(const struct prompt_form *form, const struct conversation *conversation,
                            int64_t count, struct chat_message **messages, int64_t *n) MUST_USE;

/* As prompt_encode, with a text for {solution} where the form has that. */
enum status prompt_encode_solution(const struct prompt_form *form, struct utf8_span prompt,
                                   struct utf8_span solution, struct strbuf *text,
                                   struct token_list *ids) MUST_USE;

/* As prompt_encode, for what a row holds: its prompt, or its messages up to an assistant's turn at
 * the end, which stand as they are, without template; `text` takes the last user's turn of them. */
enum status prompt_encode_item(const struct prompt_form *form, const struct dataset_item *item,
                               struct strbuf *text, struct token_list *ids) MUST_USE;

/* Finds the tokens that end an answer (design, section 9, sft): those of the text `wanted` when it
 * is given (prompt.answer_end), else what the chat form writes after a turn, without a chat form
 * the tokenizer's eos_token, and where there is none the first stop id. Appends them to *end;
 * STATUS_INPUT where there are none, or where a text is no token of the model. */
enum status prompt_find_end(const struct prompt_form *form, const char *wanted,
                            const int32_t *stop_ids, int64_t stop_id_count,
                            struct token_list *end) MUST_USE;

/* Appends an answer as the model should have written it: to `text` as the chat form writes it, to
 * `ids` its tokens, encoded by itself without added tokens, and those of form->answer_end. */
enum status prompt_encode_answer(const struct prompt_form *form, struct utf8_span answer,
                                 struct strbuf *text, struct token_list *ids) MUST_USE;

/* For stream_options.keep, with a struct prompt_limit as context: keeps prompts of at most
 * max_tokens tokens, and notes the longest that it kept and how many begin with the same added
 * token twice: the text holds the begin token that the tokenizer puts before it; and how many rows
 * have a system turn that stands in place of prompt.system. */
struct prompt_limit {
    const struct prompt_form *form;
    int64_t max_tokens;
    int64_t longest, begun_twice, own_system;
};
enum status prompt_is_short(void *limit, const struct dataset *dataset,
                            const struct dataset_item *item, bool *kept) MUST_USE;

#endif
