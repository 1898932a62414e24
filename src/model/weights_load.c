/* SPDX-License-Identifier: Apache-2.0
 *
 * From a Hugging Face directory to the working copy of the weights and, where there is one, to the
 * fp32 master. Matrices go from the mapped files to their panels in one pass, without a copy in
 * between; vectors, which are small, through a buffer.
 */
#include "model/weights_state.h"

#include "base/log.h"
#include "base/memory.h"
#include "file/safetensors.h"
#include "model/tied_head.h"
#include "tensor/finite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    STACKED_MAX = 3
}; /* parameters of one matrix: q, k, v; or the parts of one with made rows */

struct loading {
    struct weights *weights;
    const struct safetensors *files;
    float *master;                   /* or NULL */
    float *host;                     /* of the largest vector */
    struct fingerprint *fingerprint; /* or NULL */
    bool plans;
};

/* Whether some rows of a matrix are in no file. */
static bool has_made_rows(const struct hparams *hparams, const struct parameter *parameter) {
    return hparams->made.end > hparams->made.begin &&
           (strcmp(parameter->name, EMBEDDING_NAME) == 0 ||
            strcmp(parameter->name, HEAD_NAME) == 0);
}

/* Rows of a parameter in its file. */
static int64_t stored_rows(const struct hparams *hparams, const struct parameter *parameter) {
    return has_made_rows(hparams, parameter) ? hparams->made.stored : parameter->rows;
}

static bool same_shape(const struct safetensor *tensor, const struct parameter *parameter,
                       int64_t rows) {
    if (!parameter->matrix)
        return tensor->rank == 1 && tensor->shape[0] == rows;
    return tensor->rank == 2 && tensor->shape[0] == rows && tensor->shape[1] == parameter->columns;
}

static enum status refuse_shape(const struct safetensor *tensor, const struct parameter *parameter,
                                int64_t rows) {
    char have[200] = "";
    size_t used = 0;
    for (int i = 0; i < tensor->rank && used < sizeof have - 24; i++)
        used += (size_t)snprintf(have + used, sizeof have - used,
                                 i == 0 ? "%" PRId64 : ", %" PRId64, tensor->shape[i]);
    if (parameter->matrix)
        return FAIL(STATUS_INPUT,
                    "%s: the tensor %s has shape (%s), config.json asks for (%" PRId64 ", %" PRId64
                    ")",
                    tensor->path, parameter->name, have, rows, parameter->columns);
    return FAIL(STATUS_INPUT,
                "%s: the tensor %s has shape (%s), config.json asks for (%" PRId64 ")",
                tensor->path, parameter->name, have, rows);
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
    const int64_t rows = stored_rows(hparams, parameter);
    TRY(safetensors_weight(files, stored_name(files, hparams, parameter->name), tensor));
    return same_shape(*tensor, parameter, rows) ? STATUS_OK
                                                : refuse_shape(*tensor, parameter, rows);
}

/* The kind of number of a tensor that find_tensor gave, which is one of the three. */
static enum dtype dtype_of(const struct safetensor *tensor) {
    enum dtype dtype = DTYPE_F32;
    const bool known = dtype_find(tensor->dtype, &dtype);
    ASSERT(known);
    return dtype;
}

static enum status refuse_number(const struct safetensor *tensor, const struct parameter *parameter,
                                 int64_t element) {
    const enum dtype dtype = dtype_of(tensor);
    float value;
    dtype_to_f32(dtype, (const char *)tensor->data + (size_t)element * dtype_bytes(dtype), &value,
                 1);
    return FAIL(STATUS_INPUT,
                "%s: the tensor %s holds %g at element %" PRId64 " of %" PRId64
                ": the file is damaged, or was written after a run had diverged",
                tensor->path, parameter->name, (double)value, element,
                parameter->rows * parameter->columns);
}

enum status weights_read_tensor(const struct safetensors *files, const struct hparams *hparams,
                                const struct parameter *parameter, float *out) {
    const int64_t n = parameter->rows * parameter->columns;
    const struct safetensor *tensor;
    ASSERT(!has_made_rows(hparams, parameter));
    TRY(find_tensor(files, hparams, parameter, &tensor));
    dtype_to_f32(dtype_of(tensor), tensor->data, out, n);
    const int64_t bad = first_not_finite(out, n);
    return bad < 0 ? STATUS_OK : refuse_number(tensor, parameter, bad);
}

/* --- blocks --- */

/* The tensor of parameter `index`, which is about to be read, goes into the fingerprint. */
static enum status note_tensor(const struct loading *loading, int64_t index) {
    const struct weights *weights = loading->weights;
    const struct parameter *parameter = &weights->set.items[index];
    const struct safetensor *tensor;
    if (loading->fingerprint == NULL)
        return STATUS_OK;
    TRY(find_tensor(loading->files, &weights->hparams, parameter, &tensor));
    return fingerprint_add(loading->fingerprint, index, parameter, tensor);
}

static struct load_source source_of(const struct safetensor *tensor, int64_t begin, int64_t rows,
                                    int64_t columns) {
    const enum dtype dtype = dtype_of(tensor);
    return (struct load_source){.values = (const char *)tensor->data +
                                          (size_t)(begin * columns) * dtype_bytes(dtype),
                                .mapping = tensor->mapping,
                                .dtype = dtype,
                                .rows = rows};
}

/* Fills `rows` rows of `out` with the mean of the first `count` rows of a tensor: one sum in double for
 * each column, in the order of the rows. */
static void fill_mean(const struct safetensor *tensor, int64_t count, int64_t columns, int64_t rows,
                      double *sum, float *row, float *out) {
    const enum dtype dtype = dtype_of(tensor);
    const size_t bytes = (size_t)columns * dtype_bytes(dtype);
    for (int64_t r = 0; r < count; r++) {
        dtype_to_f32(dtype, (const char *)tensor->data + (size_t)r * bytes, row, columns);
        for (int64_t c = 0; c < columns; c++)
            sum[c] += (double)row[c];
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            out[r * columns + c] = (float)(sum[c] / (double)count);
}

/* The rows that no file holds, in *out, which the caller gives back. */
static enum status make_rows(const struct loading *loading, const struct safetensor *tensor,
                             int64_t columns, float **out) {
    const struct hparams *hparams = &loading->weights->hparams;
    const int64_t rows = hparams->made.end - hparams->made.begin;
    double *sum = NULL;
    float *row = NULL;
    enum status status = memory_new(out, rows * columns, "rows of added tokens");
    if (status == STATUS_OK)
        status = memory_new(&sum, columns, "rows of added tokens");
    if (status == STATUS_OK)
        status = memory_new(&row, columns, "rows of added tokens");
    if (status == STATUS_OK && !loading->plans)
        fill_mean(tensor, hparams->made.begin, columns, rows, sum, row, *out);
    memory_release(&row);
    memory_release(&sum);
    return status;
}

/* Gives a matrix to the backend; *bad: its first element that is not finite, −1 for none. */
static enum status load_sources(const struct loading *loading, const struct weight_block *block,
                                const struct load_source *sources, int64_t count, int64_t *bad) {
    *bad = -1;
    return backend_run(loading->weights->backend, load, .sources = sources, .source_count = count,
                       .weight = *block->weight,
                       .out = loading->master != NULL ? loading->master + block->offset : NULL,
                       .bad = bad);
}

/* Embedding or head with made rows: those before them, they, and what the file has behind them. */
static enum status load_with_rows(const struct loading *loading, const struct weight_block *block,
                                  const struct parameter *parameter) {
    const struct hparams *hparams = &loading->weights->hparams;
    const int64_t begin = hparams->made.begin, end = hparams->made.end,
                  rest = hparams->made.stored - end, columns = parameter->columns;
    const struct safetensor *tensor;
    float *made = NULL;
    int64_t bad;
    TRY(find_tensor(loading->files, hparams, parameter, &tensor));
    enum status status = make_rows(loading, tensor, columns, &made);
    if (status == STATUS_OK) {
        struct load_source sources[STACKED_MAX] = {
            source_of(tensor, 0, begin, columns),
            {.values = made, .dtype = DTYPE_F32, .rows = end - begin}};
        if (rest > 0)
            sources[2] = source_of(tensor, end, rest, columns);
        status = load_sources(loading, block, sources, rest > 0 ? 3 : 2, &bad);
    }
    if (status == STATUS_OK && bad >= 0)
        status = refuse_number(tensor, parameter, bad);
    memory_release(&made);
    return status;
}

/* A stack of parameters is one matrix. */
static enum status load_matrix(const struct loading *loading, const struct weight_block *block,
                               const struct parameter *parameters, int64_t count) {
    const struct weights *weights = loading->weights;
    struct load_source sources[STACKED_MAX];
    const struct safetensor *tensors[STACKED_MAX];
    int64_t bad;
    ASSERT(count <= STACKED_MAX);
    for (int64_t i = 0; i < count; i++) {
        TRY(find_tensor(loading->files, &weights->hparams, &parameters[i], &tensors[i]));
        sources[i] = source_of(tensors[i], 0, parameters[i].rows, parameters[i].columns);
    }
    TRY(load_sources(loading, block, sources, count, &bad));
    if (bad < 0)
        return STATUS_OK;
    int64_t i = count - 1;
    while (parameters[i].offset > block->offset + bad)
        i--;
    return refuse_number(tensors[i], &parameters[i], block->offset + bad - parameters[i].offset);
}

static enum status load_vectors(const struct loading *loading, const struct weight_block *block,
                                const struct parameter *parameters, int64_t count) {
    struct backend *backend = loading->weights->backend;
    for (int64_t i = 0; i < count; i++) {
        const struct parameter *p = &parameters[i];
        const size_t bytes = (size_t)p->rows * sizeof(float);
        TRY(weights_read_tensor(loading->files, &loading->weights->hparams, p, loading->host));
        TRY(backend->ops->upload(backend, block->vector + (p->offset - block->offset),
                                 loading->host, bytes));
        if (loading->master != NULL)
            TRY(backend->ops->upload(backend, loading->master + p->offset, loading->host, bytes));
    }
    return STATUS_OK;
}

/* Blocks and parameters stand in the same order, so one walk serves both. On a planned backend
 * matrices book what loading them takes. */
static enum status load_blocks(const struct loading *loading) {
    struct weights *weights = loading->weights;
    const struct parameter_set *set = &weights->set;
    int64_t next = 0;
    for (int64_t i = 0; i < weights->block_count; i++) {
        const struct weight_block *block = &weights->blocks[i];
        const int64_t end = block->offset + block->elements, first = next;
        for (; next < set->count && set->items[next].offset < end; next++)
            TRY(note_tensor(loading, next));
        if (block->weight != NULL && has_made_rows(&weights->hparams, &set->items[first]))
            TRY(load_with_rows(loading, block, &set->items[first]));
        else if (block->weight != NULL)
            TRY(load_matrix(loading, block, &set->items[first], next - first));
        else if (!loading->plans)
            TRY(load_vectors(loading, block, &set->items[first], next - first));
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

static enum status allocate_host(struct loading *loading) {
    const struct parameter_set *set = &loading->weights->set;
    int64_t most = 1;
    for (int64_t i = 0; i < set->count; i++)
        if (!set->items[i].matrix && set->items[i].rows > most)
            most = set->items[i].rows;
    return memory_new(&loading->host, most, "a vector being loaded");
}

/* All that can be refused is refused before the first tensor is read. */
static enum status check_tensors(const struct loading *loading) {
    const struct safetensor *tensor;
    for (int64_t i = 0; i < loading->weights->set.count; i++)
        TRY(find_tensor(loading->files, &loading->weights->hparams, &loading->weights->set.items[i],
                        &tensor));
    return STATUS_OK;
}

static enum status load(struct weights *weights, const char *directory, float *master,
                        struct fingerprint *fingerprint, bool plans) {
    struct loading loading = {
        .weights = weights, .master = master, .fingerprint = fingerprint, .plans = plans};
    struct safetensors *files = NULL;
    enum status status;
    TRY_ELSE(status, done, safetensors_open(&files, directory));
    loading.files = files;
    TRY_ELSE(status, done, check_tensors(&loading));
    TRY_ELSE(status, done, allocate_host(&loading));
    TRY_ELSE(status, done, load_blocks(&loading));
    log_extra(weights, files);
done:
    memory_release(&loading.host);
    safetensors_close(&files);
    return status;
}

enum status weights_load(struct weights *weights, const char *directory, float *master,
                         struct fingerprint *fingerprint) {
    return load(weights, directory, master, fingerprint, false);
}

enum status weights_plan_load(struct weights *weights, const char *directory, float *master) {
    return directory == NULL ? STATUS_OK : load(weights, directory, master, NULL, true);
}
