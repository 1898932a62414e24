/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer.json of a tokenizer of single bytes: token b is byte b, the named ones follow.
 */
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "file/atomic.h"
#include "text/letters.h"
#include "text/split.h"

/* Takes both references; NULL (memory ran out) is passed on to json_dumps, which refuses it. */
static json_t *make_root(json_t *words, json_t *added) {
    json_t *step = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                             "trim_offsets", 0, "use_regex", 0);
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, O]}, s:O, s:o,"
                     " s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:[]}}",
                     "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                     "pre_tokenizer", "type", "Sequence", "pretokenizers", "type", "Split",
                     "pattern", "Regex", split_pattern(SPLIT_QWEN2), "behavior", "Isolated",
                     "invert", 0, step, "post_processor", step, "decoder", step, "model", "type",
                     "BPE", "dropout", "unk_token", "continuing_subword_prefix",
                     "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", 0,
                     "vocab", words, "merges");
}

static json_t *make_added(const char *const *special, int64_t count) {
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id",
                                              (json_int_t)(256 + i), "content", special[i],
                                              "single_word", 0, "lstrip", 0, "rstrip", 0,
                                              "normalized", 0, "special", 1));
    return list;
}

static enum status make_words(json_t **out) {
    struct strbuf letter = STRBUF_EMPTY;
    enum status status = STATUS_OK;
    *out = json_object();
    for (int byte = 0; byte < 256 && status == STATUS_OK; byte++) {
        const char one = (char)byte;
        strbuf_clear(&letter);
        status = letters_from_bytes(&one, 1, &letter);
        if (status == STATUS_OK)
            json_object_set_new(*out, letter.text, json_integer(byte));
    }
    strbuf_release(&letter);
    return status;
}

enum status tokenizer_write_bytes(const char *path, const char *const *special,
                                  int64_t special_count) {
    json_t *words = NULL;
    enum status status = make_words(&words);
    json_t *root = make_root(words, make_added(special, special_count));
    char *text = json_dumps(root, JSON_INDENT(1));
    if (status == STATUS_OK && text == NULL)
        status = FAIL(STATUS_MEMORY, "%s: memory ran out for the tokenizer", path);
    if (status == STATUS_OK)
        status = atomic_write_file(path, text, (int64_t)strlen(text));
    free(text);
    json_decref(root);
    return status;
}
