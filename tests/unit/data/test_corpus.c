/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows of texts: so many tokens in a row of the text, the same for the same seed, source, epoch and
 * row, anywhere in the text; whose prefix, as text, gives its tokens again, so that a window which
 * does not is passed over and counted, as a loop over the same uniform numbers counts it. Texts that
 * are too short have none, and plain files are one text.
 */
#include "data/corpus.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "unit/data/scratch.h"

enum { WINDOW = 20, COMPLETION = 7, PREFIX = WINDOW - COMPLETION, SEED = 5 };

static struct tokenizer *tokenizer;
static const struct chat_style none = {.form = CHAT_NONE};
static struct prompt_form form = {
    .template_text = "Go on: {text}", .place = "{text}", .style = &none};
static struct token_list whole;
static const char text[] =
    "The children's train was unbelievably late, größer als 12,345.67 Züge; 北京 naïve coöperation "
    "re-reading  unhappily\n\nspaces   and\ttabs, 한글 과 emoji 🙂🙂 of everything that can be "
    "retokenised differently: electroencephalographically, misunderstandings 2024-11-27.";

static struct corpus_settings settings_of(int64_t most_prompt) {
    return (struct corpus_settings){.window_tokens = WINDOW,
                                    .completion_tokens = COMPLETION,
                                    .seed = SEED,
                                    .form = &form,
                                    .most_prompt = most_prompt};
}

static struct dataset_item item_of(int64_t row) {
    return (struct dataset_item){.row = row, .prompt = text, .prompt_length = strlen(text)};
}

/* Whether the prefix that begins there comes back from its text; the text goes to *out. */
static bool comes_back(int64_t begin, struct strbuf *out) {
    struct token_list again = {.ids = NULL};
    strbuf_clear(out);
    CHECK_OK(tokenizer_decode(tokenizer, whole.ids + begin, PREFIX, true, out));
    CHECK_OK(tokenizer_encode(tokenizer, strbuf_text(out), out->length, false, &again));
    const bool same = again.count == PREFIX &&
                      memcmp(again.ids, whole.ids + begin, PREFIX * sizeof *again.ids) == 0;
    memory_release(&again.ids);
    return same;
}

static int64_t place_of(int32_t source, int64_t epoch, int64_t row, uint32_t attempt) {
    const double u = random_uniform(SEED, RANDOM_WINDOW, (uint32_t)source, (uint32_t)epoch,
                                    (uint32_t)row, attempt);
    return (int64_t)(u * (double)(whole.count - WINDOW + 1));
}

static void check_window(struct corpus *corpus, int32_t source, int64_t epoch, int64_t row,
                         int *seen) {
    struct dataset_item item = item_of(row);
    struct strbuf prefix = STRBUF_EMPTY, completion = STRBUF_EMPTY;
    const int64_t before = corpus->redrawn;
    uint32_t attempt = 0;
    bool found;
    CHECK_OK(corpus_window(corpus, source, epoch, &item, &found));
    CHECK(found);
    while (!comes_back(place_of(source, epoch, row, attempt), &prefix))
        attempt++;
    CHECK_EQ(corpus->redrawn - before, attempt);
    CHECK_EQ(corpus->begin, place_of(source, epoch, row, attempt));
    CHECK_EQ(memcmp(corpus_tokens(corpus), whole.ids + corpus->begin, WINDOW * sizeof(int32_t)), 0);
    CHECK_TEXT(item.prompt, strbuf_text(&prefix));
    CHECK_EQ(item.prompt_length, prefix.length);
    CHECK_OK(tokenizer_decode(tokenizer, whole.ids + corpus->begin + PREFIX, COMPLETION, true,
                              &completion));
    CHECK_TEXT(item.reference, strbuf_text(&completion));
    seen[corpus->begin]++;
    strbuf_release(&prefix);
    strbuf_release(&completion);
}

/* All places whose prefix comes back are drawn, and no other. */
static void test_windows(void) {
    const struct corpus_settings settings = settings_of(1000);
    struct corpus corpus = corpus_of(&settings);
    struct strbuf prefix = STRBUF_EMPTY;
    int seen[1000] = {0}, good = 0;
    for (int64_t epoch = 0; epoch < 3000; epoch++)
        check_window(&corpus, (int32_t)(epoch % 3), epoch, 7 * epoch % 11, seen);
    for (int64_t begin = 0; begin + WINDOW <= whole.count; begin++) {
        const bool back = comes_back(begin, &prefix);
        good += back;
        CHECK_EQ(seen[begin] > 0, back);
    }
    CHECK(good < whole.count - WINDOW + 1);
    CHECK(corpus.redrawn > 0);
    strbuf_release(&prefix);
    corpus_release(&corpus);
}

static bool finds(struct corpus_settings settings) {
    struct corpus corpus = corpus_of(&settings);
    struct dataset_item item = item_of(0);
    bool found;
    CHECK_OK(corpus_window(&corpus, 0, 0, &item, &found));
    CHECK(found || item.prompt == text);
    corpus_release(&corpus);
    return found;
}

/* More than two completions, and a window; and a prompt that has room. */
static void test_lengths(void) {
    struct corpus_settings settings = settings_of(1000);
    struct token_list prompt = {.ids = NULL};
    CHECK_OK(tokenizer_encode(tokenizer, "Go on: ", 7, false, &prompt));
    settings.completion_tokens = (whole.count - 1) / 2;
    settings.window_tokens = settings.completion_tokens + 1;
    CHECK(finds(settings));
    settings.completion_tokens = (whole.count + 1) / 2;
    settings.window_tokens = settings.completion_tokens + 1;
    CHECK(!finds(settings));
    settings = settings_of(1000);
    settings.window_tokens = whole.count;
    CHECK(finds(settings));
    settings.window_tokens++;
    CHECK(!finds(settings));
    CHECK(finds(settings_of(PREFIX + prompt.count + 2)));
    CHECK(!finds(settings_of(PREFIX)));
    memory_release(&prompt.ids);
}

static void test_plain(const char *program) {
    struct dataset dataset;
    const struct dataset_source source = {.path = scratch_write(program, "txt", text, strlen(text)),
                                          .plain = true};
    CHECK_OK(dataset_open(&dataset, &source));
    CHECK_EQ(dataset.count, 1);
    CHECK_TEXT(dataset_item(&dataset, 0).prompt, text);
    CHECK_EQ(dataset_item(&dataset, 0).reference_length, 0);
    CHECK_EQ(strlen(dataset.sha256), 64);
    dataset_close(&dataset);
    scratch_write(program, "txt", "", 0);
    CHECK_STATUS(dataset_open(&dataset, &source), STATUS_INPUT, "the file is empty");
    scratch_write(program, "txt", "a\xff", 2);
    CHECK_STATUS(dataset_open(&dataset, &source), STATUS_INPUT, "not valid UTF-8");
}

int main(int argc, char **argv) {
    (void)argc;
    CHECK_OK(tokenizer_open(&tokenizer, "tests/data/text/qwen2"));
    form.tokenizer = tokenizer;
    CHECK_OK(tokenizer_encode(tokenizer, text, strlen(text), false, &whole));
    CHECK(whole.count > 3 * WINDOW && whole.count < 1000);
    test_windows();
    test_lengths();
    test_plain(argv[0]);
    memory_release(&whole.ids);
    tokenizer_destroy(&tokenizer);
    return CHECK_END();
}
