/* SPDX-License-Identifier: Apache-2.0
 *
 * The files beside tokenizer.json that say which tokens were added and what the special ones are
 * called: tokenizer_config.json and, where it has no added_tokens_decoder, special_tokens_map.json
 * and added_tokens.json (as transformers reads them: the map wins over the config). All may be
 * missing.
 */
#ifndef TEXT_TOKENIZER_CONFIG_H
#define TEXT_TOKENIZER_CONFIG_H

#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

struct tokenizer_config {
    const char *directory;        /* borrowed */
    json_t *config, *map, *added; /* NULL: no such file, or not looked at */
    const char *const *more;      /* (more_count) contents of further tokens, borrowed */
    int64_t more_count;
};

/* Reads them; tokenizer_config_close in any case. */
enum status tokenizer_config_open(struct tokenizer_config *files, const char *directory) MUST_USE;
void tokenizer_config_close(struct tokenizer_config *files);

/* The content of a named special token ("eos_token", "bos_token", …), NULL when it has none. */
const char *tokenizer_config_token(const struct tokenizer_config *files, const char *name);

/* Completes `added`, the added_tokens of tokenizer.json, by those of the other files: a new token
 * takes its id of `vocab`, else the next free one; one that is there already takes the flags of
 * added_tokens_decoder. Files that give one token two ids are refused. Then come the further tokens,
 * as far as they are not there: found whole in a text, as it stands, and part of what is decoded (not
 * special). *own: what there was before them. */
struct tokenizer_own {
    int32_t size; /* ids */
    size_t added; /* elements of `added` */
};
enum status tokenizer_config_complete(const struct tokenizer_config *files, const json_t *vocab,
                                      json_t *added, struct tokenizer_own *own) MUST_USE;

#endif
