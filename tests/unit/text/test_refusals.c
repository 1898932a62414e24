/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer.json that is broken, hostile, or asks for what is not implemented is refused with a
 * sentence that names the trouble, and nothing stays allocated.
 */
#include "cases.h"
#include "unit/file/folder.h"

#define STRINGS(...) #__VA_ARGS__

/* A small good file in parts, each of which a case may replace. */
enum part { NORMALIZER, PRE, POST, DECODER, WORDS, MERGES, ADDED, MODEL, PARTS };
static const char *const good[PARTS] = {
    [NORMALIZER] = "null",
    [PRE] = STRINGS({"type" : "ByteLevel", "add_prefix_space" : false, "use_regex" : true}),
    [POST] = "null",
    [DECODER] = STRINGS({"type" : "ByteLevel"}),
    [WORDS] = STRINGS({"a" : 0, "b" : 1, "ab" : 2, "UNK" : 3}),
    [MERGES] = STRINGS(["a b"]),
    [ADDED] = STRINGS([ {"id" : 4, "content" : "<x>", "special" : true} ]),
    [MODEL] = STRINGS("type"
                      : "BPE"),
};

static void write_tokenizer(const char *text) {
    FILE *file = fopen(folder_file("tokenizer.json"), "wb");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static enum status open_with(enum part part, const char *text, struct tokenizer **tokenizer) {
    struct strbuf out = STRBUF_EMPTY;
    const char *parts[PARTS];
    memcpy(parts, good, sizeof parts);
    if (part < PARTS)
        parts[part] = text;
    CHECK_OK(strbuf_append_format(
        &out,
        "{\"normalizer\": %s, \"pre_tokenizer\": %s, \"post_processor\": %s, \"decoder\": %s, "
        "\"added_tokens\": %s, \"model\": {%s, \"vocab\": %s, \"merges\": %s}}",
        parts[NORMALIZER], parts[PRE], parts[POST], parts[DECODER], parts[ADDED], parts[MODEL],
        parts[WORDS], parts[MERGES]));
    write_tokenizer(out.text);
    strbuf_release(&out);
    return tokenizer_open(tokenizer, folder_path);
}

static void refuse(enum part part, const char *text, const char *words) {
    struct tokenizer *tokenizer = NULL;
    CHECK_STATUS(open_with(part, text, &tokenizer), STATUS_INPUT, words);
    CHECK(strstr(status_sentence(), "tokenizer.json") != NULL);
    tokenizer_destroy(&tokenizer);
}

static void refuse_whole(const char *text, const char *words) {
    struct tokenizer *tokenizer = NULL;
    write_tokenizer(text);
    CHECK_STATUS(tokenizer_open(&tokenizer, folder_path), STATUS_INPUT, words);
    tokenizer_destroy(&tokenizer);
}

static void check_good(void) {
    struct tokenizer *tokenizer = NULL;
    struct token_list ids = {.count = 0};
    CHECK_OK(open_with(PARTS, NULL, &tokenizer));
    CHECK_OK(tokenizer_encode(tokenizer, "ab<x>ba?", 8, false, &ids));
    CHECK_EQ(ids.count, 4); /* ab, <x>, b, a; the question mark has no token */
    CHECK_EQ(ids.ids[0], 2);
    CHECK_EQ(ids.ids[1], 4);
    memory_release(&ids.ids);
    tokenizer_destroy(&tokenizer);
}

static void check_shapes(void) {
    refuse_whole("", "JSON");
    refuse_whole("[]", "not an object");
    refuse_whole("{}", "pre-tokenizer");
    refuse_whole("{\"a\": 1, \"a\": 2}", "duplicate");
    refuse_whole("{\"added_tokens\": {}}", "not a list");
    refuse(WORDS, "[]", "vocab");
    refuse(WORDS, "null", "vocab");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : "2"}), "not an integer");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : -1}), "outside");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : 4194304}), "outside");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : 9223372036854775807}), "outside");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : 99999999999999999999}), "integer");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : 1}), "taken");
    refuse(WORDS, STRINGS({"a" : 0, "b" : 1, "ab" : 2, "" : 3}), "empty");
    refuse(WORDS, "{}", "vocab");
    refuse(MERGES, "{}", "not a list");
    refuse(MERGES, "null", "not a list");
    refuse(MERGES, "[\"ab\"]", "neither");
    refuse(MERGES, "[\"a b c\"]", "neither");
    refuse(MERGES, "[[\"a\"]]", "neither");
    refuse(MERGES, "[[\"a\", 1]]", "neither");
    refuse(MERGES, "[7]", "neither");
    refuse(MERGES, "[\"b a\"]", "no token");
    refuse(MERGES, "[[\"a\", \"<x>\"]]", "no token");
    refuse(ADDED, "[7]", "integer");
    refuse(ADDED, STRINGS([ {"id" : 4} ]), "no content");
    refuse(ADDED, STRINGS([ {"id" : 4, "content" : 4} ]), "content");
    refuse(ADDED, STRINGS([ {"id" : 4, "content" : ""} ]), "empty");
    refuse(ADDED, STRINGS([ {"id" : 1, "content" : "<x>"} ]), "taken");
    refuse(ADDED, STRINGS([ {"id" : 5, "content" : "ab"} ]), "taken");
    refuse(ADDED, STRINGS([ {"id" : 4, "content" : "<x>"}, {"id" : 4, "content" : "<y>"} ]),
           "taken");
    refuse(ADDED, STRINGS([ {"id" : 4, "content" : "<x>", "special" : 1} ]), "true or false");
    refuse(ADDED, STRINGS([ {"id" : -4, "content" : "<x>"} ]), "outside");
}

static void check_unknown_parts(void) {
    refuse(MODEL, STRINGS("type" : "WordPiece"), "WordPiece");
    refuse(MODEL, STRINGS("type" : "BPE", "dropout" : 0.1), "dropout");
    refuse(MODEL, STRINGS("type" : "BPE", "byte_fallback" : true), "byte_fallback");
    refuse(MODEL, STRINGS("type" : "BPE", "end_of_word_suffix" : "</w>"), "end_of_word_suffix");
    refuse(MODEL, STRINGS("type" : "BPE", "unk_token" : "none"), "unk_token");
    refuse(NORMALIZER, STRINGS({"type" : "NFKC"}), "NFKC");
    refuse(NORMALIZER, STRINGS({"type" : "Sequence", "normalizers" : [ {"type" : "Lowercase"} ]}),
           "Lowercase");
    refuse(NORMALIZER, "7", "normalizer");
    refuse(PRE, "null", "ByteLevel");
    refuse(PRE, STRINGS({"type" : "Whitespace"}), "ByteLevel");
    refuse(PRE, STRINGS({"type" : "ByteLevel"}), "add_prefix_space");
    refuse(PRE, STRINGS({
               "type" : "Sequence",
               "pretokenizers" :
                   [ {"type" : "Metaspace"}, {"type" : "ByteLevel", "add_prefix_space" : false} ]
           }),
           "Metaspace");
    refuse(PRE, STRINGS({
               "type" : "Sequence",
               "pretokenizers" : [
                   {"type" : "Split", "pattern" : {"Regex" : "(a+)+"}, "behavior" : "Isolated"},
                   {"type" : "ByteLevel", "add_prefix_space" : false}
               ]
           }),
           "(a+)+");
    refuse(PRE, STRINGS({"type" : "Sequence", "pretokenizers" : []}), "ByteLevel");
    refuse(POST, STRINGS({"type" : "RobertaProcessing"}), "RobertaProcessing");
    refuse(POST, STRINGS({"type" : "TemplateProcessing", "single" : []}), "leaves the text out");
    refuse(POST, STRINGS({
               "type" : "TemplateProcessing",
               "single" : [ {"SpecialToken" : {"id" : "<x>"}}, {"Sequence" : {"id" : "A"}} ]
           }),
           "no ids");
    refuse(POST, STRINGS({
               "type" : "TemplateProcessing",
               "single" : [ {"SpecialToken" : {"id" : "<x>"}}, {"Sequence" : {"id" : "A"}} ],
               "special_tokens" : {"<x>" : {"ids" : [77]}}
           }),
           "no token");
    refuse(DECODER, "null", "decoder");
    refuse(DECODER, STRINGS({"type" : "WordPiece"}), "WordPiece");
}

static void check_deep(void) {
    struct strbuf text = STRBUF_EMPTY;
    for (int i = 0; i < 100000; i++)
        CHECK_OK(strbuf_append_text(&text, "["));
    refuse_whole(text.text, "depth");
    strbuf_release(&text);
}

/* Every cut of a good file is refused, and a file with one byte changed never does harm. */
static void check_damage(void) {
    struct tokenizer *tokenizer = NULL;
    struct strbuf text = STRBUF_EMPTY;
    json_t *whole = cases_load("smollm2/tokenizer.json");
    char *bytes = json_dumps(whole, JSON_COMPACT);
    const size_t length = strlen(bytes);
    for (size_t cut = 0; cut < length; cut += length / 97) {
        strbuf_clear(&text);
        CHECK_OK(strbuf_append(&text, bytes, cut));
        refuse_whole(strbuf_text(&text), "JSON");
    }
    uint32_t state = 5;
    for (int i = 0; i < 300; i++) {
        state = state * 1664525u + 1013904223u;
        const size_t at = (state >> 8) % length;
        const char kept = bytes[at];
        bytes[at] = "0\"{}[],:x-"[i % 10];
        write_tokenizer(bytes);
        if (tokenizer_open(&tokenizer, folder_path) == STATUS_OK)
            tokenizer_destroy(&tokenizer);
        bytes[at] = kept;
    }
    free(bytes);
    json_decref(whole);
    strbuf_release(&text);
}

int main(void) {
    folder_make();
    check_good();
    check_shapes();
    check_unknown_parts();
    check_deep();
    check_damage();
    remove(folder_file("tokenizer.json"));
    struct tokenizer *tokenizer = NULL;
    CHECK_STATUS(tokenizer_open(&tokenizer, folder_path), STATUS_INPUT, "tokenizer.json");
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
