/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/letters.h"
#include "text/parts.h"
#include "text/unicode.h"

enum status tokenizer_open(struct tokenizer **tokenizer, const char *directory) {
    struct strbuf path = STRBUF_EMPTY;
    *tokenizer = NULL;
    TRY(memory_new(tokenizer, 1, "tokenizer"));
    enum status status = strbuf_append_format(&path, "%s/tokenizer.json", directory);
    if (status == STATUS_OK)
        status = parts_read(*tokenizer, strbuf_text(&path));
    strbuf_release(&path);
    if (status != STATUS_OK)
        tokenizer_destroy(tokenizer);
    return status;
}

void tokenizer_destroy(struct tokenizer **tokenizer) {
    struct tokenizer *t = *tokenizer;
    if (t == NULL)
        return;
    vocabulary_release(&t->vocabulary);
    bpe_release(&t->bpe);
    splitter_release(&t->splitter);
    added_set_release(&t->raw);
    added_set_release(&t->normal);
    memory_release(&t->before.ids);
    memory_release(&t->after.ids);
    strbuf_release(&t->repaired);
    strbuf_release(&t->composed);
    memory_release(tokenizer);
}

enum status token_list_append(struct token_list *list, const int32_t *ids, int64_t count) {
    const int64_t need = list->count + count;
    if (need > list->capacity) {
        const int64_t capacity = need < 2 * list->capacity ? 2 * list->capacity : need + 64;
        TRY(memory_grow(&list->ids, capacity, "token ids"));
        list->capacity = capacity;
    }
    if (count > 0)
        memcpy(list->ids + list->count, ids, (size_t)count * sizeof *ids);
    list->count = need;
    return STATUS_OK;
}

struct encoding {
    struct tokenizer *tokenizer;
    struct token_list *out;
};

static enum status encode_piece(void *context, const char *piece, size_t length) {
    struct encoding *encoding = context;
    return bpe_encode(&encoding->tokenizer->bpe, &encoding->tokenizer->vocabulary, piece, length,
                      encoding->out);
}

/* A part in normal form. */
static enum status encode_normal(void *context, const char *part, size_t length, int32_t id) {
    struct encoding *encoding = context;
    if (id >= 0)
        return token_list_append(encoding->out, &id, 1);
    return splitter_run(&encoding->tokenizer->splitter, part, length, encode_piece, encoding);
}

/* A part of the text as it came. */
static enum status encode_raw(void *context, const char *part, size_t length, int32_t id) {
    struct encoding *encoding = context;
    struct tokenizer *t = encoding->tokenizer;
    if (id >= 0)
        return token_list_append(encoding->out, &id, 1);
    if (t->compose && !unicode_is_plain(part, length)) {
        strbuf_clear(&t->composed);
        TRY(unicode_compose(part, length, &t->composed));
        part = t->composed.text;
        length = t->composed.length;
    }
    return added_set_split(&t->normal, part, length, encode_normal, encoding);
}

enum status tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t length,
                             bool special, struct token_list *out) {
    struct encoding encoding = {.tokenizer = tokenizer, .out = out};
    if (!utf8_is_valid(text, length)) {
        strbuf_clear(&tokenizer->repaired);
        TRY(utf8_repair(text, length, &tokenizer->repaired));
        text = tokenizer->repaired.text;
        length = tokenizer->repaired.length;
    }
    if (special)
        TRY(token_list_append(out, tokenizer->before.ids, tokenizer->before.count));
    TRY(added_set_split(&tokenizer->raw, text, length, encode_raw, &encoding));
    return special ? token_list_append(out, tokenizer->after.ids, tokenizer->after.count)
                   : STATUS_OK;
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, int64_t count,
                             bool keep_special, struct strbuf *out) {
    const struct vocabulary *vocabulary = &tokenizer->vocabulary;
    struct strbuf bytes = STRBUF_EMPTY;
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < count && status == STATUS_OK; i++) {
        const bool known = vocabulary_has(vocabulary, ids[i]);
        if (!known && !keep_special)
            continue;
        if (!known) {
            status = FAIL(STATUS_INPUT, "token id %d is outside the vocabulary (0 to %d)", ids[i],
                          vocabulary->size - 1);
            break;
        }
        const struct vocabulary_token *token = &vocabulary->tokens[ids[i]];
        if (keep_special || !token->special)
            status = letters_to_bytes(vocabulary->texts.text + token->start, token->length, &bytes);
    }
    if (status == STATUS_OK)
        status = utf8_repair(strbuf_text(&bytes), bytes.length, out);
    strbuf_release(&bytes);
    return status;
}

int32_t tokenizer_size(const struct tokenizer *tokenizer) {
    return tokenizer->vocabulary.size;
}

int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *token) {
    return vocabulary_find(&tokenizer->vocabulary, token, strlen(token));
}
