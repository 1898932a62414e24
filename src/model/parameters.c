/* SPDX-License-Identifier: Apache-2.0 */
#include "model/parameters.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>

/* One tensor of a layer, as the files name it. */
struct row {
    const char *name;
    enum layer_part part;
    int64_t rows, columns; /* rows 0: the model lacks it */
    bool matrix;
};
enum { ROWS = 19 };

static void layer_rows(const struct hparams *h, struct row rows[ROWS]) {
    const int64_t C = h->C, F = h->F, Q = h->H * h->D, KV = h->K * h->D;
    const int64_t norm = h->qk_norm ? h->D : 0, qb = h->qkv_bias ? Q : 0, kb = h->qkv_bias ? KV : 0;
    const int64_t ob = h->o_bias ? C : 0, fb = h->mlp_bias ? F : 0, db = h->mlp_bias ? C : 0;
    const struct row list[ROWS] = {
        {"input_layernorm.weight", PART_INPUT_NORM, C, 1, false},
        {"self_attn.q_proj.weight", PART_QKV, Q, C, true},
        {"self_attn.k_proj.weight", PART_QKV, KV, C, true},
        {"self_attn.v_proj.weight", PART_QKV, KV, C, true},
        {"self_attn.q_proj.bias", PART_QKV_BIAS, qb, 1, false},
        {"self_attn.k_proj.bias", PART_QKV_BIAS, kb, 1, false},
        {"self_attn.v_proj.bias", PART_QKV_BIAS, kb, 1, false},
        {"self_attn.q_norm.weight", PART_Q_NORM, norm, 1, false},
        {"self_attn.k_norm.weight", PART_K_NORM, norm, 1, false},
        {"self_attn.o_proj.weight", PART_O, C, Q, true},
        {"self_attn.o_proj.bias", PART_O_BIAS, ob, 1, false},
        {"post_attention_layernorm.weight", PART_POST_NORM, C, 1, false},
        {"mlp.gate_proj.weight", PART_GATE_UP, F, C, true},
        {"mlp.up_proj.weight", PART_GATE_UP, F, C, true},
        {"mlp.gate_proj.bias", PART_GATE_UP_BIAS, fb, 1, false},
        {"mlp.up_proj.bias", PART_GATE_UP_BIAS, fb, 1, false},
        {"mlp.down_proj.weight", PART_DOWN, C, F, true},
        {"mlp.down_proj.bias", PART_DOWN_BIAS, db, 1, false},
        {NULL, PART_COUNT, 0, 0, false},
    };
    for (int i = 0; i < ROWS; i++)
        rows[i] = list[i];
}

void parameters_layout(const struct hparams *h, struct parameter_layout *out) {
    struct row rows[ROWS];
    layer_rows(h, rows);
    *out = (struct parameter_layout){.first_layer = h->V * h->C};
    int64_t offset = 0;
    for (int i = 0; rows[i].name != NULL; i++) {
        struct part_place *part = &out->parts[rows[i].part];
        if (part->elements == 0)
            *part = (struct part_place){
                .offset = offset, .columns = rows[i].columns, .matrix = rows[i].matrix};
        part->rows += rows[i].rows;
        part->elements += rows[i].rows * rows[i].columns;
        offset += rows[i].rows * rows[i].columns;
    }
    out->layer_elements = offset;
    out->final_norm = out->first_layer + h->layers * offset;
    const int64_t end = out->final_norm + h->C;
    out->head = h->tied ? out->embed : end;
    out->elements = h->tied ? end : end + h->V * h->C;
}

int64_t parameters_elements(const struct hparams *hparams) {
    struct parameter_layout layout;
    parameters_layout(hparams, &layout);
    return layout.elements;
}

/* The list in the making. */
struct list {
    struct parameter *items;
    int64_t count, offset;
};

static struct parameter *add(struct list *list, int64_t rows, int64_t columns, bool matrix) {
    struct parameter *p = &list->items[list->count++];
    *p = (struct parameter){
        .rows = rows, .columns = columns, .matrix = matrix, .offset = list->offset};
    list->offset += rows * columns;
    return p;
}

static void add_named(struct list *list, const char *name, int64_t rows, int64_t columns,
                      bool matrix) {
    struct parameter *p = add(list, rows, columns, matrix);
    snprintf(p->name, sizeof p->name, "%s", name);
}

static void add_layer(struct list *list, const struct row *rows, int64_t layer) {
    for (int i = 0; rows[i].name != NULL; i++) {
        if (rows[i].rows == 0)
            continue;
        struct parameter *p = add(list, rows[i].rows, rows[i].columns, rows[i].matrix);
        snprintf(p->name, sizeof p->name, "model.layers.%" PRId64 ".%s", layer, rows[i].name);
    }
}

enum status parameters_list(const struct hparams *h, struct parameter **items, int64_t *count) {
    struct row rows[ROWS];
    struct list list = {.items = NULL};
    layer_rows(h, rows);
    TRY(memory_new(&list.items, h->layers * (ROWS - 1) + 3, "list of parameters"));
    add_named(&list, EMBEDDING_NAME, h->V, h->C, true);
    for (int64_t l = 0; l < h->layers; l++)
        add_layer(&list, rows, l);
    add_named(&list, "model.norm.weight", h->C, 1, false);
    if (!h->tied)
        add_named(&list, HEAD_NAME, h->V, h->C, true);
    *items = list.items;
    *count = list.count;
    return STATUS_OK;
}
