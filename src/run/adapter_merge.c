/* SPDX-License-Identifier: Apache-2.0 */
#include "run/adapter_merge.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "file/json.h"
#include "file/safetensors.h"
#include "model/adapter.h"
#include "model/hparams.h"
#include "model/weights.h"
#include "run/adapter_directory.h"

struct adapter_merge {
    struct hparams hparams;
    struct adapter_settings settings;
    struct safetensors *files; /* of the model */
    struct parameter *weights, *factors;
    struct parameter_set set, factor_set;
    enum status (*read)(void *context, const struct parameter *parameter, float *out);
    void *context;
    float *a, *b; /* room for the largest factors */
    double *row;  /* and for one row of a weight */
};

static enum status take_settings(struct adapter_merge *merge, const struct model_file *config,
                                 const char **base) {
    json_t *root;
    struct strbuf name = STRBUF_EMPTY;
    TRY(json_parse(strbuf_text(&config->bytes), config->bytes.length, config->name, 0, &root));
    const char *named = NULL;
    enum status status = adapter_config_read(root, config->name, &merge->settings);
    if (status == STATUS_OK)
        status = json_get_string(root, config->name, "base_model_name_or_path", NULL, &named);
    if (status == STATUS_OK && *base == NULL && named == NULL)
        status = FAIL(STATUS_INPUT, "%s names no model: name it with --model", config->name);
    if (status == STATUS_OK && *base == NULL)
        status = strbuf_append_text(&name, named);
    if (status == STATUS_OK)
        status = hparams_read(*base != NULL ? *base : strbuf_text(&name), &merge->hparams);
    if (status == STATUS_OK)
        status = safetensors_open(&merge->files, *base != NULL ? *base : strbuf_text(&name));
    strbuf_release(&name);
    json_decref(root);
    return status;
}

static enum status reserve(struct adapter_merge *merge) {
    int64_t most = 1;
    for (int64_t i = 0; i < merge->factor_set.count; i++) {
        const int64_t n = merge->factor_set.items[i].rows * merge->factor_set.items[i].columns;
        most = n > most ? n : most;
    }
    TRY(memory_new(&merge->a, most, "a factor"));
    TRY(memory_new(&merge->b, most, "a factor"));
    return memory_new(&merge->row, most, "a row of a weight");
}

static enum status open_all(struct adapter_merge *merge, const char *base,
                            const struct model_file *config) {
    TRY(take_settings(merge, config, &base));
    TRY(parameters_list(&merge->hparams, &merge->weights, &merge->set.count));
    merge->set.items = merge->weights;
    merge->set.elements = parameters_elements(&merge->hparams);
    TRY(adapter_parameters_list(&merge->hparams, &merge->settings, &merge->factors,
                                &merge->factor_set));
    return reserve(merge);
}

enum status adapter_merge_open(struct adapter_merge **merge, const char *base,
                               const struct model_file *config,
                               enum status (*read)(void *context, const struct parameter *parameter,
                                                   float *out),
                               void *context) {
    TRY(memory_new(merge, 1, "adapter being merged"));
    (*merge)->read = read;
    (*merge)->context = context;
    const enum status status = open_all(*merge, base, config);
    if (status != STATUS_OK)
        adapter_merge_close(merge);
    return status;
}

void adapter_merge_close(struct adapter_merge **merge) {
    if (*merge == NULL)
        return;
    safetensors_close(&(*merge)->files);
    memory_release(&(*merge)->weights);
    memory_release(&(*merge)->factors);
    memory_release(&(*merge)->a);
    memory_release(&(*merge)->b);
    memory_release(&(*merge)->row);
    memory_release(merge);
}

const struct parameter_set *adapter_merge_parameters(const struct adapter_merge *merge) {
    return &merge->set;
}

/* The factor of a weight, "lora_A" or "lora_B"; NULL where the weight is not adapted. */
static const struct parameter *factor_of(const struct adapter_merge *merge,
                                         const struct parameter *weight, const char *factor) {
    static const char ending[] = ".weight";
    char name[sizeof weight->name + 64];
    const size_t length = strlen(weight->name);
    if (length < sizeof ending || strcmp(weight->name + length - (sizeof ending - 1), ending) != 0)
        return NULL;
    snprintf(name, sizeof name, "base_model.model.%.*s.%s.weight",
             (int)(length - (sizeof ending - 1)), weight->name, factor);
    for (int64_t i = 0; i < merge->factor_set.count; i++)
        if (strcmp(merge->factor_set.items[i].name, name) == 0)
            return &merge->factor_set.items[i];
    return NULL;
}

/* out += γ B A, row by row; a row is summed up in double. */
static void add_product(const struct adapter_merge *merge, const struct parameter *weight,
                        int64_t rank, float *out) {
    const double scale = (double)adapter_scale(&merge->settings);
    const int64_t K = weight->columns;
    for (int64_t n = 0; n < weight->rows; n++) {
        double *sum = merge->row;
        for (int64_t k = 0; k < K; k++)
            sum[k] = (double)out[n * K + k];
        for (int64_t r = 0; r < rank; r++) {
            const double factor = scale * (double)merge->b[n * rank + r];
            for (int64_t k = 0; k < K; k++)
                sum[k] += factor * (double)merge->a[r * K + k];
        }
        for (int64_t k = 0; k < K; k++)
            out[n * K + k] = (float)sum[k];
    }
}

enum status adapter_merge_read(void *context, const struct parameter *parameter, float *out) {
    struct adapter_merge *merge = context;
    TRY(weights_read_tensor(merge->files, &merge->hparams, parameter, out));
    const struct parameter *a = factor_of(merge, parameter, "lora_A"),
                           *b = factor_of(merge, parameter, "lora_B");
    if (a == NULL)
        return STATUS_OK;
    ASSERT(b != NULL);
    TRY(merge->read(merge->context, a, merge->a));
    TRY(merge->read(merge->context, b, merge->b));
    add_product(merge, parameter, a->rows, out);
    return STATUS_OK;
}
