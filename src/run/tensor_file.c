/* SPDX-License-Identifier: Apache-2.0 */
#include "run/tensor_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "file/safetensors.h"

enum { BLOCK_ELEMENTS = 1 << 16 };

static int64_t elements(const struct parameter *parameter) {
    return parameter->rows * parameter->columns;
}

/* One tensor in the dtype of the file. */
static int by_name(const void *a, const void *b) {
    const struct parameter *first = a, *second = b;
    return strcmp(first->name, second->name);
}

enum status tensors_by_name(const struct parameter *parameters, int64_t count,
                            struct parameter **sorted) {
    const size_t n = (size_t)count;
    TRY(memory_new(sorted, count, "list of tensors"));
    memcpy(*sorted, parameters, n * sizeof **sorted);
    qsort(*sorted, n, sizeof **sorted, by_name);
    return STATUS_OK;
}

static enum status write_tensor(const struct tensor_source *source,
                                const struct parameter *parameter, float *values,
                                struct safetensors_writer *writer) {
    float block[BLOCK_ELEMENTS];
    const int64_t n = elements(parameter);
    const size_t size = dtype_bytes(source->dtype);
    TRY(source->read(source->context, parameter, values));
    for (int64_t at = 0; at < n; at += BLOCK_ELEMENTS) {
        const int64_t take = n - at < BLOCK_ELEMENTS ? n - at : BLOCK_ELEMENTS;
        dtype_from_f32(source->dtype, values + at, block, take);
        TRY(safetensors_append(writer, block, take * (int64_t)size));
    }
    return STATUS_OK;
}

static enum status fill(const struct tensor_source *source, struct safetensors_writer *writer) {
    float *values;
    int64_t most = 0;
    for (int64_t i = 0; i < source->count; i++)
        most = elements(&source->parameters[i]) > most ? elements(&source->parameters[i]) : most;
    TRY(memory_new(&values, most, "one tensor"));
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < source->count && status == STATUS_OK; i++)
        status = write_tensor(source, &source->parameters[i], values, writer);
    memory_release(&values);
    return status;
}

static enum status begin(const struct tensor_source *source, const char *path,
                         struct safetensors_writer **writer) {
    struct safetensors_entry *entries;
    TRY(memory_new(&entries, source->count, "list of tensors"));
    for (int64_t i = 0; i < source->count; i++) {
        const struct parameter *parameter = &source->parameters[i];
        entries[i] = (struct safetensors_entry){.name = parameter->name,
                                                .dtype = dtype_name(source->dtype),
                                                .shape = {parameter->rows, parameter->columns},
                                                .rank = parameter->matrix ? 2 : 1};
    }
    const enum status status = safetensors_create(writer, path, entries, source->count);
    memory_release(&entries);
    return status;
}

enum status tensor_file_write(const struct tensor_source *source, const char *path) {
    struct safetensors_writer *writer;
    TRY(begin(source, path, &writer));
    const enum status status = fill(source, writer);
    if (status == STATUS_OK)
        return safetensors_commit(&writer);
    safetensors_abandon(&writer);
    return status;
}
