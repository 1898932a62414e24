/* SPDX-License-Identifier: Apache-2.0
 *
 * Small tokenizers of each family against `tokenizers`: ids, ids with the post-processor, decoding
 * with and without special tokens; and that decoding gives back a text in normal form.
 */
#include "cases.h"

static void check_ids(const char *place, const struct token_list *have, const json_t *want) {
    if (have->count != (int64_t)json_array_size(want)) {
        CHECK_FAILED("%s: %lld ids, expected %zu", place, (long long)have->count,
                     json_array_size(want));
        return;
    }
    for (int64_t i = 0; i < have->count; i++)
        if (have->ids[i] != json_integer_value(json_array_get(want, (size_t)i))) {
            CHECK_FAILED("%s: id %lld is %d, expected %lld", place, (long long)i, have->ids[i],
                         json_integer_value(json_array_get(want, (size_t)i)));
            return;
        }
}

static void check_decoded(const char *place, const struct tokenizer *tokenizer,
                          const json_t *row_ids, bool keep_special, const json_t *want) {
    struct token_list ids = {.count = 0};
    struct strbuf text = STRBUF_EMPTY;
    for (size_t i = 0; i < json_array_size(row_ids); i++) {
        const int32_t id = (int32_t)json_integer_value(json_array_get(row_ids, i));
        CHECK_OK(token_list_append(&ids, &id, 1));
    }
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, keep_special, &text));
    if (text.length != json_string_length(want) ||
        memcmp(strbuf_text(&text), json_string_value(want), text.length) != 0)
        CHECK_FAILED("%s: decoded to \"%s\", expected \"%s\"", place, strbuf_text(&text),
                     json_string_value(want));
    memory_release(&ids.ids);
    strbuf_release(&text);
}

static void unhex(const char *hex, struct strbuf *out) {
    for (; hex[0] != '\0'; hex += 2) {
        const char digits[3] = {hex[0], hex[1], '\0'};
        const char byte = (char)strtol(digits, NULL, 16);
        CHECK_OK(strbuf_append(out, &byte, 1));
    }
}

static void check_row(struct tokenizer *tokenizer, const char *place, const json_t *row) {
    const json_t *plain = json_object_get(row, "text"), *hex = json_object_get(row, "hex");
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.count = 0};
    if (plain != NULL)
        CHECK_OK(strbuf_append(&text, json_string_value(plain), json_string_length(plain)));
    if (hex != NULL)
        unhex(json_string_value(hex), &text);
    if (plain != NULL || hex != NULL) {
        CHECK_OK(tokenizer_encode(tokenizer, strbuf_text(&text), text.length, false, &ids));
        check_ids(place, &ids, json_object_get(row, "ids"));
        ids.count = 0;
        CHECK_OK(tokenizer_encode(tokenizer, strbuf_text(&text), text.length, true, &ids));
        check_ids(place, &ids, json_object_get(row, "special"));
    }
    check_decoded(place, tokenizer, json_object_get(row, "ids"), true,
                  json_object_get(row, "decoded"));
    if (json_object_get(row, "plain") != NULL)
        check_decoded(place, tokenizer, json_object_get(row, "ids"), false,
                      json_object_get(row, "plain"));
    memory_release(&ids.ids);
    strbuf_release(&text);
}

static void check_family(const char *name) {
    char directory[128], file[64], place[64];
    snprintf(directory, sizeof directory, DATA "%s", name);
    snprintf(file, sizeof file, "%s.json", name);
    struct tokenizer *tokenizer = cases_open(directory);
    json_t *rows = cases_load(file), *row;
    size_t i;
    CHECK(json_array_size(rows) > 200);
    for (int again = 0; again < 2; again++) /* the second time from remembered words */
        json_array_foreach(rows, i, row) {
            snprintf(place, sizeof place, "%s, case %zu", name, i);
            check_row(tokenizer, place, row);
        }
    json_decref(rows);
    tokenizer_destroy(&tokenizer);
}

/* All of a plane without surrogates, in normal form, comes back as it was. */
static void check_round_trip(const char *directory) {
    struct tokenizer *tokenizer = cases_open(directory);
    struct strbuf text = STRBUF_EMPTY, normal = STRBUF_EMPTY, back = STRBUF_EMPTY;
    struct token_list ids = {.count = 0};
    for (int32_t c = 0; c < 0x20000; c += c == 0xd7ff ? 0x801 : 1)
        CHECK_OK(utf8_append(c, &text));
    CHECK_OK(unicode_compose(text.text, text.length, &normal));
    CHECK_OK(tokenizer_encode(tokenizer, normal.text, normal.length, false, &ids));
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, true, &back));
    CHECK_EQ(back.length, normal.length);
    CHECK(back.length == normal.length && memcmp(back.text, normal.text, back.length) == 0);
    strbuf_release(&text);
    strbuf_release(&normal);
    strbuf_release(&back);
    memory_release(&ids.ids);
    tokenizer_destroy(&tokenizer);
}

static void check_lookups(void) {
    struct tokenizer *tokenizer = cases_open(DATA "llama3");
    const int32_t begin = tokenizer_find(tokenizer, "<|begin_of_text|>");
    CHECK(begin > 256);
    CHECK_EQ(tokenizer_size(tokenizer), tokenizer_find(tokenizer, "<|eot_id|>") + 1);
    CHECK(tokenizer_find(tokenizer, "\xc4\xa0") >= 0); /* Ġ, a space */
    CHECK_EQ(tokenizer_find(tokenizer, "no such token"), -1);
    CHECK_EQ(tokenizer_find(tokenizer, ""), -1);
    struct strbuf text = STRBUF_EMPTY;
    const int32_t beyond = tokenizer_size(tokenizer), below = -1;
    CHECK_STATUS(tokenizer_decode(tokenizer, &beyond, 1, true, &text), STATUS_INPUT,
                 "outside the vocabulary");
    CHECK_STATUS(tokenizer_decode(tokenizer, &below, 1, true, &text), STATUS_INPUT,
                 "outside the vocabulary");
    CHECK_EQ(text.length, 0);
    strbuf_release(&text);
    tokenizer_destroy(&tokenizer);
}

int main(void) {
    check_family("qwen2");
    check_family("llama3");
    check_family("smollm2");
    check_family("flags");
    check_round_trip(DATA "qwen2");
    check_round_trip(DATA "llama3");
    check_lookups();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
