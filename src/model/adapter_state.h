/* SPDX-License-Identifier: Apache-2.0
 *
 * What an adapter holds; for the files of this folder only.
 */
#ifndef MODEL_ADAPTER_STATE_H
#define MODEL_ADAPTER_STATE_H

#include "model/adapter.h"

enum { GROUP_TARGETS_MAX = 3, ADAPTER_GROUPS = 4 };

/* Targets whose outputs stand side by side in one part of a layer and share its input; the places
 * are the same for every layer, relative to its begin in the flat vector. */
struct adapter_group {
    enum layer_part part;
    int count; /* targets of this group that are adapted, 0 … GROUP_TARGETS_MAX */
    enum lora_target targets[GROUP_TARGETS_MAX];
    int64_t columns;                      /* K of all of them */
    int64_t rows[GROUP_TARGETS_MAX];      /* N of each */
    int64_t row_begin[GROUP_TARGETS_MAX]; /* its first output in the part */
    int64_t a_offset, b_offset[GROUP_TARGETS_MAX];
};

struct adapter_layer {
    struct weight a[ADAPTER_GROUPS];                    /* (count rank, columns) */
    struct weight b[ADAPTER_GROUPS][GROUP_TARGETS_MAX]; /* (rows, rank) */
};

struct adapter {
    struct backend *backend;
    struct hparams hparams;
    struct adapter_settings settings;
    float scale;
    enum dtype dtype; /* of the factors' working copy */
    struct adapter_group groups[ADAPTER_GROUPS];
    int64_t layer_elements; /* of the flat vector */
    int64_t widest;         /* largest count × rank of a group */
    struct adapter_layer *layers;
    struct parameter_set set;
    struct parameter *parameters; /* the set's items */
};

/* Index of the group that adapts a part, −1 for none. */
int adapter_group_of(const struct adapter *adapter, enum layer_part part);

#endif
