/* SPDX-License-Identifier: Apache-2.0
 *
 * A model directory as transformers loads it: config.json, the tokenizer's files, and the weights
 * as safetensors. It appears whole or not at all.
 */
#ifndef RUN_MODEL_DIRECTORY_H
#define RUN_MODEL_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "model/model.h"
#include "run/tensor_file.h"
#include "tensor/dtype.h"

enum { MODEL_FILES_MAX = 16 };

/* The files of a model directory that are not weights, as bytes. */
struct model_files {
    struct model_file {
        char name[64];
        struct strbuf bytes;
    } files[MODEL_FILES_MAX];
    int count;
};

/* Reads those that are there: config.json (needed), generation_config.json, tokenizer.json,
 * tokenizer_config.json, special_tokens_map.json, added_tokens.json, chat_template.jinja,
 * vocab.json, merges.txt. model_files_release gives them back, also after a failure. */
enum status model_files_read(struct model_files *files, const char *directory) MUST_USE;
void model_files_release(struct model_files *files);

/* Adds one; the bytes are copied. */
enum status model_files_add(struct model_files *files, const char *name, const char *bytes,
                            size_t length) MUST_USE;

/* Puts a JSON value in the place of the file of that name, if there is one. */
enum status model_files_replace(struct model_files *files, const char *name,
                                const json_t *value) MUST_USE;

/* The file of that name; NULL when there is none. */
const struct model_file *model_files_find(const struct model_files *files, const char *name);

/* Takes the file of that name out, if there is one. */
void model_files_remove(struct model_files *files, const char *name);

struct model_directory {
    const struct parameter *parameters; /* in any order; one tensor for a tied head */
    int64_t parameter_count;
    /* Fills `out` with all values of a parameter, row by row. */
    enum status (*read)(void *context, const struct parameter *parameter, float *out);
    void *context;
    struct tensor_source head; /* of discriminator.safetensors; no tensors: there is none */
    const struct model_files *files;
    enum dtype dtype; /* of the weights in the directory */
    int64_t
        shard_bytes; /* a file of weights holds at most this many (one tensor at least); 0: 5e9 */
    bool replace;    /* what stands there gives way; else only an empty directory may */
};

/* Whether model_directory_write gives a file this name. */
bool model_directory_writes(const char *name);

/* Writes the directory; config.json says the dtype that was written, the tensors stand by name. */
enum status model_directory_write(const struct model_directory *model, const char *path) MUST_USE;

#endif
