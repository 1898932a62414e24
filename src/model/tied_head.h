/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the output head is the embedding: config.json says so by tie_word_embeddings, but where
 * the weights hold a head of their own that differs, the weights decide, as in transformers 5.
 */
#ifndef MODEL_TIED_HEAD_H
#define MODEL_TIED_HEAD_H

#include "base/status.h"
#include "model/hparams.h"

/* Sets hparams->tied to false, with a line in the log, where config.json ties the head but the
 * weights in the directory hold another one. Weights that are missing or cannot be read change
 * nothing: whoever loads them says so. */
void tied_head_check(const char *directory, struct hparams *hparams);

#endif
