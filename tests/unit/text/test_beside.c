/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of the files beside tokenizer.json against transformers (tests/data/text/make_beside.py),
 * files that contradict each other, tokens beyond the model's vocabulary, and damaged files.
 */
#include "cases.h"
#include "base/random.h"
#include "unit/file/folder.h"

static void write_text(const char *name, const char *text) {
    folder_write(folder_file(name), text, strlen(text));
}

static void write_value(const char *name, const json_t *value) {
    char *text = json_dumps(value, 0);
    CHECK(text != NULL);
    write_text(name, text);
    free(text);
}

static void remove_files(void) {
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "added_tokens.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(folder_file(names[i]));
}

static void write_base(const char *base, const json_t *added) {
    char name[64];
    snprintf(name, sizeof name, "%s/tokenizer.json", base);
    json_t *root = cases_load(name);
    if (added != NULL)
        json_object_set(root, "added_tokens", (json_t *)(uintptr_t)added);
    write_value("tokenizer.json", root);
    json_decref(root);
}

static void check_text(struct tokenizer *tokenizer, const char *name, const json_t *stored) {
    const char *text = json_string_value(json_array_get(stored, 0));
    const json_t *want = json_array_get(stored, 1);
    struct token_list ids = {.ids = NULL};
    struct strbuf decoded = STRBUF_EMPTY;
    CHECK_OK(tokenizer_encode(tokenizer, text, strlen(text), true, &ids));
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, false, &decoded));
    bool equal = ids.count == (int64_t)json_array_size(want);
    for (int64_t i = 0; equal && i < ids.count; i++)
        equal = ids.ids[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (!equal)
        CHECK_FAILED("%s: other ids for \"%s\"", name, text);
    CHECK_TEXT(strbuf_text(&decoded), json_string_value(json_array_get(stored, 2)));
    memory_release(&ids.ids);
    strbuf_release(&decoded);
}

static void check_row(const json_t *row) {
    const json_t *files = json_object_get(row, "files"), *texts = json_object_get(row, "texts"),
                 *eos = json_object_get(row, "eos");
    const char *name = json_string_value(json_object_get(row, "name")), *file;
    json_t *value;
    struct tokenizer *tokenizer = NULL;
    remove_files();
    write_base(json_string_value(json_object_get(row, "base")), json_object_get(row, "added"));
    json_object_foreach((json_t *)(uintptr_t)files, file, value) write_value(file, value);
    if (tokenizer_open(&tokenizer, folder_path) != STATUS_OK) {
        CHECK_FAILED("%s: %s", name, status_sentence());
        return;
    }
    CHECK_EQ(tokenizer_end(tokenizer), json_is_integer(eos) ? json_integer_value(eos) : -1);
    for (size_t i = 0; i < json_array_size(texts); i++)
        check_text(tokenizer, name, json_array_get(texts, i));
    tokenizer_destroy(&tokenizer);
}

static void check_stored(void) {
    json_t *rows = cases_load("beside.json"), *row;
    size_t i;
    CHECK(json_array_size(rows) >= 20);
    json_array_foreach(rows, i, row) check_row(row);
    json_decref(rows);
}

static void refuse(const char *name, const char *text, const char *words) {
    struct tokenizer *tokenizer = NULL;
    remove_files();
    write_base("smollm2", NULL);
    write_text(name, text);
    CHECK_STATUS(tokenizer_open(&tokenizer, folder_path), STATUS_INPUT, words);
    CHECK(strstr(status_sentence(), name) != NULL);
    tokenizer_destroy(&tokenizer);
}

#define DECODER(id, token) "{\"added_tokens_decoder\": {\"" id "\": " token "}}"

static void check_refusals(void) {
    refuse("tokenizer_config.json", "[]", "not an object");
    refuse("tokenizer_config.json", "{\"a\"", "JSON");
    refuse("special_tokens_map.json", "7", "not an object");
    refuse("added_tokens.json", "[]", "not an object");
    refuse("tokenizer_config.json", "{\"added_tokens_decoder\": []}", "not an object");
    refuse("tokenizer_config.json", "{\"split_special_tokens\": true}", "split_special_tokens");
    refuse("tokenizer_config.json", DECODER("551", "\"x\""), "strange id");
    refuse("tokenizer_config.json", DECODER("551", "{}"), "no content");
    refuse("tokenizer_config.json", DECODER("x", "{\"content\": \"<x>\"}"), "strange id");
    refuse("tokenizer_config.json", DECODER("-1", "{\"content\": \"<x>\"}"), "strange id");
    refuse("tokenizer_config.json", DECODER("9999999999999999999999", "{\"content\": \"<x>\"}"),
           "strange id");
    /* a token that has an id already, and one for which the next id is another */
    refuse("tokenizer_config.json", DECODER("551", "{\"content\": \"<|im_end|>\"}"), "550");
    refuse("added_tokens.json", "{\"<|im_end|>\": 551}", "550");
    refuse("tokenizer_config.json", DECODER("600", "{\"content\": \"<x>\"}"), "551");
    refuse("added_tokens.json", "{\"<x>\": \"551\"}", "strange id");
}

/* An added token beyond the model's vocabulary is an error where it is used, and only there. */
static void check_fit(void) {
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {.ids = NULL};
    remove_files();
    write_base("smollm2", NULL);
    write_text("tokenizer_config.json",
               "{\"pad_token\": \"[PAD]\", \"model_max_length\": 1000000000000000019884624838656}");
    CHECK_OK(tokenizer_open(&tokenizer, folder_path));
    CHECK_OK(tokenizer_encode(tokenizer, "a[PAD]", 6, false, &ids));
    CHECK_EQ(ids.count, 2);
    CHECK_EQ(ids.ids[1], 551);
    CHECK_OK(tokenizer_fit(tokenizer, 551, "DIR"));
    CHECK_OK(tokenizer_encode(tokenizer, "a<|im_end|>", 11, false, &ids));
    CHECK_STATUS(tokenizer_encode(tokenizer, "a[PAD]", 6, false, &ids), STATUS_INPUT, "[PAD]");
    CHECK_STATUS(tokenizer_fit(tokenizer, 547, "DIR"), STATUS_INPUT, "do not belong together");
    memory_release(&ids.ids);
    tokenizer_destroy(&tokenizer);
}

/* Bytes changed at random never do harm. */
static void check_damage(void) {
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json"};
    static const char *const texts[] = {
        ("{\"added_tokens_decoder\": {\"551\": {\"content\": \"<new>\", \"lstrip\": false, "
         "\"special\": true}}, \"eos_token\": \"<new>\", \"pad_token\": {\"content\": \"<|im_end|>\"}}"),
        "{\"eos_token\": \"<a>\", \"additional_special_tokens\": [\"<b>\", {\"content\": \"<c>\"}]}",
        "{\"<x>\": 551, \"<y>\": 552}"};
    remove_files();
    write_base("smollm2", NULL);
    for (uint32_t round = 0; round < 3000; round++) {
        char bytes[256];
        const size_t which = round % 3, length = strlen(texts[which]);
        struct tokenizer *tokenizer = NULL;
        memcpy(bytes, texts[which], length + 1);
        for (uint32_t k = 0; k < 1 + round % 4; k++)
            bytes[random_bits(11, RANDOM_SHUFFLE, round, k, 0, 0) % length] =
                "0\"{}[],:x-\\ntf"[random_bits(11, RANDOM_SHUFFLE, round, k, 1, 0) % 14];
        write_text(names[which], bytes);
        if (tokenizer_open(&tokenizer, folder_path) == STATUS_OK)
            tokenizer_destroy(&tokenizer);
        remove(folder_file(names[which]));
    }
}

int main(void) {
    folder_make();
    check_stored();
    check_refusals();
    check_fit();
    check_damage();
    remove_files();
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
