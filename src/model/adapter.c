/* SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter_state.h"

#include "base/memory.h"
#include "base/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One target: its names, and where its outputs stand. */
struct target {
    const char *name, *module, *block;
    enum layer_part part;
};

static const struct target targets[LORA_TARGETS] = {
    [LORA_Q] = {"q", "q_proj", "self_attn", PART_QKV},
    [LORA_K] = {"k", "k_proj", "self_attn", PART_QKV},
    [LORA_V] = {"v", "v_proj", "self_attn", PART_QKV},
    [LORA_O] = {"o", "o_proj", "self_attn", PART_O},
    [LORA_GATE] = {"gate", "gate_proj", "mlp", PART_GATE_UP},
    [LORA_UP] = {"up", "up_proj", "mlp", PART_GATE_UP},
    [LORA_DOWN] = {"down", "down_proj", "mlp", PART_DOWN},
};

const char *lora_target_module(enum lora_target target) {
    return targets[target].module;
}

const char *lora_target_name(enum lora_target target) {
    return targets[target].name;
}

float adapter_scale(const struct adapter_settings *settings) {
    const double rank = (double)settings->rank;
    return (float)(settings->alpha / (settings->rank_stabilized ? sqrt(rank) : rank));
}

/* Outputs of a target, and inputs. */
static int64_t target_rows(const struct hparams *h, enum lora_target target) {
    switch (target) {
    case LORA_Q:
        return h->H * h->D;
    case LORA_K:
    case LORA_V:
        return h->K * h->D;
    case LORA_GATE:
    case LORA_UP:
        return h->F;
    default:
        return h->C;
    }
}

static int64_t target_columns(const struct hparams *h, enum lora_target target) {
    return target == LORA_O ? h->H * h->D : target == LORA_DOWN ? h->F : h->C;
}

/* --- places --- */

/* The targets of one part, as far as they are adapted; `offset` is where the group begins. */
static int64_t place_group(struct adapter *adapter, enum layer_part part,
                           struct adapter_group *group, int64_t offset) {
    const int64_t rank = adapter->settings.rank;
    int64_t row = 0;
    *group = (struct adapter_group){.part = part, .a_offset = offset};
    for (int t = 0; t < LORA_TARGETS; t++) {
        if (targets[t].part != part)
            continue;
        const int64_t rows = target_rows(&adapter->hparams, (enum lora_target)t);
        if (adapter->settings.targets[t]) {
            group->targets[group->count] = (enum lora_target)t;
            group->columns = target_columns(&adapter->hparams, (enum lora_target)t);
            group->rows[group->count] = rows;
            group->row_begin[group->count++] = row;
        }
        row += rows;
    }
    offset += group->count * rank * group->columns;
    for (int i = 0; i < group->count; i++) {
        group->b_offset[i] = offset;
        offset += group->rows[i] * rank;
    }
    return offset;
}

static void place_groups(struct adapter *adapter) {
    static const enum layer_part parts[ADAPTER_GROUPS] = {PART_QKV, PART_O, PART_GATE_UP,
                                                          PART_DOWN};
    for (int g = 0; g < ADAPTER_GROUPS; g++) {
        struct adapter_group *group = &adapter->groups[g];
        adapter->layer_elements = place_group(adapter, parts[g], group, adapter->layer_elements);
        const int64_t width = group->count * adapter->settings.rank;
        adapter->widest = width > adapter->widest ? width : adapter->widest;
    }
}

int adapter_group_of(const struct adapter *adapter, enum layer_part part) {
    for (int g = 0; adapter != NULL && g < ADAPTER_GROUPS; g++)
        if (adapter->groups[g].part == part && adapter->groups[g].count > 0)
            return g;
    return -1;
}

/* --- the list of parameters --- */

static void name_factor(struct adapter *adapter, int64_t layer, enum lora_target target,
                        const char *factor, int64_t rows, int64_t columns, int64_t offset) {
    struct parameter *p = &adapter->parameters[adapter->set.count++];
    *p = (struct parameter){.rows = rows, .columns = columns, .matrix = true, .offset = offset};
    snprintf(p->name, sizeof p->name, "base_model.model.model.layers.%" PRId64 ".%s.%s.%s.weight",
             layer, targets[target].block, targets[target].module, factor);
}

static void list_group(struct adapter *adapter, int64_t layer, const struct adapter_group *group) {
    const int64_t rank = adapter->settings.rank, base = layer * adapter->layer_elements;
    for (int i = 0; i < group->count; i++)
        name_factor(adapter, layer, group->targets[i], "lora_A", rank, group->columns,
                    base + group->a_offset + i * rank * group->columns);
    for (int i = 0; i < group->count; i++)
        name_factor(adapter, layer, group->targets[i], "lora_B", group->rows[i], rank,
                    base + group->b_offset[i]);
}

static enum status list_parameters(struct adapter *adapter) {
    const int64_t layers = adapter->hparams.layers;
    TRY(memory_new(&adapter->parameters, layers * 2 * LORA_TARGETS,
                   "list of an adapter's factors"));
    for (int64_t l = 0; l < layers; l++)
        for (int g = 0; g < ADAPTER_GROUPS; g++)
            list_group(adapter, l, &adapter->groups[g]);
    adapter->set.items = adapter->parameters;
    adapter->set.elements = layers * adapter->layer_elements;
    return STATUS_OK;
}

/* --- life --- */

static enum status create_group(struct adapter *adapter, struct adapter_layer *layer, int g) {
    const struct adapter_group *group = &adapter->groups[g];
    const int64_t rank = adapter->settings.rank;
    if (group->count == 0)
        return STATUS_OK;
    TRY(weight_create(adapter->backend, &layer->a[g], group->count * rank, group->columns,
                      adapter->dtype, "factors of an adapter"));
    for (int i = 0; i < group->count; i++)
        TRY(weight_create(adapter->backend, &layer->b[g][i], group->rows[i], rank, adapter->dtype,
                          "factors of an adapter"));
    return STATUS_OK;
}

/* All that needs no backend. */
static enum status describe(struct adapter *adapter, const struct hparams *hparams,
                            const struct adapter_settings *settings) {
    ASSERT(settings->rank > 0);
    adapter->hparams = *hparams;
    adapter->settings = *settings;
    adapter->scale = adapter_scale(settings);
    place_groups(adapter);
    if (adapter->layer_elements == 0)
        return FAIL(STATUS_INPUT, "an adapter needs at least one of the targets q, k, v, o, gate, "
                                  "up, down");
    return list_parameters(adapter);
}

enum status adapter_parameters_list(const struct hparams *hparams,
                                    const struct adapter_settings *settings,
                                    struct parameter **items, struct parameter_set *set) {
    struct adapter adapter = {.backend = NULL};
    const enum status status = describe(&adapter, hparams, settings);
    *items = adapter.parameters;
    *set = adapter.set;
    return status;
}

static enum status create_all(struct adapter *adapter, const struct hparams *hparams,
                              const struct adapter_settings *settings) {
    TRY(describe(adapter, hparams, settings));
    TRY(memory_new(&adapter->layers, adapter->hparams.layers, "layers of an adapter"));
    for (int64_t l = 0; l < adapter->hparams.layers; l++)
        for (int g = 0; g < ADAPTER_GROUPS; g++)
            TRY(create_group(adapter, &adapter->layers[l], g));
    return STATUS_OK;
}

enum status adapter_create(struct adapter **out, struct backend *backend,
                           const struct hparams *hparams, enum dtype beside,
                           const struct adapter_settings *settings) {
    struct adapter *adapter = NULL;
    TRY(memory_new(&adapter, 1, "an adapter"));
    adapter->backend = backend;
    adapter->dtype = backend->ops->activations(backend, beside);
    const enum status status = create_all(adapter, hparams, settings);
    if (status != STATUS_OK)
        adapter_destroy(&adapter);
    *out = adapter;
    return status;
}

void adapter_destroy(struct adapter **pointer) {
    struct adapter *adapter = *pointer;
    if (adapter == NULL)
        return;
    for (int64_t l = 0; adapter->layers != NULL && l < adapter->hparams.layers; l++)
        for (int g = 0; g < ADAPTER_GROUPS; g++) {
            weight_release(adapter->backend, &adapter->layers[l].a[g]);
            for (int i = 0; i < GROUP_TARGETS_MAX; i++)
                weight_release(adapter->backend, &adapter->layers[l].b[g][i]);
        }
    memory_release(&adapter->layers);
    memory_release(&adapter->parameters);
    memory_release(pointer);
}

const struct adapter_settings *adapter_settings(const struct adapter *adapter) {
    return &adapter->settings;
}

const struct parameter_set *adapter_parameters(const struct adapter *adapter) {
    return &adapter->set;
}

/* --- values --- */

static bool is_a(const struct parameter *parameter) {
    return strstr(parameter->name, ".lora_A.") != NULL;
}

enum status adapter_initialise(const struct adapter *adapter, uint64_t seed, float *master) {
    float *values = NULL;
    enum status status = memory_new(&values, adapter->set.elements, "a new adapter");
    for (int64_t i = 0; status == STATUS_OK && i < adapter->set.count; i++) {
        const struct parameter *p = &adapter->set.items[i];
        const double bound = 1.0 / sqrt((double)p->columns);
        for (int64_t k = 0; is_a(p) && k < p->rows * p->columns; k++)
            values[p->offset + k] =
                (float)(bound *
                        (2.0 * random_uniform(seed, RANDOM_ADAPTER, (uint32_t)i,
                                              (uint32_t)((uint64_t)k >> 32), (uint32_t)k, 0) -
                         1.0));
    }
    if (status == STATUS_OK)
        status = adapter->backend->ops->upload(adapter->backend, master, values,
                                               (size_t)adapter->set.elements * sizeof *values);
    memory_release(&values);
    return status;
}

static enum status refresh_group(struct adapter *adapter, const struct adapter_layer *layer, int g,
                                 const float *master) {
    const struct adapter_group *group = &adapter->groups[g];
    if (group->count == 0)
        return STATUS_OK;
    TRY(backend_run(adapter->backend, pack, .source = master + group->a_offset,
                    .weight = layer->a[g]));
    for (int i = 0; i < group->count; i++)
        TRY(backend_run(adapter->backend, pack, .source = master + group->b_offset[i],
                        .weight = layer->b[g][i]));
    return STATUS_OK;
}

enum status adapter_refresh(struct adapter *adapter, const float *master) {
    for (int64_t l = 0; l < adapter->hparams.layers; l++)
        for (int g = 0; g < ADAPTER_GROUPS; g++)
            TRY(refresh_group(adapter, &adapter->layers[l], g,
                              master + l * adapter->layer_elements));
    return STATUS_OK;
}
