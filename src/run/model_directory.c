/* SPDX-License-Identifier: Apache-2.0 */
#include "run/model_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "file/atomic.h"
#include "file/bytes.h"
#include "file/json.h"
#include "run/head_file.h"
#include "run/tensor_file.h"

enum { PATH_BYTES = 4096 };

#define INDEX_NAME        "model.safetensors.index.json"
#define FILE_BYTES_MAX    ((int64_t)256 << 20)
#define SHARD_BYTES_USUAL ((int64_t)5000000000) /* as transformers cuts */

/* --- the files beside the weights --- */

static const char *const file_names[] = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
};

static enum status new_file(struct model_files *files, const char *name, struct strbuf **bytes) {
    ASSERT(files->count < MODEL_FILES_MAX && strlen(name) < sizeof files->files[0].name);
    struct model_file *file = &files->files[files->count++];
    snprintf(file->name, sizeof file->name, "%s", name);
    file->bytes = STRBUF_EMPTY;
    *bytes = &file->bytes;
    return STATUS_OK;
}

enum status model_files_read(struct model_files *files, const char *directory) {
    char path[PATH_BYTES];
    struct strbuf *bytes;
    files->count = 0;
    for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++) {
        const int length = snprintf(path, sizeof path, "%s/%s", directory, file_names[i]);
        if (length >= PATH_BYTES)
            return FAIL(STATUS_INPUT, "%s: the path of a file in it is too long", directory);
        if (i > 0 && !bytes_is_file(path)) /* config.json must be there */
            continue;
        TRY(new_file(files, file_names[i], &bytes));
        TRY(bytes_read_file(path, FILE_BYTES_MAX, bytes));
    }
    return STATUS_OK;
}

enum status model_files_replace(struct model_files *files, const char *name, const json_t *value) {
    char *text = json_text(value);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", name);
    model_files_remove(files, name);
    const enum status status = model_files_add(files, name, text, strlen(text));
    free(text);
    return status;
}

enum status model_files_add(struct model_files *files, const char *name, const char *bytes,
                            size_t length) {
    struct strbuf *copy;
    TRY(new_file(files, name, &copy));
    return strbuf_append(copy, bytes, length);
}

const struct model_file *model_files_find(const struct model_files *files, const char *name) {
    for (int i = 0; i < files->count; i++)
        if (strcmp(files->files[i].name, name) == 0)
            return &files->files[i];
    return NULL;
}

void model_files_remove(struct model_files *files, const char *name) {
    for (int i = 0; i < files->count; i++)
        if (strcmp(files->files[i].name, name) == 0) {
            strbuf_release(&files->files[i].bytes);
            files->files[i] = files->files[--files->count];
            return;
        }
}

void model_files_release(struct model_files *files) {
    for (int i = 0; i < files->count; i++)
        strbuf_release(&files->files[i].bytes);
    files->count = 0;
}

/* --- config.json --- */

/* The field under the spelling that is there; torch_dtype is understood by all versions. */
static int set_dtype(json_t *config, enum dtype dtype) {
    static const char *const values[] = {
        [DTYPE_F32] = "float32", [DTYPE_BF16] = "bfloat16", [DTYPE_F16] = "float16"};
    int failed = 0;
    const bool has_new = json_object_get(config, "dtype") != NULL;
    if (has_new)
        failed = json_object_set_new(config, "dtype", json_string(values[dtype]));
    if (!has_new || json_object_get(config, "torch_dtype") != NULL)
        failed |= json_object_set_new(config, "torch_dtype", json_string(values[dtype]));
    return failed;
}

static bool has_head(const struct model_directory *model) {
    for (int64_t i = 0; i < model->parameter_count; i++)
        if (strcmp(model->parameters[i].name, HEAD_NAME) == 0)
            return true;
    return false;
}

/* A head of its own is said in config.json too: not every reader looks at the weights. */
static int set_tied(json_t *config, const struct model_directory *model) {
    if (!json_is_true(json_object_get(config, "tie_word_embeddings")) || !has_head(model))
        return 0;
    return json_object_set_new(config, "tie_word_embeddings", json_false());
}

static enum status write_config(const struct model_file *file, const char *path,
                                const struct model_directory *model) {
    json_t *config;
    TRY(json_parse(strbuf_text(&file->bytes), file->bytes.length, file->name, 0, &config));
    if (!json_is_object(config)) {
        json_decref(config);
        return FAIL(STATUS_INPUT, "%s: it is not a JSON object", file->name);
    }
    const int failed = set_dtype(config, model->dtype) | set_tied(config, model);
    char *text = failed ? NULL : json_text(config);
    json_decref(config);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", file->name);
    const enum status status = atomic_write_file(path, text, (int64_t)strlen(text));
    free(text);
    return status;
}

static enum status join(char out[PATH_BYTES], const char *directory, const char *name) {
    if (snprintf(out, PATH_BYTES, "%s/%s", directory, name) >= PATH_BYTES)
        return FAIL(STATUS_INPUT, "%s: the path of a file in it is too long", directory);
    return STATUS_OK;
}

static enum status write_files(const struct model_directory *model, const char *directory) {
    char path[PATH_BYTES];
    for (int i = 0; i < model->files->count; i++) {
        const struct model_file *file = &model->files->files[i];
        TRY(join(path, directory, file->name));
        if (strcmp(file->name, "config.json") == 0)
            TRY(write_config(file, path, model));
        else
            TRY(atomic_write_file(path, strbuf_text(&file->bytes), (int64_t)file->bytes.length));
    }
    return STATUS_OK;
}

/* --- weights --- */

static int64_t elements(const struct parameter *parameter) {
    return parameter->rows * parameter->columns;
}

static int64_t tensor_bytes(const struct model_directory *model, int64_t i) {
    return elements(&model->parameters[i]) * (int64_t)dtype_bytes(model->dtype);
}

/* Parameters [begin, *end) go into one file. */
static int64_t shard_end(const struct model_directory *model, int64_t begin) {
    const int64_t limit = model->shard_bytes > 0 ? model->shard_bytes : SHARD_BYTES_USUAL;
    int64_t bytes = tensor_bytes(model, begin), end = begin + 1;
    while (end < model->parameter_count && bytes + tensor_bytes(model, end) <= limit)
        bytes += tensor_bytes(model, end++);
    return end;
}

static int64_t shard_count(const struct model_directory *model) {
    int64_t count = 0;
    for (int64_t at = 0; at < model->parameter_count; at = shard_end(model, at))
        count++;
    return count;
}

static void shard_name(char out[64], int64_t shard, int64_t count) {
    if (count == 1)
        snprintf(out, 64, "model.safetensors");
    else
        snprintf(out, 64, "model-%05lld-of-%05lld.safetensors", (long long)shard + 1,
                 (long long)count);
}

bool model_directory_writes(const char *name) {
    char again[64];
    long long shard, count;
    for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++)
        if (strcmp(name, file_names[i]) == 0)
            return true;
    if (strcmp(name, "model.safetensors") == 0 || strcmp(name, INDEX_NAME) == 0 ||
        strcmp(name, HEAD_FILE_NAME) == 0)
        return true;
    if (sscanf(name, "model-%18lld-of-%18lld", &shard, &count) != 2)
        return false;
    shard_name(again, shard - 1, count);
    return strcmp(name, again) == 0;
}

/* Parameters [begin, end) to one file. */
static enum status write_shard(const struct model_directory *model, int64_t begin, int64_t end,
                               const char *path) {
    const struct tensor_source source = {.parameters = model->parameters + begin,
                                         .count = end - begin,
                                         .dtype = model->dtype,
                                         .read = model->read,
                                         .context = model->context};
    return tensor_file_write(&source, path);
}

/* Writes the files of weights; `map` (tensor → file) is filled in. */
static enum status write_shards(const struct model_directory *model, const char *directory,
                                int64_t count, json_t *map) {
    char path[PATH_BYTES], name[64];
    int64_t begin = 0;
    for (int64_t shard = 0; shard < count; shard++) {
        const int64_t end = shard_end(model, begin);
        shard_name(name, shard, count);
        TRY(join(path, directory, name));
        TRY(write_shard(model, begin, end, path));
        for (; begin < end; begin++)
            if (json_object_set_new(map, model->parameters[begin].name, json_string(name)) != 0)
                return FAIL(STATUS_MEMORY, "%s: memory ran out", directory);
    }
    return STATUS_OK;
}

static enum status write_index(const struct model_directory *model, const char *directory,
                               json_t *map) {
    char path[PATH_BYTES];
    int64_t total = 0;
    TRY(join(path, directory, INDEX_NAME));
    for (int64_t i = 0; i < model->parameter_count; i++)
        total += tensor_bytes(model, i);
    json_t *root =
        json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (text == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", directory);
    const enum status status = atomic_write_file(path, text, (int64_t)strlen(text));
    free(text);
    return status;
}

static enum status write_weights(const struct model_directory *model, const char *directory) {
    const int64_t count = shard_count(model);
    json_t *map = json_object();
    if (map == NULL)
        return FAIL(STATUS_MEMORY, "%s: memory ran out", directory);
    enum status status = write_shards(model, directory, count, map);
    if (status == STATUS_OK && count > 1)
        status = write_index(model, directory, map);
    json_decref(map);
    return status;
}

/* Whoever gives the parameters, a run or a checkpoint, the same weights make the same bytes. */
static enum status write_weights_by_name(const struct model_directory *model,
                                         const char *directory) {
    struct model_directory sorted = *model;
    struct parameter *parameters;
    TRY(tensors_by_name(model->parameters, model->parameter_count, &parameters));
    sorted.parameters = parameters;
    const enum status status = write_weights(&sorted, directory);
    memory_release(&parameters);
    return status;
}

enum status model_directory_write(const struct model_directory *model, const char *path) {
    struct atomic *directory;
    TRY(atomic_directory_create(&directory, path, model->replace));
    enum status status = write_files(model, atomic_part(directory));
    if (status == STATUS_OK)
        status = write_weights_by_name(model, atomic_part(directory));
    if (status == STATUS_OK)
        status = head_file_write(&model->head, atomic_part(directory));
    if (status == STATUS_OK)
        return atomic_commit(&directory);
    atomic_abandon(&directory);
    return status;
}
