/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations as data sets hold them: a list of messages, each with a role and a content. Texts
 * are kept in a buffer of the owner's, so that reading many rows allocates little.
 */
#ifndef DATA_CONVERSATION_H
#define DATA_CONVERSATION_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "text/chat.h"

enum turn_role { TURN_SYSTEM, TURN_USER, TURN_ASSISTANT };

struct turn {
    enum turn_role role;
    bool has_reasoning;
    size_t content, content_length; /* offset into the buffer, bytes */
    size_t reasoning, reasoning_length;
};

/* Grows; begins zeroed, memory_release(&list.turns). */
struct turn_list {
    struct turn *turns;
    int64_t count, capacity;
};

/* The turns of one row; turns and texts are borrowed. count 0: the row is no conversation. */
struct conversation {
    const struct turn *turns;
    int64_t count;
    const char *texts;
};

/* Appends the messages of `list`, the row's field `name`, and their texts. Read are `role` (system,
 * user, assistant), `content` (a text, or a list of {"type": "text", "text": …}, joined) and an
 * assistant's `reasoning_content` (a text or null). A STATUS_INPUT sentence names the message for
 * anything else, an empty list, and for `tool_calls`, which no chat form writes; what other fields
 * hold does not matter. */
enum status conversation_read(const json_t *list, const char *name, struct turn_list *turns,
                              struct strbuf *texts) MUST_USE;

/* The i-th message; its texts are those of the buffer. */
struct chat_message conversation_message(const struct conversation *conversation, int64_t i);

bool conversation_has_role(const struct conversation *conversation, enum turn_role role);

/* Turns that an answer follows: all but an assistant's at the end. */
int64_t conversation_before_answer(const struct conversation *conversation);

/* The content of the last turn of a role among the first `count`; text "" where there is none. */
struct utf8_span conversation_last(const struct conversation *conversation, int64_t count,
                                   enum turn_role role);

#endif
