/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that a model has got beside its own (model.added_tokens), written into the files of its
 * tokenizer and its config.json, so that transformers reads them with the weights.
 */
#ifndef RUN_ADDED_TOKENS_H
#define RUN_ADDED_TOKENS_H

#include <stdint.h>

#include "base/status.h"
#include "model/hparams.h"
#include "run/model_directory.h"
#include "text/tokenizer.h"

/* Those of tokenizer_further are appended to added_tokens of tokenizer.json and, where these exist, to
 * added_tokens_decoder of tokenizer_config.json and to added_tokens.json; vocab_size of config.json
 * becomes V where rows were made. Without such tokens nothing is changed. */
enum status added_tokens_write(struct model_files *files, const struct tokenizer *tokenizer,
                               const struct hparams *hparams) MUST_USE;

#endif
