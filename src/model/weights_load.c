/* SPDX-License-Identifier: Apache-2.0
 *
 * From a Hugging Face directory to the working copy of the weights and, where there is one, to the
 * fp32 master.
 */
#include "model/weights_state.h"

#include "base/log.h"
#include "base/memory.h"
#include "file/safetensors.h"
#include "model/finite.h"
#include "model/tied_head.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct loading {
    struct weights *weights;
    const struct safetensors *files;
    float *master;  /* NULL: each block passes through `staging` */
    float *staging; /* backend memory of the largest block */
    float *host;    /* of the largest parameter */
    char *mapped;   /* the files' bytes, in the books alone */
};

static bool same_shape(const struct safetensor *tensor, const struct parameter *parameter) {
    if (!parameter->matrix)
        return tensor->rank == 1 && tensor->shape[0] == parameter->rows;
    return tensor->rank == 2 && tensor->shape[0] == parameter->rows &&
           tensor->shape[1] == parameter->columns;
}

static enum status refuse_shape(const struct safetensor *tensor,
                                const struct parameter *parameter) {
    char have[200] = "";
    size_t used = 0;
    for (int i = 0; i < tensor->rank && used < sizeof have - 24; i++)
        used += (size_t)snprintf(have + used, sizeof have - used,
                                 i == 0 ? "%" PRId64 : ", %" PRId64, tensor->shape[i]);
    if (parameter->matrix)
        return FAIL(STATUS_INPUT,
                    "%s: the tensor %s has shape (%s), config.json asks for (%" PRId64 ", %" PRId64
                    ")",
                    tensor->path, parameter->name, have, parameter->rows, parameter->columns);
    return FAIL(STATUS_INPUT,
                "%s: the tensor %s has shape (%s), config.json asks for (%" PRId64 ")",
                tensor->path, parameter->name, have, parameter->rows);
}

/* A file with a head alone serves a tied model: the head is the embedding. */
static const char *stored_name(const struct safetensors *files, const struct hparams *hparams,
                               const char *name) {
    const bool other = hparams->tied && strcmp(name, EMBEDDING_NAME) == 0 &&
                       safetensors_find(files, EMBEDDING_NAME) == NULL &&
                       safetensors_find(files, HEAD_NAME) != NULL;
    return other ? HEAD_NAME : name;
}

/* The tensor of a parameter, of the right shape and a kind that is understood. */
static enum status find_tensor(const struct safetensors *files, const struct hparams *hparams,
                               const struct parameter *parameter,
                               const struct safetensor **tensor) {
    TRY(safetensors_weight(files, stored_name(files, hparams, parameter->name), tensor));
    return same_shape(*tensor, parameter) ? STATUS_OK : refuse_shape(*tensor, parameter);
}

enum status weights_read_tensor(const struct safetensors *files, const struct hparams *hparams,
                                const struct parameter *parameter, float *out) {
    const int64_t n = parameter->rows * parameter->columns;
    const struct safetensor *tensor;
    enum dtype dtype = DTYPE_F32;
    TRY(find_tensor(files, hparams, parameter, &tensor));
    if (!dtype_find(tensor->dtype, &dtype))
        return FAIL(STATUS_DEFECT, "a weight of an unknown kind was let pass");
    dtype_to_f32(dtype, tensor->data, out, n);
    const int64_t bad = first_not_finite(out, n);
    if (bad < 0)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: the tensor %s holds %g at element %" PRId64 " of %" PRId64
                ": the file is damaged, or was written after a run had diverged",
                tensor->path, parameter->name, (double)out[bad], bad, n);
}

static enum status load_parameter(struct loading *loading, const struct parameter *parameter,
                                  float *to) {
    const struct weights *weights = loading->weights;
    const int64_t n = parameter->rows * parameter->columns;
    TRY(weights_read_tensor(loading->files, &weights->hparams, parameter, loading->host));
    return weights->backend->ops->upload(weights->backend, to, loading->host,
                                         (size_t)n * sizeof(float));
}

/* Blocks and parameters stand in the same order, so one walk serves both. */
static enum status load_blocks(struct loading *loading) {
    struct weights *weights = loading->weights;
    int64_t next = 0;
    for (int64_t i = 0; i < weights->block_count; i++) {
        const struct weight_block *block = &weights->blocks[i];
        const int64_t end = block->offset + block->elements;
        float *to = loading->master != NULL ? loading->master + block->offset : loading->staging;
        for (; next < weights->set.count && weights->set.items[next].offset < end; next++) {
            const struct parameter *parameter = &weights->set.items[next];
            TRY(load_parameter(loading, parameter, to + (parameter->offset - block->offset)));
        }
        TRY(weights_refresh_block(weights, block, to));
    }
    return STATUS_OK;
}

static bool known_name(const struct weights *weights, const char *name) {
    for (int64_t i = 0; i < weights->set.count; i++)
        if (strcmp(weights->set.items[i].name, name) == 0)
            return true;
    return false;
}

/* What no model of these families computes with, or what another tensor repeats. */
static bool is_harmless(const char *name) {
    static const char *const ends[] = {".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strlen(name) > strlen(ends[i]) &&
            strcmp(name + strlen(name) - strlen(ends[i]), ends[i]) == 0)
            return true;
    return strcmp(name, HEAD_NAME) == 0; /* the same as the embedding, or it would be known */
}

/* A layer or a bias that config.json does not ask for is not computed with, as in transformers. */
static void log_extra(const struct weights *weights, const struct safetensors *files) {
    int64_t extra = 0;
    const char *first = NULL;
    for (int64_t i = 0; i < safetensors_count(files); i++) {
        const char *name = safetensors_at(files, i)->name;
        if (known_name(weights, name) || is_harmless(name))
            continue;
        first = first == NULL ? name : first;
        extra++;
    }
    char quote[STATUS_QUOTE_MAX];
    if (extra > 0)
        log_info("model",
                 "extra tensors = %lld, which config.json does not ask for and nothing computes "
                 "with, the first is \"%s\"",
                 (long long)extra, status_quote(quote, first, SIZE_MAX));
}

/* Room for the largest tensor and, without a master, for the largest block; the mapped files are
 * booked too, since their pages become resident as they are read. */
static enum status loading_allocate(struct loading *loading, bool plans) {
    const struct weights *weights = loading->weights;
    int64_t block = 1, parameter = 1, mapped = 0;
    for (int64_t i = 0; i < weights->block_count; i++)
        if (weights->blocks[i].elements > block)
            block = weights->blocks[i].elements;
    for (int64_t i = 0; i < weights->set.count; i++) {
        const int64_t n = weights->set.items[i].rows * weights->set.items[i].columns;
        parameter = n > parameter ? n : parameter;
    }
    for (int64_t i = 0; i < safetensors_count(loading->files); i++)
        mapped += safetensors_at(loading->files, i)->bytes;
    TRY(memory_pretend(&loading->mapped, (size_t)mapped, 1, "files of weights, mapped"));
    TRY((plans ? memory_pretend : memory_allocate)(&loading->host, (size_t)parameter,
                                                   sizeof *loading->host, "a tensor being loaded"));
    if (loading->master != NULL)
        return STATUS_OK;
    return backend_new(weights->backend, &loading->staging, block, "weights being loaded");
}

/* All that can be refused is refused before the first tensor is read. */
static enum status check_tensors(const struct loading *loading) {
    const struct safetensor *tensor;
    for (int64_t i = 0; i < loading->weights->set.count; i++)
        TRY(find_tensor(loading->files, &loading->weights->hparams, &loading->weights->set.items[i],
                        &tensor));
    return STATUS_OK;
}

static enum status load(struct weights *weights, const char *directory, float *master, bool plans) {
    struct loading loading = {.weights = weights, .master = master};
    struct safetensors *files = NULL;
    enum status status;
    TRY_ELSE(status, done, safetensors_open(&files, directory));
    loading.files = files;
    TRY_ELSE(status, done, check_tensors(&loading));
    TRY_ELSE(status, done, loading_allocate(&loading, plans));
    if (!plans)
        TRY_ELSE(status, done, load_blocks(&loading));
    log_extra(weights, files);
done:
    backend_release(weights->backend, &loading.staging);
    memory_release(&loading.host);
    memory_release(&loading.mapped);
    safetensors_close(&files);
    return status;
}

enum status weights_load(struct weights *weights, const char *directory, float *master) {
    return load(weights, directory, master, false);
}

enum status weights_plan_load(struct weights *weights, const char *directory, float *master) {
    return load(weights, directory, master, true);
}
