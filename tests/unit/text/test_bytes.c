/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer of single bytes that `gradus init` writes: the file is the stored one, which
 * make_tokenizers.py has read by `tokenizers`; each byte is its own id, names follow.
 */
#include "cases.h"
#include "file/bytes.h"
#include "unit/file/folder.h"

static const char *const names[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

static void check_file(void) {
    struct strbuf have = STRBUF_EMPTY, want = STRBUF_EMPTY;
    CHECK_OK(tokenizer_write_bytes(folder_file("tokenizer.json"), names, 3));
    CHECK_OK(bytes_read_file(folder_file("tokenizer.json"), 1 << 20, &have));
    CHECK_OK(bytes_read_file(DATA "bytes/tokenizer.json", 1 << 20, &want));
    CHECK_EQ(have.length, want.length);
    CHECK(have.length == want.length && memcmp(have.text, want.text, want.length) == 0);
    strbuf_release(&have);
    strbuf_release(&want);
}

static void check_ids(void) {
    struct tokenizer *tokenizer = cases_open(folder_path);
    struct token_list ids = {.count = 0};
    struct strbuf back = STRBUF_EMPTY;
    const char text[] = "<|im_start|>caf\xc3\xa9 12\n<|im_end|>e\xcc\x81";
    static const int32_t want[] = {257, 'c', 'a', 'f', 0xc3, 0xa9, ' ',
                                   '1', '2', 10,  258, 'e',  0xcc, 0x81};
    CHECK_EQ(tokenizer_size(tokenizer), 259);
    CHECK_EQ(tokenizer_find(tokenizer, "<|im_end|>"), 258);
    CHECK_OK(tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids));
    CHECK_EQ(ids.count, sizeof want / sizeof *want);
    for (size_t i = 0; i < sizeof want / sizeof *want && i < (size_t)ids.count; i++)
        CHECK_EQ(ids.ids[i], want[i]);
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, true, &back));
    CHECK_TEXT(strbuf_text(&back), text);
    strbuf_clear(&back);
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back));
    CHECK_TEXT(strbuf_text(&back), "caf\xc3\xa9 12\ne\xcc\x81");
    strbuf_release(&back);
    memory_release(&ids.ids);
    tokenizer_destroy(&tokenizer);
}

int main(void) {
    folder_make();
    check_file();
    check_ids();
    CHECK_STATUS(tokenizer_write_bytes("no/such/folder/tokenizer.json", names, 3), STATUS_IO,
                 "no/such/folder");
    folder_remove();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
