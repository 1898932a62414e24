/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory with an adapter as peft writes and reads it: adapter_config.json and
 * adapter_model.safetensors.
 */
#ifndef RUN_ADAPTER_DIRECTORY_H
#define RUN_ADAPTER_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "backend/backend.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "model/adapter.h"
#include "run/model_directory.h"
#include "run/tensor_file.h"

#define ADAPTER_CONFIG_NAME  "adapter_config.json"
#define ADAPTER_WEIGHTS_NAME "adapter_model.safetensors"

/* Rank, alpha, kind of scale and targets of the adapter in `path`. Which matrices are adapted is
 * read from the tensors, since target_modules may be a pattern. What would change the result and is
 * not done here (DoRA, biases, ranks by pattern, other matrices, some layers only, and fields that
 * are not known here) is refused by name. Dropout, which only training has, is not done. */
enum status adapter_directory_settings(const char *path, const struct hparams *hparams,
                                       struct adapter_settings *settings) MUST_USE;

/* Rank, alpha and targets as an open adapter_config.json says them; target_modules must be a list of
 * module names there. `path` names it in sentences. */
enum status adapter_config_read(const json_t *config, const char *path,
                                struct adapter_settings *settings) MUST_USE;

/* The factors to the flat vector of the adapter (backend memory). */
enum status adapter_directory_load(const char *path, const struct adapter *adapter,
                                   struct backend *backend, float *master) MUST_USE;

/* The adapter of the directory, ready for models of that shape beside weights of the type `beside`
 * (adapter_create); the caller destroys it. */
enum status adapter_directory_open(struct adapter **adapter, const char *path,
                                   struct backend *backend, const struct hparams *hparams,
                                   enum dtype beside) MUST_USE;

/* A line on it for gradus inspect: "adapter: rank 8, alpha 16, scale alpha / rank, on q, v". */
enum status adapter_settings_describe(const struct adapter_settings *settings,
                                      struct strbuf *out) MUST_USE;
enum status adapter_directory_describe(const char *path, struct strbuf *out) MUST_USE;

/* The text of adapter_config.json, appended to *out; `base` is the model that it adapts. */
enum status adapter_config_text(const struct adapter_settings *settings, const char *base,
                                struct strbuf *out) MUST_USE;

/* Whether adapter_directory_write gives a file this name. */
bool adapter_directory_writes(const char *name);

/* Writes the directory, which appears whole or not at all: `files` (adapter_config.json, and what
 * the caller adds), the factors, and discriminator.safetensors where the head has tensors. `replace`:
 * what stands there gives way, else only an empty one may. */
enum status adapter_directory_write(const char *path, const struct model_files *files,
                                    const struct tensor_source *factors,
                                    const struct tensor_source *head, bool replace) MUST_USE;

#endif
