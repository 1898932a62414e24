/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows of long texts: so many tokens in a row, whose last ones are a completion and whose first
 * ones, the prefix, are what a prompt shows of the text. A window is a function of (seed, source,
 * epoch, row) and the settings; it is cut between tokens of the whole text.
 *
 * The prefix is written into a prompt as text. A window whose prefix gives other tokens when it is
 * tokenised again (it begins inside a word, or inside a character), or whose prompt is longer than
 * there is room for, is drawn again, and that is counted.
 */
#ifndef DATA_CORPUS_H
#define DATA_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/prompt.h"

struct corpus_settings {
    int64_t window_tokens, completion_tokens; /* of a window; the last ones of it */
    uint64_t seed;
    const struct prompt_form *form; /* borrowed, as is its tokenizer */
    int64_t most_prompt;            /* tokens of the whole prompt */
};

struct corpus { /* read only for others */
    struct corpus_settings settings;
    struct token_list text;           /* of the text in hand */
    int64_t begin;                    /* of the window in it */
    struct strbuf prefix, completion; /* as texts */
    int64_t redrawn;                  /* windows drawn again; whoever counts sets it back */
};

struct corpus corpus_of(const struct corpus_settings *settings);
void corpus_release(struct corpus *corpus);

/* Tokens that a text must have: more than two completions, and a window. */
int64_t corpus_least_tokens(const struct corpus_settings *settings);

/* Makes of an item whose prompt is a text that of its window: the prompt is the prefix, the
 * reference the completion; both live until the next call. *found is false, and the item as it was,
 * where the text is too short or has no window that fits. */
enum status corpus_window(struct corpus *corpus, int32_t source, int64_t epoch,
                          struct dataset_item *item, bool *found) MUST_USE;

/* Tokens of the window in hand: prefix and completion, one behind the other. */
static inline const int32_t *corpus_tokens(const struct corpus *corpus) {
    return corpus->text.ids + corpus->begin;
}

#endif
