/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mauve_sample.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/memory.h"
#include "file/json.h"
#include "file/provenance.h"

void mauve_sample_release(struct mauve_sample *sample) {
    feature_texts_release(&sample->texts);
    memory_release(&sample->features);
    memory_release(&sample->labels);
}

/* --- texts --- */

static enum status append(struct mauve_sample *sample, const json_t *text) {
    if (sample->limit > 0 && sample->texts.count >= sample->limit)
        return STATUS_OK;
    return feature_texts_append(&sample->texts, sample->tokenizer, json_string_value(text),
                                json_string_length(text), sample->most_tokens);
}

/* The field, or the texts of what gradus generate has added to the line. */
static enum status visit(void *context, int64_t row, json_t *line) {
    struct mauve_sample *sample = context;
    const json_t *text = json_object_get(line, sample->field), *completion;
    const json_t *completions = json_object_get(line, "completions");
    char quoted[STATUS_QUOTE_MAX];
    size_t i;
    if (json_is_string(text))
        return append(sample, text);
    if (text != NULL || !json_is_array(completions))
        return FAIL(STATUS_INPUT, "%s:%" PRId64 ": the field %s is %s", sample->path, row + 1,
                    status_quote(quoted, sample->field, SIZE_MAX),
                    text != NULL ? "not a text" : "missing, and there are no completions");
    json_array_foreach((json_t *)(uintptr_t)completions, i, completion) {
        if (!json_is_string(json_object_get(completion, "text")))
            return FAIL(STATUS_INPUT, "%s:%" PRId64 ": completion %zu has no text", sample->path,
                        row + 1, i);
        TRY(append(sample, json_object_get(completion, "text")));
    }
    return STATUS_OK;
}

static enum status read_texts(struct mauve_sample *sample) {
    TRY(json_lines_read(sample->path, visit, sample));
    sample->n = sample->texts.count;
    if (sample->n == 0)
        return FAIL(STATUS_INPUT, "%s: there is no text in it%s", sample->path,
                    sample->texts.empty > 0 ? ", only empty ones" : "");
    return STATUS_OK;
}

/* --- numbers --- */

static enum status read_shape(const struct h5 *h5, const struct mauve_sample *sample,
                              const char *name, int rank, struct h5_shape *shape) {
    TRY(h5_shape(h5, name, shape));
    if (shape->is_text || shape->rank != rank)
        return FAIL(STATUS_INPUT, "%s: %s must have %d dimension%s and hold numbers", sample->path,
                    name, rank, rank > 1 ? "s" : "");
    if (shape->elements == 0)
        return FAIL(STATUS_INPUT, "%s: %s is empty", sample->path, name);
    return STATUS_OK;
}

/* In fp32, which is what a feature is; doubles are rounded. */
static enum status read_features(struct mauve_sample *sample, const struct h5 *h5) {
    struct h5_shape shape;
    double *wide = NULL;
    TRY(read_shape(h5, sample, "/features", 2, &shape));
    if (shape.kind != H5_KIND_F32 && shape.kind != H5_KIND_F64)
        return FAIL(STATUS_INPUT, "%s: /features must hold floating-point numbers", sample->path);
    sample->n = shape.sizes[0];
    sample->d = shape.sizes[1];
    TRY(memory_new(&sample->features, shape.elements, "features of texts"));
    if (shape.kind == H5_KIND_F32)
        return h5_get(h5, "/features", H5_KIND_F32, 0, sample->n, sample->features);
    TRY(memory_new(&wide, shape.elements, "features of texts"));
    const enum status status = h5_get(h5, "/features", H5_KIND_F64, 0, sample->n, wide);
    for (int64_t i = 0; status == STATUS_OK && i < shape.elements; i++)
        sample->features[i] = (float)wide[i];
    memory_release(&wide);
    return status;
}

static enum status read_labels(struct mauve_sample *sample, const struct h5 *h5) {
    struct h5_shape shape;
    int32_t *narrow = NULL;
    TRY(read_shape(h5, sample, "/labels", 1, &shape));
    sample->n = shape.elements;
    if (shape.kind == H5_KIND_I64)
        return h5_get_list(h5, "/labels", H5_KIND_I64, &sample->labels, &sample->n);
    if (shape.kind != H5_KIND_I32)
        return FAIL(STATUS_INPUT, "%s: /labels must hold integers of 32 or 64 bits", sample->path);
    TRY(memory_new(&sample->labels, sample->n, "labels of texts"));
    const enum status status = h5_get_list(h5, "/labels", H5_KIND_I32, &narrow, &sample->n);
    for (int64_t i = 0; status == STATUS_OK && i < sample->n; i++)
        sample->labels[i] = narrow[i];
    memory_release(&narrow);
    return status;
}

static enum status with_h5(struct mauve_sample *sample,
                           enum status (*use)(struct mauve_sample *, const struct h5 *)) {
    struct h5 *h5 = NULL;
    TRY(h5_open(&h5, sample->path));
    const enum status status = use(sample, h5);
    (void)h5_close(&h5);
    return status;
}

/* --- the file --- */

static enum status find_kind(struct mauve_sample *sample, const struct h5 *h5) {
    if (!h5_has(h5, "/labels") && !h5_has(h5, "/features"))
        return FAIL(STATUS_INPUT, "%s: there is neither /labels nor /features in it", sample->path);
    sample->kind = h5_has(h5, "/labels") ? MAUVE_LABELS : MAUVE_FEATURES;
    return STATUS_OK;
}

enum status mauve_sample_kind_of(struct mauve_sample *sample) {
    static const char hdf5[8] = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
    char first[sizeof hdf5];
    FILE *file = fopen(sample->path, "rb");
    if (file == NULL)
        return FAIL(STATUS_INPUT, "%s cannot be opened: %s", sample->path, strerror(errno));
    const size_t n = fread(first, 1, sizeof first, file);
    fclose(file);
    sample->kind = MAUVE_TEXTS;
    if (n < sizeof first || memcmp(first, hdf5, sizeof hdf5) != 0)
        return STATUS_OK;
    return with_h5(sample, find_kind);
}

enum status mauve_sample_read(struct mauve_sample *sample) {
    if (sample->kind == MAUVE_TEXTS)
        return read_texts(sample);
    return with_h5(sample, sample->kind == MAUVE_LABELS ? read_labels : read_features);
}

static enum status put_features(const struct mauve_sample *sample, struct h5 *h5, int threads) {
    struct provenance_input input;
    const int64_t sizes[2] = {sample->n, sample->d};
    TRY(provenance_hash(&input, sample->path));
    TRY(provenance_write(h5, &(struct provenance){.command = "gradus mauve",
                                                  .ranks = 1,
                                                  .threads = threads,
                                                  .inputs = &input,
                                                  .input_count = 1}));
    TRY(h5_put(h5, "/features", H5_KIND_F32, H5_STORAGE_PACKED, 2, sizes, sample->features));
    return h5_describe(h5, "/features", "1",
                       "hidden state behind the final norm at the last token of each text");
}

enum status mauve_sample_write(const struct mauve_sample *sample, const char *path, int threads) {
    struct h5 *h5 = NULL;
    TRY(h5_create(&h5, H5_FORMAT_CHECKED));
    const enum status status = put_features(sample, h5, threads);
    if (status == STATUS_OK)
        return h5_save(&h5, path);
    (void)h5_close(&h5);
    return status;
}
