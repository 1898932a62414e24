/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_finite.h"

#include "model/finite.h"

#include <inttypes.h>
#include <stdio.h>

enum status watch(const struct model *model, int64_t layer, const char *part, enum dtype dtype,
                  const void *x, int64_t rows, int64_t columns) {
    char place[48] = "before the first layer";
    int64_t index;
    float value;
    if (!model->watched)
        return STATUS_OK;
    TRY(find_not_finite(model->backend, dtype, x, rows * columns, &index, &value));
    if (index < 0)
        return STATUS_OK;
    if (layer == model->hparams.layers)
        snprintf(place, sizeof place, "behind the last layer");
    else if (layer >= 0)
        snprintf(place, sizeof place, "in layer %" PRId64, layer);
    return FAIL(STATUS_NUMERIC,
                "%s, %s gives %g (row %" PRId64 ", column %" PRId64 "), although all weights and "
                "what it was given are finite: the numbers have outgrown fp32; if training did "
                "that, go back to an earlier checkpoint and lower optimizer.learning_rate",
                place, part, (double)value, index / columns, index % columns);
}

static enum status check_block(const struct model *model, const struct weight_block *block,
                               float *unpacked) {
    const float *values = block->vector;
    int64_t index;
    float value;
    if (block->weight != NULL) {
        TRY(backend_run(model->backend, unpack, .weight = *block->weight, .out = unpacked));
        values = unpacked;
    }
    TRY(find_not_finite(model->backend, DTYPE_F32, values, block->elements, &index, &value));
    return index < 0 ? STATUS_OK
                     : parameter_set_refuse(weights_parameters(model->weights),
                                            block->offset + index, value, "");
}

/* The working copy, for the master is the caller's. */
static enum status check_weights(const struct model *model) {
    int64_t largest = 1;
    float *unpacked = NULL;
    for (int64_t i = 0; i < model->weights->block_count; i++)
        if (model->weights->blocks[i].elements > largest)
            largest = model->weights->blocks[i].elements;
    enum status status = backend_new(model->backend, &unpacked, largest, "weights looked through");
    for (int64_t i = 0; status == STATUS_OK && i < model->weights->block_count; i++)
        status = check_block(model, &model->weights->blocks[i], unpacked);
    backend_release(model->backend, &unpacked);
    return status;
}

enum status explain_not_finite(struct model *model, enum status (*again)(void *context),
                               void *context) {
    TRY(check_weights(model));
    model->watched = true;
    const enum status status = again(context);
    model->watched = false;
    TRY(status);
    return FAIL(STATUS_NUMERIC,
                "a log-probability, an entropy or a hidden state is not finite, although all "
                "weights and activations are");
}
