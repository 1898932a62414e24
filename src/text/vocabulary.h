/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of a tokenizer: text by id and id by text. Tokens of the model stand in byte-level
 * letters, added ones as they are; a token may be both.
 */
#ifndef TEXT_VOCABULARY_H
#define TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

/* An id at or above this is refused: no vocabulary is that large, and ids index arrays. */
#define VOCABULARY_IDS ((int32_t)1 << 22)

struct vocabulary_token {
    size_t start;    /* in `texts` */
    uint32_t length; /* 0: no token has this id */
    bool in_model, added, special;
};

struct vocabulary {
    struct strbuf texts;
    struct vocabulary_token *tokens;
    int32_t size; /* largest id + 1 */
    int32_t *places;
    size_t place_count, token_limit, token_count;
};

/* Makes room for at most `tokens` tokens with ids below `size`. */
enum status vocabulary_init(struct vocabulary *vocabulary, size_t tokens, int32_t size) MUST_USE;
void vocabulary_release(struct vocabulary *vocabulary);

/* Adds a token; false where its text or its id is taken (then nothing is added) or its text is
 * empty. */
enum status vocabulary_add(struct vocabulary *vocabulary, const char *text, size_t length,
                           int32_t id, bool *added) MUST_USE;

/* The id of a text, −1 when absent; the second looks at the model's tokens only. */
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length);
int32_t vocabulary_find_model(const struct vocabulary *vocabulary, const char *text, size_t length);

/* Whether a token has this id. */
bool vocabulary_has(const struct vocabulary *vocabulary, int32_t id);

#endif
