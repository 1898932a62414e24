/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the output head is the embedding: config.json says so by tie_word_embeddings, but where
 * the weights hold a head of their own that differs, the weights decide, as in transformers 5.
 */
#ifndef MODEL_TIED_HEAD_H
#define MODEL_TIED_HEAD_H

#include <stdbool.h>

#define EMBEDDING_NAME "model.embed_tokens.weight"
#define HEAD_NAME      "lm_head.weight"

/* Whether the weights in the directory hold a head that differs from the embedding; told in the
 * log. Weights that are missing or cannot be read hold none: whoever loads them says so. */
bool tied_head_differs(const char *directory);

#endif
