/* SPDX-License-Identifier: Apache-2.0 */
#include "text/vocabulary.h"

#include <string.h>

#include "base/memory.h"
#include "text/hash.h"

#define LABEL "vocabulary"

enum status vocabulary_init(struct vocabulary *vocabulary, size_t tokens, int32_t size) {
    *vocabulary = (struct vocabulary){.size = size, .place_count = hash_places(tokens + 1)};
    vocabulary->token_limit = tokens;
    TRY(memory_new(&vocabulary->tokens, size, LABEL));
    return memory_new(&vocabulary->places, vocabulary->place_count, LABEL);
}

void vocabulary_release(struct vocabulary *vocabulary) {
    strbuf_release(&vocabulary->texts);
    memory_release(&vocabulary->tokens);
    memory_release(&vocabulary->places);
}

/* The place of a text, or the free place where it belongs. A place holds id + 1, 0 when free. */
static size_t find_place(const struct vocabulary *vocabulary, const char *text, size_t length) {
    const size_t mask = vocabulary->place_count - 1;
    size_t place = hash_bytes(text, length) & mask;
    for (;; place = (place + 1) & mask) {
        const int32_t id = vocabulary->places[place] - 1;
        if (id < 0)
            return place;
        const struct vocabulary_token *token = &vocabulary->tokens[id];
        if (token->length == length &&
            memcmp(vocabulary->texts.text + token->start, text, length) == 0)
            return place;
    }
}

enum status vocabulary_add(struct vocabulary *vocabulary, const char *text, size_t length,
                           int32_t id, bool *added) {
    ASSERT(id >= 0 && id < vocabulary->size && length < UINT32_MAX);
    const size_t place = find_place(vocabulary, text, length);
    *added = length > 0 && vocabulary->places[place] == 0 && vocabulary->tokens[id].length == 0;
    if (!*added)
        return STATUS_OK;
    ASSERT(vocabulary->token_count < vocabulary->token_limit);
    vocabulary->tokens[id] =
        (struct vocabulary_token){.start = vocabulary->texts.length, .length = (uint32_t)length};
    vocabulary->places[place] = id + 1;
    vocabulary->token_count++;
    return strbuf_append(&vocabulary->texts, text, length);
}

int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length) {
    return vocabulary->places[find_place(vocabulary, text, length)] - 1;
}

int32_t vocabulary_find_model(const struct vocabulary *vocabulary, const char *text,
                              size_t length) {
    const int32_t id = vocabulary_find(vocabulary, text, length);
    return id >= 0 && vocabulary->tokens[id].in_model ? id : -1;
}

bool vocabulary_has(const struct vocabulary *vocabulary, int32_t id) {
    return id >= 0 && id < vocabulary->size && vocabulary->tokens[id].length > 0;
}
