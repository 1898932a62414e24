/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-level BPE as tokenizer.json describes it, equal to Hugging Face's `tokenizers` for the
 * families of Qwen2/2.5/3, Llama 3 and SmolLM2: NFC where asked for, the known splitting rules
 * (through PCRE2, with match limits), merges by rank
 * (`ignore_merges` too), added tokens recognised inside a text, the post-processor's begin token.
 * Any other rule is refused by name. Bytes that are not UTF-8 count as U+FFFD, one for each maximal
 * broken part.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "text/token_list.h"

struct tokenizer;

/* Reads DIR/tokenizer.json and the added and special tokens of the files beside it
 * (tokenizer_config.h). The caller destroys it. A tokenizer may be used by one thread at a time. */
enum status tokenizer_open(struct tokenizer **tokenizer, const char *directory) MUST_USE;

/* The same with further tokens: of the `count` contents, those that the tokenizer does not know take
 * the next free ids. They are found whole in texts, and are not special: they stay in what is decoded. */
enum status tokenizer_open_with(struct tokenizer **tokenizer, const char *directory,
                                const char *const *contents, int64_t count) MUST_USE;

void tokenizer_destroy(struct tokenizer **tokenizer);

/* Appends the ids of the text. special: apply the post-processor as `tokenizer(text)` does. */
enum status tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t length,
                             bool special, struct token_list *out) MUST_USE;

/* Appends the UTF-8 text of the ids, broken sequences as U+FFFD as `tokenizers` decodes them.
 * keep_special: added tokens marked special are written, and an id
 * outside the vocabulary is a sentence; else both are left out, as a model whose embedding is
 * larger than its tokenizer can draw such ids. */
enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, int64_t count,
                             bool keep_special, struct strbuf *out) MUST_USE;

/* Largest id + 1 over vocabulary and added tokens. */
int32_t tokenizer_size(const struct tokenizer *tokenizer);

/* The same without the further tokens of tokenizer_open_with, whose ids begin there. */
int32_t tokenizer_own_size(const struct tokenizer *tokenizer);

/* The tokens that tokenizer_open_with has added; an id below tokenizer_own_size is that of a piece of
 * text in the vocabulary, which is found whole now. */
const struct token_list *tokenizer_further(const struct tokenizer *tokenizer);

/* The text of a token as its content is written, of the length *length; not terminated. */
const char *tokenizer_content(const struct tokenizer *tokenizer, int32_t id, size_t *length);

/* Id of a token by its exact content (an added token, or a vocabulary entry in byte-level letters),
 * −1 when absent. */
int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *token);

/* Whether an id is that of an added token. */
bool tokenizer_is_added(const struct tokenizer *tokenizer, int32_t id);

/* The tokenizer's eos_token, −1 when it has none. */
int32_t tokenizer_end(const struct tokenizer *tokenizer);

/* Says how many ids the model has. A vocabulary that goes beyond is a sentence; an added token
 * beyond is one only where a text holds it. `path` names the model in sentences. */
enum status tokenizer_fit(struct tokenizer *tokenizer, int64_t ids, const char *path) MUST_USE;

/* Writes the tokenizer.json of a byte-level tokenizer without merges (256 bytes, then the named
 * special tokens) with Qwen2's splitting rule: what `gradus init` uses. */
enum status tokenizer_write_bytes(const char *path, const char *const *special,
                                  int64_t special_count) MUST_USE;

#endif
