/* SPDX-License-Identifier: Apache-2.0
 *
 * The token ids of a thousand prompts and answers of GSM8K under the Qwen2 tokenizer are those that
 * `tokenizers` gives: tests/data/data/make_prompts.py.
 */
#include "check.h"

#include "base/memory.h"
#include "base/sha256.h"
#include "data/prompt.h"
#include "file/bytes.h"

#define GSM8K     "../shared/data/gsm8k/train.jsonl"
#define TOKENIZER "../shared/data/tokenizer_qwen2"

enum { ROWS = 1000 };

static struct dataset dataset;
static struct tokenizer *tokenizer;

static void add_row(struct sha256 *hash, const struct token_list *ids) {
    for (int64_t i = 0; i < ids->count; i++) {
        char text[16];
        const int length = snprintf(text, sizeof text, "%d ", ids->ids[i]);
        sha256_update(hash, text, (size_t)length);
    }
    sha256_update(hash, "\n", 1);
}

static void check_ids(const struct prompt_form *form, bool answers, int64_t want_tokens,
                      const char *want) {
    struct sha256 hash;
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    unsigned char digest[32];
    char have[65];
    int64_t tokens = 0;
    sha256_init(&hash);
    for (int64_t i = 0; i < ROWS; i++) {
        const struct dataset_item item = dataset_item(&dataset, i);
        ids.count = 0;
        strbuf_clear(&text);
        if (!answers)
            CHECK_OK(prompt_encode(form, (struct utf8_span){item.prompt, item.prompt_length}, &text,
                                   &ids));
        else
            CHECK_OK(prompt_encode_answer(
                form, (struct utf8_span){item.reference, item.reference_length}, &text, &ids));
        add_row(&hash, &ids);
        tokens += ids.count;
    }
    sha256_finish(&hash, digest);
    sha256_hex(digest, have);
    CHECK_EQ(tokens, want_tokens);
    CHECK_TEXT(have, want);
    strbuf_release(&text);
    memory_release(&ids.ids);
}

int main(void) {
    if (!bytes_is_file(GSM8K) || !bytes_is_directory(TOKENIZER))
        CHECK_SKIP("../shared/data is not here");
    struct chat_style style;
    struct token_list end = {.ids = NULL};
    const struct dataset_source source = {.path = GSM8K, .prompt = "question", .answer = "answer"};
    CHECK_OK(dataset_open(&dataset, &source));
    CHECK_OK(tokenizer_open(&tokenizer, TOKENIZER));
    struct prompt_form form = {.template_text = "Solve it.\n\n{prompt}\nAnswer:",
                               .style = &style,
                               .thinking = true,
                               .date = "26 Jul 2024",
                               .tokenizer = tokenizer};
    CHECK_OK(chat_resolve(CHAT_NONE, TOKENIZER, &style));
    check_ids(&form, false, 65489,
              "a8ffa29f7e713e9de70d3ebd5860c9dca8f5730602c4ce51335ba84a8da69cea");
    chat_release(&style);
    CHECK_OK(chat_resolve(CHAT_CHATML, TOKENIZER, &style));
    form.system = "Think.";
    check_ids(&form, false, 80489,
              "ba0dd27364f0c3d86db075665216f5d862d30098a1080e7b8077eb463d46ffc2");
    CHECK_OK(prompt_find_end(&form, NULL, NULL, 0, &end));
    form.answer_end = &end;
    check_ids(&form, true, 121011,
              "159265a05e94c59eb0740c2095ab844432a7b3eecd1b02da3f895c3cf8d34226");
    memory_release(&end.ids);
    chat_release(&style);
    tokenizer_destroy(&tokenizer);
    dataset_close(&dataset);
    return CHECK_END();
}
