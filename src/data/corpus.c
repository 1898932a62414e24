/* SPDX-License-Identifier: Apache-2.0 */
#include "data/corpus.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"

enum { TRIES = 1000 };

struct corpus corpus_of(const struct corpus_settings *settings) {
    return (struct corpus){.settings = *settings};
}

void corpus_release(struct corpus *corpus) {
    memory_release(&corpus->text.ids);
    corpus->text.count = corpus->text.capacity = 0;
    strbuf_release(&corpus->prefix);
    strbuf_release(&corpus->completion);
}

int64_t corpus_least_tokens(const struct corpus_settings *s) {
    const int64_t two = 2 * s->completion_tokens + 1;
    return two > s->window_tokens ? two : s->window_tokens;
}

/* Whether the text in `prefix` gives n tokens, these ones. */
static enum status is_the_same(struct corpus *corpus, const int32_t *ids, int64_t n, bool *same) {
    struct token_list again = {.ids = NULL};
    const enum status status =
        tokenizer_encode(corpus->settings.form->tokenizer, strbuf_text(&corpus->prefix),
                         corpus->prefix.length, false, &again);
    *same = again.count == n && memcmp(again.ids, ids, (size_t)n * sizeof *ids) == 0;
    memory_release(&again.ids);
    return status;
}

static enum status has_room(struct corpus *corpus, bool *room) {
    struct token_list prompt = {.ids = NULL};
    struct strbuf text = STRBUF_EMPTY;
    const struct utf8_span prefix = {strbuf_text(&corpus->prefix), corpus->prefix.length};
    const enum status status = prompt_encode(corpus->settings.form, prefix, &text, &prompt);
    *room = prompt.count <= corpus->settings.most_prompt;
    memory_release(&prompt.ids);
    strbuf_release(&text);
    return status;
}

/* The window that begins there: whether it can be used. */
static enum status try_window(struct corpus *corpus, int64_t begin, bool *fits) {
    const struct corpus_settings *s = &corpus->settings;
    const int64_t prefix = s->window_tokens - s->completion_tokens;
    const int32_t *ids = corpus->text.ids + begin;
    corpus->begin = begin;
    strbuf_clear(&corpus->prefix);
    TRY(tokenizer_decode(s->form->tokenizer, ids, prefix, true, &corpus->prefix));
    TRY(is_the_same(corpus, ids, prefix, fits));
    return *fits ? has_room(corpus, fits) : STATUS_OK;
}

static enum status take_window(struct corpus *corpus, struct dataset_item *item) {
    const struct corpus_settings *s = &corpus->settings;
    strbuf_clear(&corpus->completion);
    TRY(tokenizer_decode(s->form->tokenizer,
                         corpus_tokens(corpus) + s->window_tokens - s->completion_tokens,
                         s->completion_tokens, true, &corpus->completion));
    item->prompt = strbuf_text(&corpus->prefix);
    item->prompt_length = corpus->prefix.length;
    item->reference = strbuf_text(&corpus->completion);
    item->reference_length = corpus->completion.length;
    return STATUS_OK;
}

enum status corpus_window(struct corpus *corpus, int32_t source, int64_t epoch,
                          struct dataset_item *item, bool *found) {
    const struct corpus_settings *s = &corpus->settings;
    *found = false;
    corpus->text.count = 0;
    TRY(tokenizer_encode(s->form->tokenizer, item->prompt, item->prompt_length, false,
                         &corpus->text));
    const int64_t places = corpus->text.count - s->window_tokens + 1;
    if (corpus->text.count < corpus_least_tokens(s))
        return STATUS_OK;
    for (uint32_t attempt = 0; attempt < TRIES && !*found; attempt++) {
        const double u = random_uniform(s->seed, RANDOM_WINDOW, (uint32_t)source, (uint32_t)epoch,
                                        (uint32_t)item->row, attempt);
        TRY(try_window(corpus, (int64_t)(u * (double)places), found));
        corpus->redrawn += *found ? 0 : 1;
    }
    return *found ? take_window(corpus, item) : STATUS_OK;
}
