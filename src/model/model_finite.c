/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_finite.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* All bits of the exponent set: infinite or not a number. */
static uint32_t is_odd(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) == 0x7f800000u;
}

int64_t first_not_finite(const float *x, int64_t n) {
    enum { PIECE = 1024 };
    for (int64_t begin = 0; begin < n; begin += PIECE) {
        const int64_t end = n - begin < PIECE ? n : begin + PIECE;
        uint32_t odd = 0;
        for (int64_t i = begin; i < end; i++)
            odd |= is_odd(x[i]);
        for (int64_t i = begin; odd != 0 && i < end; i++)
            if (is_odd(x[i]))
                return i;
    }
    return -1;
}

/* The squares of floats do not leave double, so their sum is finite when all of them are. */
enum status all_finite(struct backend *backend, const float *x, int64_t n, bool *finite) {
    double *blocks = NULL, sum = 0;
    const int64_t count = (n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    TRY(memory_new(&blocks, count, "sums of blocks"));
    const enum status status = backend_run(backend, dot, .x = x, .y = x, .blocks = blocks, .n = n);
    for (int64_t i = 0; i < count; i++)
        sum += blocks[i];
    *finite = isfinite(sum);
    memory_release(&blocks);
    return status;
}

/* Position and value of the first number of x that is not finite; *index −1 for none. */
static enum status find(struct backend *backend, const float *x, int64_t n, int64_t *index,
                        float *value) {
    bool finite;
    float *host = NULL;
    *index = -1;
    TRY(all_finite(backend, x, n, &finite));
    if (finite)
        return STATUS_OK;
    TRY(memory_new(&host, n, "numbers being looked through"));
    const enum status status = backend->ops->download(backend, host, x, (size_t)n * sizeof *host);
    *index = status == STATUS_OK ? first_not_finite(host, n) : -1;
    *value = *index >= 0 ? host[*index] : 0.0f;
    memory_release(&host);
    return status;
}

enum status watch(const struct model *model, int64_t layer, const char *part, const float *x,
                  int64_t rows, int64_t columns) {
    char place[48] = "before the first layer";
    int64_t index;
    float value;
    if (!model->watched)
        return STATUS_OK;
    TRY(find(model->backend, x, rows * columns, &index, &value));
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

/* --- weights --- */

static enum status refuse_parameter(const struct model *model, int64_t place, float value,
                                    const char *what) {
    const struct parameter *p = model->parameters;
    int64_t i = 0;
    while (i < model->parameter_count - 1 && p[i + 1].offset <= place)
        i++;
    const int64_t at = place - p[i].offset;
    return FAIL(STATUS_NUMERIC,
                "%s%s holds %g at (%" PRId64 ", %" PRId64 "): the parameters are not finite any "
                "more; go back to an earlier checkpoint and lower optimizer.learning_rate",
                what, p[i].name, (double)value, at / p[i].columns, at % p[i].columns);
}

enum status model_check_finite(const struct model *model, const float *vector, const char *what) {
    for (int64_t i = 0; i < model->parameter_count; i++) {
        const struct parameter *p = &model->parameters[i];
        int64_t index;
        float value;
        TRY(find(model->backend, vector + p->offset, p->rows * p->columns, &index, &value));
        if (index >= 0)
            return refuse_parameter(model, p->offset + index, value, what);
    }
    return STATUS_OK;
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
    TRY(find(model->backend, values, block->elements, &index, &value));
    return index < 0 ? STATUS_OK : refuse_parameter(model, block->offset + index, value, "");
}

/* The working copy, for the master is the caller's. */
static enum status check_weights(const struct model *model) {
    int64_t largest = 1;
    float *unpacked = NULL;
    for (int64_t i = 0; i < model->block_count; i++)
        if (model->blocks[i].elements > largest)
            largest = model->blocks[i].elements;
    enum status status = backend_new(model->backend, &unpacked, largest, "weights looked through");
    for (int64_t i = 0; status == STATUS_OK && i < model->block_count; i++)
        status = check_block(model, &model->blocks[i], unpacked);
    backend_release(model->backend, &unpacked);
    return status;
}

enum status find_not_finite(struct model *model, enum status (*again)(void *context),
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
