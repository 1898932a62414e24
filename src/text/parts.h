/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tokenizer is made of, for the files that read it and run it.
 */
#ifndef TEXT_PARTS_H
#define TEXT_PARTS_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/split.h"
#include "text/token_list.h"
#include "text/tokenizer_config.h"
#include "text/vocabulary.h"

struct tokenizer {
    struct vocabulary vocabulary;
    struct bpe bpe;
    struct splitter splitter;
    bool compose;                    /* bring texts to normal form C */
    struct added_set raw, normal;    /* added tokens looked for before and after that */
    struct token_list before, after; /* what the post-processor puts around a text */
    int32_t end;                     /* id of eos_token, −1: none */
    int32_t id_limit;                /* ids from here on are none of the model */
    int32_t own_size;          /* ids of its files; those behind were added when it was opened */
    struct token_list further; /* the tokens that were, of ids that may be of the files */
    struct strbuf repaired, composed;
};

/* Reads the tokenizer.json at `path`, and what the files beside it add, into a zeroed tokenizer;
 * after a failure it is still to be released. */
enum status parts_read(struct tokenizer *tokenizer, const char *path,
                       const struct tokenizer_config *beside) MUST_USE;

#endif
