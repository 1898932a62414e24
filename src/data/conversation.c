/* SPDX-License-Identifier: Apache-2.0 */
#include "data/conversation.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

static const char *const role_names[] = {
    [TURN_SYSTEM] = "system", [TURN_USER] = "user", [TURN_ASSISTANT] = "assistant"};
enum { ROLES = sizeof role_names / sizeof *role_names };

/* A message of the list, for sentences: "messages[2]". */
struct place {
    const char *name;
    long long index;
};

static const char *place_text(const struct place *place, char out[STATUS_QUOTE_MAX + 32]) {
    char quote[STATUS_QUOTE_MAX];
    snprintf(out, STATUS_QUOTE_MAX + 32, "%s[%lld]", status_quote(quote, place->name, SIZE_MAX),
             place->index);
    return out;
}

static enum status wrong(const struct place *place, const char *what) {
    char at[STATUS_QUOTE_MAX + 32];
    return FAIL(STATUS_INPUT, "%s %s", place_text(place, at), what);
}

static enum status read_role(const json_t *message, const struct place *place,
                             enum turn_role *role) {
    const json_t *value = json_object_get(message, "role");
    char at[STATUS_QUOTE_MAX + 32], quote[STATUS_QUOTE_MAX];
    if (!json_is_string(value))
        return wrong(place, value == NULL ? "has no role" : "has a role that is not a text");
    for (int i = 0; i < ROLES; i++)
        if (strcmp(json_string_value(value), role_names[i]) == 0) {
            *role = (enum turn_role)i;
            return STATUS_OK;
        }
    return FAIL(STATUS_INPUT, "%s has the role \"%s\"; system, user and assistant are known",
                place_text(place, at),
                status_quote(quote, json_string_value(value), json_string_length(value)));
}

/* {"type": "text", "text": …}: other kinds are named. */
static enum status append_part(const json_t *part, const struct place *place, struct strbuf *out) {
    const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");
    char at[STATUS_QUOTE_MAX + 32], quote[STATUS_QUOTE_MAX];
    if (!json_is_string(type))
        return wrong(place, "has a part of its content without a type");
    if (strcmp(json_string_value(type), "text") != 0)
        return FAIL(STATUS_INPUT, "%s has a part of type \"%s\"; only text can be read",
                    place_text(place, at),
                    status_quote(quote, json_string_value(type), json_string_length(type)));
    if (!json_is_string(text))
        return wrong(place, "has a part of type \"text\" without a text");
    return strbuf_append(out, json_string_value(text), json_string_length(text));
}

static enum status append_content(const json_t *content, const struct place *place,
                                  struct strbuf *out) {
    if (json_is_string(content))
        return strbuf_append(out, json_string_value(content), json_string_length(content));
    if (content == NULL)
        return wrong(place, "has no content");
    if (json_is_null(content))
        return wrong(place, "has null as content");
    if (!json_is_array(content))
        return wrong(place, "has a content that is neither a text nor a list of parts");
    for (size_t i = 0; i < json_array_size(content); i++)
        TRY(append_part(json_array_get(content, i), place, out));
    return STATUS_OK;
}

/* datasets writes a field that only some messages have as null into the others. */
static bool is_there(const json_t *value) {
    return value != NULL && !json_is_null(value) &&
           !(json_is_array(value) && json_array_size(value) == 0);
}

static enum status read_reasoning(const json_t *message, const struct place *place,
                                  struct turn *turn, struct strbuf *texts) {
    const json_t *value = json_object_get(message, "reasoning_content");
    if (value == NULL || json_is_null(value) || turn->role != TURN_ASSISTANT)
        return STATUS_OK;
    if (!json_is_string(value))
        return wrong(place, "has a reasoning_content that is not a text");
    turn->has_reasoning = true;
    turn->reasoning = texts->length;
    turn->reasoning_length = json_string_length(value);
    return strbuf_append(texts, json_string_value(value), turn->reasoning_length);
}

static enum status read_turn(const json_t *message, const struct place *place, struct turn *turn,
                             struct strbuf *texts) {
    if (!json_is_object(message))
        return wrong(place, "is not an object with role and content");
    TRY(read_role(message, place, &turn->role));
    if (is_there(json_object_get(message, "tool_calls")))
        return wrong(place, "holds tool_calls, which no chat form writes");
    turn->content = texts->length;
    TRY(append_content(json_object_get(message, "content"), place, texts));
    turn->content_length = texts->length - turn->content;
    return read_reasoning(message, place, turn, texts);
}

static enum status add_turn(struct turn_list *list, struct turn turn) {
    if (list->count == list->capacity) {
        const int64_t capacity = 2 * list->capacity + 16;
        TRY(memory_grow(&list->turns, capacity, "turns of conversations"));
        list->capacity = capacity;
    }
    list->turns[list->count++] = turn;
    return STATUS_OK;
}

enum status conversation_read(const json_t *list, const char *name, struct turn_list *turns,
                              struct strbuf *texts) {
    char quote[STATUS_QUOTE_MAX];
    if (!json_is_array(list) || json_array_size(list) == 0)
        return FAIL(STATUS_INPUT, "field \"%s\" is %s", status_quote(quote, name, SIZE_MAX),
                    json_is_array(list) ? "an empty list" : "not a list of messages");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct place place = {name, (long long)i};
        struct turn turn = {.role = TURN_USER};
        TRY(read_turn(json_array_get(list, i), &place, &turn, texts));
        TRY(add_turn(turns, turn));
    }
    return STATUS_OK;
}

struct chat_message conversation_message(const struct conversation *conversation, int64_t i) {
    ASSERT(i >= 0 && i < conversation->count);
    const struct turn *turn = &conversation->turns[i];
    struct chat_message message = {
        .role = role_names[turn->role],
        .content = {conversation->texts + turn->content, turn->content_length}};
    if (turn->has_reasoning)
        message.reasoning =
            (struct utf8_span){conversation->texts + turn->reasoning, turn->reasoning_length};
    return message;
}

bool conversation_has_role(const struct conversation *conversation, enum turn_role role) {
    for (int64_t i = 0; i < conversation->count; i++)
        if (conversation->turns[i].role == role)
            return true;
    return false;
}

int64_t conversation_before_answer(const struct conversation *conversation) {
    const int64_t n = conversation->count;
    return n > 0 && conversation->turns[n - 1].role == TURN_ASSISTANT ? n - 1 : n;
}

struct utf8_span conversation_last(const struct conversation *conversation, int64_t count,
                                   enum turn_role role) {
    for (int64_t i = count - 1; i >= 0; i--)
        if (conversation->turns[i].role == role)
            return conversation_message(conversation, i).content;
    return utf8_span("");
}
