/* SPDX-License-Identifier: Apache-2.0 */
#include "run/head_file.h"

#include <string.h>

#include "base/memory.h"
#include "file/bytes.h"
#include "file/safetensors.h"
#include "model/weights.h"
#include "run/directory.h"

enum status head_file_write(const struct tensor_source *head, const char *directory) {
    struct tensor_source sorted = *head;
    struct parameter *parameters;
    char path[DIRECTORY_PATH_BYTES];
    if (head->count == 0)
        return STATUS_OK;
    TRY(directory_path(directory, path, HEAD_FILE_NAME));
    TRY(tensors_by_name(head->parameters, head->count, &parameters));
    sorted.parameters = parameters;
    const enum status status = tensor_file_write(&sorted, path);
    memory_release(&parameters);
    return status;
}

static enum status load_tensors(const struct safetensors *files, const struct hparams *hparams,
                                const struct parameter_set *set, struct backend *backend,
                                float *master) {
    float *host;
    TRY(memory_new(&host, set->elements, "discriminator being loaded"));
    enum status status = STATUS_OK;
    for (int64_t i = 0; status == STATUS_OK && i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        status = weights_read_tensor(files, hparams, p, host);
        if (status == STATUS_OK)
            status = backend->ops->upload(backend, master + p->offset, host,
                                          (size_t)(p->rows * p->columns) * sizeof *host);
    }
    memory_release(&host);
    return status;
}

/* The head of a run that wanted no value has none. */
static enum status check_value(const struct safetensors *files, const struct parameter_set *set,
                               const char *path) {
    for (int64_t i = 0; i < set->count; i++)
        if (strstr(set->items[i].name, ".value.") != NULL &&
            safetensors_find(files, set->items[i].name) == NULL)
            return FAIL(STATUS_INPUT,
                        "%s: tensor \"%s\" is missing: a value head is trained where "
                        "adversarial.reward = \"value\" or adversarial.reason_tokens is above 0; "
                        "move the file away for a new head",
                        path, set->items[i].name);
    return STATUS_OK;
}

enum status head_file_load(const char *directory, const struct hparams *hparams,
                           const struct discriminator *discriminator, struct backend *backend,
                           float *master, bool *found) {
    struct safetensors *files;
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(directory, path, HEAD_FILE_NAME));
    *found = bytes_is_file(path);
    if (!*found)
        return STATUS_OK;
    TRY(safetensors_open(&files, path));
    const struct parameter_set *set = discriminator_parameters(discriminator);
    enum status status = check_value(files, set, path);
    if (status == STATUS_OK)
        status = load_tensors(files, hparams, set, backend, master);
    safetensors_close(&files);
    return status;
}

enum status head_file_split(const struct parameter *parameters, int64_t count,
                            struct parameter **sorted, int64_t *heads) {
    int64_t at = 0;
    TRY(memory_new(sorted, count, "list of tensors"));
    for (int head = 0; head < 2; head++) {
        *heads = count - at;
        for (int64_t i = 0; i < count; i++)
            if (discriminator_names(parameters[i].name) == (head == 1))
                (*sorted)[at++] = parameters[i];
    }
    return STATUS_OK;
}
