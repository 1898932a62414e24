/* SPDX-License-Identifier: Apache-2.0 */
#include "run/added_tokens.h"

#include <jansson.h>
#include <stdio.h>

#include "file/json.h"

/* Calls `put` for each new token in the order of their ids. */
static int each_new(const struct tokenizer *tokenizer, json_t *into,
                    int (*put)(json_t *into, json_t *content, int32_t id)) {
    const struct token_list *further = tokenizer_further(tokenizer);
    int failed = 0;
    for (int64_t i = 0; i < further->count && failed == 0; i++) {
        size_t length;
        const char *content = tokenizer_content(tokenizer, further->ids[i], &length);
        json_t *text = json_stringn(content, length);
        failed = text == NULL || put(into, text, further->ids[i]) != 0;
        json_decref(text);
    }
    return failed;
}

/* As transformers writes one. */
static json_t *entry_of(json_t *content) {
    return json_pack("{s:O, s:b, s:b, s:b, s:b, s:b}", "content", content, "single_word", 0,
                     "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 0);
}

static int put_in_list(json_t *list, json_t *content, int32_t id) {
    json_t *entry = json_pack("{s:i}", "id", (int)id), *flags = entry_of(content);
    const int failed = json_object_update(entry, flags);
    json_decref(flags);
    return json_array_append_new(list, entry) != 0 || failed != 0;
}

static int put_in_decoder(json_t *decoder, json_t *content, int32_t id) {
    char key[16];
    snprintf(key, sizeof key, "%d", (int)id);
    return json_object_set_new(decoder, key, entry_of(content));
}

static int put_in_map(json_t *map, json_t *content, int32_t id) {
    return json_object_set_new(map, json_string_value(content), json_integer(id));
}

static int change_tokenizer(json_t *root, const struct tokenizer *tokenizer) {
    json_t *list = json_object_get(root, "added_tokens");
    if (!json_is_array(list) && json_object_set_new(root, "added_tokens", json_array()) != 0)
        return -1;
    return each_new(tokenizer, json_object_get(root, "added_tokens"), put_in_list);
}

static int change_config(json_t *root, const struct tokenizer *tokenizer) {
    json_t *decoder = json_object_get(root, "added_tokens_decoder");
    return json_is_object(decoder) ? each_new(tokenizer, decoder, put_in_decoder) : 0;
}

static int change_map(json_t *root, const struct tokenizer *tokenizer) {
    return each_new(tokenizer, root, put_in_map);
}

/* Changes one file, if it is there and an object. */
static enum status change_file(struct model_files *files, const char *name,
                               const struct tokenizer *tokenizer,
                               int (*change)(json_t *root, const struct tokenizer *tokenizer)) {
    const struct model_file *file = model_files_find(files, name);
    json_t *root;
    if (file == NULL)
        return STATUS_OK;
    TRY(json_parse(strbuf_text(&file->bytes), file->bytes.length, name, 0, &root));
    enum status status = STATUS_OK;
    if (!json_is_object(root))
        status = FAIL(STATUS_INPUT, "%s: this is not an object", name);
    else if (change(root, tokenizer) != 0)
        status = FAIL(STATUS_MEMORY, "%s: memory ran out for added tokens", name);
    else
        status = model_files_replace(files, name, root);
    json_decref(root);
    return status;
}

static enum status change_size(struct model_files *files, int64_t V) {
    const struct model_file *file = model_files_find(files, "config.json");
    json_t *root;
    TRY(json_parse(strbuf_text(&file->bytes), file->bytes.length, "config.json", 0, &root));
    const enum status status = json_object_set_new(root, "vocab_size", json_integer(V)) == 0
                                   ? model_files_replace(files, "config.json", root)
                                   : FAIL(STATUS_MEMORY, "config.json: memory ran out");
    json_decref(root);
    return status;
}

enum status added_tokens_write(struct model_files *files, const struct tokenizer *tokenizer,
                               const struct hparams *hparams) {
    if (tokenizer_further(tokenizer)->count == 0)
        return STATUS_OK;
    TRY(change_file(files, "tokenizer.json", tokenizer, change_tokenizer));
    TRY(change_file(files, "tokenizer_config.json", tokenizer, change_config));
    TRY(change_file(files, "added_tokens.json", tokenizer, change_map));
    return hparams->made.end > hparams->made.stored ? change_size(files, hparams->V) : STATUS_OK;
}
