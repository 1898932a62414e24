/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that a tokenizer gets when it is opened: the next free ids, whole in texts, kept when special
 * tokens are left out; what it has already stays as it is.
 */
#include "cases.h"

static void check_ids(struct tokenizer *tokenizer, const char *text, const int32_t *want,
                      int64_t n) {
    struct token_list ids = {.ids = NULL};
    struct strbuf back = STRBUF_EMPTY;
    CHECK_OK(tokenizer_encode(tokenizer, text, strlen(text), false, &ids));
    CHECK_EQ(ids.count, n);
    for (int64_t i = 0; i < n && i < ids.count; i++)
        CHECK_EQ(ids.ids[i], want[i]);
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, false, &back));
    CHECK_TEXT(strbuf_text(&back), text);
    strbuf_release(&back);
    memory_release(&ids.ids);
}

/* What the files say of a token counts, not that it is given again. */
static void test_flags(void) {
    static const char *const contents[] = {"<left>", "<right>", "<both>", "word", "Ab"};
    static const char text[] = "a <left> b <right> c <both> words word Ab abAb";
    struct tokenizer *plain = cases_open(DATA "flags"), *tokenizer = NULL;
    struct token_list want = {.ids = NULL}, have = {.ids = NULL};
    CHECK_OK(tokenizer_open_with(&tokenizer, DATA "flags", contents, 5));
    CHECK_EQ(tokenizer_further(tokenizer)->count, 0);
    CHECK_OK(tokenizer_encode(plain, text, strlen(text), false, &want));
    CHECK_OK(tokenizer_encode(tokenizer, text, strlen(text), false, &have));
    CHECK_EQ(have.count, want.count);
    for (int64_t i = 0; i < want.count && i < have.count; i++)
        CHECK_EQ(have.ids[i], want.ids[i]);
    memory_release(&want.ids);
    memory_release(&have.ids);
    tokenizer_destroy(&plain);
    tokenizer_destroy(&tokenizer);
}

int main(void) {
    static const char *const contents[] = {"<think>", "<|im_end|>", "old", "<think>", "</think>"};
    struct tokenizer *plain = cases_open(DATA "smollm2"), *tokenizer = NULL;
    const int32_t size = tokenizer_size(plain), word = tokenizer_find(plain, "old");
    CHECK_OK(tokenizer_open_with(&tokenizer, DATA "smollm2", contents, 5));
    CHECK_EQ(tokenizer_own_size(plain), size);
    CHECK_EQ(tokenizer_further(plain)->count, 0);
    CHECK_EQ(tokenizer_own_size(tokenizer), size);
    CHECK_EQ(tokenizer_size(tokenizer), size + 2);
    CHECK_EQ(tokenizer_find(tokenizer, "<think>"), size);
    CHECK_EQ(tokenizer_find(tokenizer, "</think>"), size + 1);
    CHECK_EQ(tokenizer_find(tokenizer, "<|im_end|>"), tokenizer_find(plain, "<|im_end|>"));
    /* "old" is a piece of the vocabulary: it keeps its id and is found inside words from now on. */
    CHECK(word >= 0);
    const struct token_list *further = tokenizer_further(tokenizer);
    const int32_t want[] = {size, word, size + 1};
    CHECK_EQ(further->count, 3);
    for (int i = 0; i < 3 && i < further->count; i++)
        CHECK_EQ(further->ids[i], want[i]);
    size_t length;
    const char *content = tokenizer_content(tokenizer, size + 1, &length);
    CHECK(length == 8 && memcmp(content, "</think>", 8) == 0);
    check_ids(tokenizer, "<think></think>old<think>", (const int32_t[]){size, size + 1, word, size},
              4);
    tokenizer_destroy(&plain);
    tokenizer_destroy(&tokenizer);
    test_flags();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
