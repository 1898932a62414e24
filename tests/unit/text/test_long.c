/* SPDX-License-Identifier: Apache-2.0
 *
 * Long pieces and long runs of one character: they take about as long for each byte as others do,
 * and come back whole.
 */
#include "cases.h"

#include "base/clock.h"

static void check_run(struct tokenizer *tokenizer, const char *unit, int times, const char *end) {
    struct strbuf text = STRBUF_EMPTY, back = STRBUF_EMPTY;
    struct token_list ids = {.count = 0};
    for (int i = 0; i < times; i++)
        CHECK_OK(strbuf_append_text(&text, unit));
    CHECK_OK(strbuf_append_text(&text, end));
    const double start = clock_now_s();
    CHECK_OK(tokenizer_encode(tokenizer, text.text, text.length, false, &ids));
    const double seconds = clock_now_s() - start;
    if (seconds > 5.0)
        CHECK_FAILED("%d times \"%s\" took %.1f s", times, unit, seconds);
    CHECK_OK(tokenizer_decode(tokenizer, ids.ids, ids.count, true, &back));
    CHECK_EQ(back.length, text.length);
    CHECK(back.length == text.length && memcmp(back.text, text.text, text.length) == 0);
    strbuf_release(&text);
    strbuf_release(&back);
    memory_release(&ids.ids);
}

int main(void) {
    static const char *const families[] = {"qwen2", "llama3", "smollm2"};
    for (int i = 0; i < 3; i++) {
        char directory[128];
        snprintf(directory, sizeof directory, DATA "%s", families[i]);
        struct tokenizer *tokenizer = cases_open(directory);
        check_run(tokenizer, " ", 300000, "x");
        check_run(tokenizer, "\n \n", 100000, "");
        check_run(tokenizer, "a", 300000, "");
        check_run(tokenizer, "sold", 80000, "");
        check_run(tokenizer, "\xd0\xbc\xd0\xb8\xd1\x80", 50000, "");
        check_run(tokenizer, "<", 300000, "|im_start|>");
        check_run(tokenizer, "<|im_start|", 30000, ">");
        check_run(tokenizer, "1", 300000, "");
        check_run(tokenizer, "'", 300000, "s");
        tokenizer_destroy(&tokenizer);
    }
    return CHECK_END();
}
