/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/letters.h"
#include "text/parts.h"
#include "text/unicode.h"

static enum status read_files(struct tokenizer *tokenizer, const char *directory,
                              const char *const *contents, int64_t count) {
    struct strbuf path = STRBUF_EMPTY;
    struct tokenizer_config beside = {.directory = NULL};
    enum status status;
    TRY_ELSE(status, done, strbuf_append_format(&path, "%s/tokenizer.json", directory));
    TRY_ELSE(status, done, tokenizer_config_open(&beside, directory));
    beside.more = contents;
    beside.more_count = count;
    TRY_ELSE(status, done, parts_read(tokenizer, path.text, &beside));
    const char *end = tokenizer_config_token(&beside, "eos_token");
    tokenizer->end = end != NULL ? tokenizer_find(tokenizer, end) : -1;
    tokenizer->id_limit = INT32_MAX;
done:
    tokenizer_config_close(&beside);
    strbuf_release(&path);
    return status;
}

enum status tokenizer_open(struct tokenizer **tokenizer, const char *directory) {
    return tokenizer_open_with(tokenizer, directory, NULL, 0);
}

enum status tokenizer_open_with(struct tokenizer **tokenizer, const char *directory,
                                const char *const *contents, int64_t count) {
    *tokenizer = NULL;
    TRY(memory_new(tokenizer, 1, "tokenizer"));
    const enum status status = read_files(*tokenizer, directory, contents, count);
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
    memory_release(&t->further.ids);
    strbuf_release(&t->repaired);
    strbuf_release(&t->composed);
    memory_release(tokenizer);
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

/* An added token; one of a text may be none of the model's. */
static enum status take_added(struct encoding *encoding, int32_t id) {
    const struct tokenizer *t = encoding->tokenizer;
    char quote[STATUS_QUOTE_MAX];
    if (id < t->id_limit)
        return token_list_append(encoding->out, &id, 1);
    const struct vocabulary_token *token = &t->vocabulary.tokens[id];
    return FAIL(STATUS_INPUT,
                "a text holds the added token \"%s\" with the id %d, but the model's vocabulary "
                "ends at %d",
                status_quote(quote, t->vocabulary.texts.text + token->start, token->length), id,
                t->id_limit - 1);
}

/* A part in normal form. */
static enum status encode_normal(void *context, const char *part, size_t length, int32_t id) {
    struct encoding *encoding = context;
    if (id >= 0)
        return take_added(encoding, id);
    return splitter_run(&encoding->tokenizer->splitter, part, length, encode_piece, encoding);
}

/* A part of the text as it came. */
static enum status encode_raw(void *context, const char *part, size_t length, int32_t id) {
    struct encoding *encoding = context;
    struct tokenizer *t = encoding->tokenizer;
    if (id >= 0)
        return take_added(encoding, id);
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

int32_t tokenizer_own_size(const struct tokenizer *tokenizer) {
    return tokenizer->own_size < tokenizer->vocabulary.size ? tokenizer->own_size
                                                            : tokenizer->vocabulary.size;
}

const struct token_list *tokenizer_further(const struct tokenizer *tokenizer) {
    return &tokenizer->further;
}

const char *tokenizer_content(const struct tokenizer *tokenizer, int32_t id, size_t *length) {
    const struct vocabulary_token *token = &tokenizer->vocabulary.tokens[id];
    *length = token->length;
    return tokenizer->vocabulary.texts.text + token->start;
}

int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *token) {
    return vocabulary_find(&tokenizer->vocabulary, token, strlen(token));
}

bool tokenizer_is_added(const struct tokenizer *tokenizer, int32_t id) {
    return vocabulary_has(&tokenizer->vocabulary, id) && tokenizer->vocabulary.tokens[id].added;
}

int32_t tokenizer_end(const struct tokenizer *tokenizer) {
    return tokenizer->end;
}

static bool all_below(const struct token_list *list, int64_t ids) {
    for (int64_t i = 0; i < list->count; i++)
        if (list->ids[i] >= ids)
            return false;
    return true;
}

enum status tokenizer_fit(struct tokenizer *tokenizer, int64_t ids, const char *path) {
    const struct vocabulary *vocabulary = &tokenizer->vocabulary;
    int32_t largest = 0;
    for (int32_t id = 0; id < vocabulary->size; id++)
        if (vocabulary->tokens[id].in_model)
            largest = id;
    if (largest >= ids || !all_below(&tokenizer->before, ids) || !all_below(&tokenizer->after, ids))
        return FAIL(STATUS_INPUT,
                    "%s: tokenizer.json has ids up to %d, but the model's vocabulary ends at %lld: "
                    "they do not belong together",
                    path, vocabulary->size - 1, (long long)ids - 1);
    tokenizer->id_limit = ids < INT32_MAX ? (int32_t)ids : INT32_MAX;
    return STATUS_OK;
}
