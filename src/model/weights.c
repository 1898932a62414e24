/* SPDX-License-Identifier: Apache-2.0
 *
 * The working copy of the weights: one table of blocks tells which run of the flat vector fills
 * which packed matrix or vector; loading and refreshing walk the same table.
 */
#include "model/weights_state.h"

#include "base/memory.h"

static void add_block(struct weights *weights, int64_t offset, int64_t elements,
                      const struct weight *weight, float *vector) {
    weights->blocks[weights->block_count++] = (struct weight_block){
        .offset = offset, .elements = elements, .weight = weight, .vector = vector};
}

static int64_t layer_vector_elements(const struct parameter_layout *layout) {
    int64_t sum = 0;
    for (int i = 0; i < PART_COUNT; i++)
        sum += layout->parts[i].matrix ? 0 : layout->parts[i].elements;
    return sum;
}

/* The parts of one layer; its vectors are taken from *vectors. */
static enum status create_layer(struct weights *weights, int64_t index, float **vectors) {
    struct layer *layer = &weights->layers[index];
    const int64_t base = weights->layout.first_layer + index * weights->layout.layer_elements;
    for (int i = 0; i < PART_COUNT; i++) {
        const struct part_place *part = &weights->layout.parts[i];
        if (part->elements == 0)
            continue;
        if (part->matrix) {
            TRY(weight_create(weights->backend, &layer->weights[i], part->rows, part->columns,
                              weights->dtype, "weights of a layer"));
        } else {
            layer->vectors[i] = *vectors;
            *vectors += part->elements;
        }
        add_block(weights, base + part->offset, part->elements,
                  part->matrix ? &layer->weights[i] : NULL, layer->vectors[i]);
    }
    return STATUS_OK;
}

static enum status create_blocks(struct weights *weights) {
    const struct hparams *h = &weights->hparams;
    const struct parameter_layout *layout = &weights->layout;
    struct backend *backend = weights->backend;
    TRY(memory_new(&weights->layers, h->layers, "layers of a model"));
    TRY(memory_new(&weights->blocks, h->layers * PART_COUNT + 3, "weight blocks of a model"));
    TRY(backend_new(backend, &weights->vectors, h->layers * layer_vector_elements(layout) + h->C,
                    "norms and biases"));
    TRY(weight_create(backend, &weights->embed, h->V, h->C, weights->dtype, "embedding"));
    add_block(weights, layout->embed, h->V * h->C, &weights->embed, NULL);
    float *vectors = weights->vectors;
    for (int64_t l = 0; l < h->layers; l++)
        TRY(create_layer(weights, l, &vectors));
    weights->final_norm = vectors;
    add_block(weights, layout->final_norm, h->C, NULL, vectors);
    if (h->tied) {
        weights->head = weights->embed;
        return STATUS_OK;
    }
    TRY(weight_create(backend, &weights->head, h->V, h->C, weights->dtype, "output head"));
    add_block(weights, layout->head, h->V * h->C, &weights->head, NULL);
    return STATUS_OK;
}

/* In bf16 two neighbours of a row share a word. */
static enum status check_widths(const struct hparams *h, enum dtype dtype) {
    const struct {
        const char *name;
        int64_t width;
    } widths[] = {{"hidden_size", h->C},
                  {"num_attention_heads times head_dim", h->H * h->D},
                  {"intermediate_size", h->F}};
    for (size_t i = 0; dtype == DTYPE_BF16 && i < sizeof widths / sizeof *widths; i++)
        if (widths[i].width % 2 != 0)
            return FAIL(STATUS_INPUT,
                        "the precision bf16 needs matrices of even width, but %s is %lld: take "
                        "fp32 for this model",
                        widths[i].name, (long long)widths[i].width);
    return STATUS_OK;
}

enum status weights_create(struct weights **out, struct backend *backend,
                           const struct hparams *hparams, enum dtype dtype) {
    struct weights *weights = NULL;
    *out = NULL;
    TRY(check_widths(hparams, dtype));
    TRY(memory_new(&weights, 1, "weights of a model"));
    weights->backend = backend;
    weights->hparams = *hparams;
    weights->dtype = dtype;
    parameters_layout(hparams, &weights->layout);
    weights->set.elements = weights->layout.elements;
    enum status status = parameters_list(hparams, &weights->parameters, &weights->set.count);
    weights->set.items = weights->parameters;
    if (status == STATUS_OK)
        status = create_blocks(weights);
    if (status != STATUS_OK)
        weights_destroy(&weights);
    *out = weights;
    return status;
}

void weights_destroy(struct weights **pointer) {
    struct weights *weights = *pointer;
    if (weights == NULL)
        return;
    struct backend *backend = weights->backend;
    for (int64_t l = 0; weights->layers != NULL && l < weights->hparams.layers; l++)
        for (int i = 0; i < PART_COUNT; i++)
            weight_release(backend, &weights->layers[l].weights[i]);
    if (!weights->hparams.tied)
        weight_release(backend, &weights->head);
    weight_release(backend, &weights->embed);
    backend_release(backend, &weights->vectors);
    memory_release(&weights->blocks);
    memory_release(&weights->layers);
    memory_release(&weights->parameters);
    memory_release(pointer);
}

const struct hparams *weights_hparams(const struct weights *weights) {
    return &weights->hparams;
}

const struct parameter_set *weights_parameters(const struct weights *weights) {
    return &weights->set;
}

enum dtype weights_dtype(const struct weights *weights) {
    return weights->dtype;
}

/* `source` holds the elements of this block. */
static enum status refresh_block(struct weights *weights, const struct weight_block *block,
                                 const float *source) {
    if (block->weight == NULL)
        return backend_run(weights->backend, copy, .x = source, .out = block->vector,
                           .n = block->elements);
    return backend_run(weights->backend, pack, .source = source, .weight = *block->weight);
}

enum status weights_refresh(struct weights *weights, const float *master) {
    for (int64_t i = 0; i < weights->block_count; i++)
        TRY(refresh_block(weights, &weights->blocks[i], master + weights->blocks[i].offset));
    return STATUS_OK;
}
