/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "file/bytes.h"
#include "file/json_fields.h"
#include "text/vocabulary.h"

#define FILE_LIMIT ((int64_t)64 << 20)

/* The order in which transformers adds them. */
static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
enum { NAMES = sizeof names / sizeof *names };

static enum status read_object(const char *directory, const char *name, json_t **out) {
    struct strbuf path = STRBUF_EMPTY;
    *out = NULL;
    enum status status = strbuf_append_format(&path, "%s/%s", directory, name);
    if (status == STATUS_OK && bytes_is_file(path.text))
        status = json_read_tolerant(path.text, FILE_LIMIT, out);
    if (status == STATUS_OK && *out != NULL && !json_is_object(*out))
        status = FAIL(STATUS_INPUT, "%s: this is not an object", path.text);
    strbuf_release(&path);
    return status;
}

enum status tokenizer_config_open(struct tokenizer_config *files, const char *directory) {
    *files = (struct tokenizer_config){.directory = directory};
    TRY(read_object(directory, "tokenizer_config.json", &files->config));
    const json_t *decoder = json_object_get(files->config, "added_tokens_decoder");
    if (decoder != NULL && !json_is_null(decoder))
        return STATUS_OK;
    TRY(read_object(directory, "special_tokens_map.json", &files->map));
    return read_object(directory, "added_tokens.json", &files->added);
}

void tokenizer_config_close(struct tokenizer_config *files) {
    json_decref(files->config);
    json_decref(files->map);
    json_decref(files->added);
    *files = (struct tokenizer_config){.directory = NULL};
}

/* A token stands as a text, or as an object with its content. */
static const char *content_of(const json_t *value) {
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

static const json_t *named(const struct tokenizer_config *files, const char *name) {
    const json_t *value = json_object_get(files->map, name);
    return value != NULL ? value : json_object_get(files->config, name);
}

const char *tokenizer_config_token(const struct tokenizer_config *files, const char *name) {
    return content_of(named(files, name));
}

/* ---- completing the added tokens ------------------------------------------------------- */

struct completion {
    const struct tokenizer_config *files;
    const json_t *vocab;
    json_t *added;
    const char *place; /* the file that speaks */
};

static json_t *find_entry(const json_t *added, const char *content) {
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *have = content_of(json_array_get(added, i));
        if (have != NULL && strcmp(have, content) == 0)
            return json_array_get(added, i);
    }
    return NULL;
}

/* The first id that no token has. */
static json_int_t next_id(const struct completion *c) {
    json_int_t next = (json_int_t)json_object_size(c->vocab);
    for (size_t i = 0; i < json_array_size(c->added); i++) {
        const json_int_t id =
            json_integer_value(json_object_get(json_array_get(c->added, i), "id"));
        next = id >= next ? id + 1 : next;
    }
    return next;
}

/* The id that `tokenizers` gives to a token that is added now. */
static json_int_t id_for(const struct completion *c, const char *content) {
    const json_t *known = json_object_get(c->vocab, content);
    return known != NULL ? json_integer_value(known) : next_id(c);
}

static enum status check_id(const struct completion *c, const char *content, json_int_t have,
                            json_int_t wanted) {
    char quote[STATUS_QUOTE_MAX];
    if (wanted < 0 || wanted == have)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s/%s: the token \"%s\" has the id %lld there and %lld by tokenizer.json: write "
                "it with the right id into added_tokens of tokenizer.json",
                c->files->directory, c->place, status_quote(quote, content, SIZE_MAX),
                (long long)wanted, (long long)have);
}

/* Takes the flags that `token` has; a special token stays one. */
static void take_flags(json_t *entry, const json_t *token) {
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
    const bool special = json_is_true(json_object_get(token, "special"));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        json_t *flag = json_object_get(token, flags[i]);
        const bool otherwise = strcmp(flags[i], "normalized") == 0 && !special;
        json_object_set_new(entry, flags[i],
                            json_boolean(flag != NULL ? json_is_true(flag) : otherwise));
    }
    if (special)
        json_object_set_new(entry, "special", json_true());
}

/* `id` −1: none is asked for. `token`: an object with flags, or NULL to leave a known token as it
 * is and make a new one special. */
static enum status add_token(const struct completion *c, const char *content, json_int_t id,
                             const json_t *token) {
    json_t *entry = find_entry(c->added, content);
    const bool fresh = entry == NULL;
    if (fresh) {
        entry = json_pack("{s:I, s:s}", "id", id_for(c, content), "content", content);
        if (entry == NULL || json_array_append_new(c->added, entry) != 0)
            return FAIL(STATUS_MEMORY, "%s: memory ran out for added tokens", c->files->directory);
    }
    TRY(check_id(c, content, json_integer_value(json_object_get(entry, "id")), id));
    if (token != NULL)
        take_flags(entry, token);
    else if (fresh)
        json_object_set_new(entry, "special", json_true());
    return STATUS_OK;
}

/* Tokens of one file in the order of their ids. */
struct listed {
    json_int_t id;
    const char *content;
    const json_t *token;
};

static int by_id(const void *a, const void *b) {
    const struct listed *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool parse_id(const char *text, json_int_t *id) {
    char *end;
    errno = 0;
    *id = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static enum status add_listed(const struct completion *c, struct listed *tokens, size_t count) {
    qsort(tokens, count, sizeof *tokens, by_id);
    for (size_t i = 0; i < count; i++) {
        char quote[STATUS_QUOTE_MAX];
        if (tokens[i].content == NULL || tokens[i].content[0] == '\0' || tokens[i].id < 0 ||
            tokens[i].id >= VOCABULARY_IDS)
            return FAIL(
                STATUS_INPUT, "%s/%s: added token \"%s\" has no content or a strange id",
                c->files->directory, c->place,
                status_quote(quote, tokens[i].content != NULL ? tokens[i].content : "", SIZE_MAX));
        TRY(add_token(c, tokens[i].content, tokens[i].id, tokens[i].token));
    }
    return STATUS_OK;
}

/* added_tokens_decoder: {"151643": {"content": …, "special": true, …}, …}. */
static enum status add_decoder(struct completion *c, json_t *decoder) {
    struct listed *tokens;
    const char *key;
    json_t *token;
    size_t count = 0;
    c->place = "tokenizer_config.json";
    if (!json_is_object(decoder))
        return FAIL(STATUS_INPUT, "%s/%s: added_tokens_decoder is not an object",
                    c->files->directory, c->place);
    TRY(memory_new(&tokens, json_object_size(decoder) + 1, "added tokens"));
    json_object_foreach(decoder, key, token) {
        tokens[count] = (struct listed){.content = content_of(token), .token = token};
        if (!json_is_object(token) || !parse_id(key, &tokens[count].id))
            tokens[count].id = -1;
        count++;
    }
    const enum status status = add_listed(c, tokens, count);
    memory_release(&tokens);
    return status;
}

/* Calls `visit` for the named special tokens and for the list of others (a list, or an object of
 * tokens by name); the older name of the list counts where the newer one is missing. */
static enum status each_special(const struct tokenizer_config *files, void *context,
                                enum status (*visit)(void *context, const char *content)) {
    for (size_t i = 0; i < NAMES; i++) {
        const char *content = tokenizer_config_token(files, names[i]);
        if (content != NULL && content[0] != '\0')
            TRY(visit(context, content));
    }
    const json_t *list = named(files, "extra_special_tokens");
    if (list == NULL)
        list = named(files, "additional_special_tokens");
    json_t *values = json_array(), *value;
    const char *key;
    size_t i;
    json_array_extend(values, (json_t *)(uintptr_t)list);
    json_object_foreach((json_t *)(uintptr_t)list, key, value) json_array_append(values, value);
    enum status status = STATUS_OK;
    json_array_foreach(values, i, value) {
        const char *content = content_of(value);
        if (status == STATUS_OK && content != NULL && content[0] != '\0')
            status = visit(context, content);
    }
    json_decref(values);
    return status;
}

struct sought {
    const char *content;
    bool found;
};

static enum status compare_special(void *context, const char *content) {
    struct sought *sought = context;
    sought->found |= strcmp(sought->content, content) == 0;
    return STATUS_OK;
}

static bool is_special(const struct tokenizer_config *files, const char *content) {
    struct sought sought = {.content = content};
    return each_special(files, &sought, compare_special) == STATUS_OK && sought.found;
}

static enum status add_special(void *context, const char *content) {
    return add_token(context, content, -1, NULL);
}

/* added_tokens.json: {"<|im_end|>": 151645, …}. */
static enum status add_added_file(struct completion *c) {
    struct listed *tokens;
    const char *key;
    json_t *value, *special = json_pack("{s:b}", "special", 1), *usual = json_object();
    size_t count = 0;
    c->place = "added_tokens.json";
    enum status status = memory_new(&tokens, json_object_size(c->files->added) + 1, "added tokens");
    TRY_ELSE(status, done, status);
    json_object_foreach(c->files->added, key, value) {
        tokens[count++] =
            (struct listed){.id = json_is_integer(value) ? json_integer_value(value) : -1,
                            .content = key,
                            .token = is_special(c->files, key) ? special : usual};
    }
    status = add_listed(c, tokens, count);
    memory_release(&tokens);
done:
    json_decref(special);
    json_decref(usual);
    return status;
}

/* Tokens that nobody's files have. */
static enum status add_more(struct completion *c) {
    json_t *flags = json_pack("{s:b}", "normalized", 0);
    enum status status = STATUS_OK;
    c->place = "tokenizer.json";
    for (int64_t i = 0; i < c->files->more_count && status == STATUS_OK; i++)
        if (find_entry(c->added, c->files->more[i]) == NULL)
            status = add_token(c, c->files->more[i], -1, flags);
    json_decref(flags);
    return status;
}

enum status tokenizer_config_complete(const struct tokenizer_config *files, const json_t *vocab,
                                      json_t *added, struct tokenizer_own *own) {
    struct completion c = {.files = files, .vocab = vocab, .added = added};
    json_t *decoder = json_object_get(files->config, "added_tokens_decoder");
    if (json_is_true(json_object_get(files->config, "split_special_tokens")))
        return FAIL(
            STATUS_INPUT,
            "%s/tokenizer_config.json: split_special_tokens = true splits special tokens in "
            "texts, which are kept whole here: set it to false if that is meant",
            files->directory);
    if (decoder != NULL && !json_is_null(decoder))
        TRY(add_decoder(&c, decoder));
    if (files->added != NULL)
        TRY(add_added_file(&c));
    c.place = "tokenizer_config.json";
    TRY(each_special(files, &c, add_special));
    *own = (struct tokenizer_own){.size = (int32_t)next_id(&c), .added = json_array_size(added)};
    return add_more(&c);
}
