/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a model, counted from the same formulas that allocate them.
 */
#include "model/model_state.h"

#include <stdio.h>

struct plan {
    struct memory_part *parts;
    int64_t count, capacity;
};

static void add(struct plan *plan, const char *name, int64_t bytes) {
    if (bytes == 0)
        return;
    if (plan->count < plan->capacity) {
        struct memory_part *part = &plan->parts[plan->count];
        snprintf(part->name, sizeof part->name, "%s", name);
        part->bytes = bytes;
    }
    plan->count++;
}

/* Working weights: whole panels of the matrices, and the vectors. */
static int64_t weight_floats(int64_t rows, int64_t columns) {
    return (rows + WEIGHT_PANEL - 1) / WEIGHT_PANEL * WEIGHT_PANEL * columns;
}

static int64_t working_bytes(const struct hparams *h) {
    struct parameter_layout layout;
    parameters_layout(h, &layout);
    int64_t layer = 0;
    for (int i = 0; i < PART_COUNT; i++) {
        const struct part_place *part = &layout.parts[i];
        layer += part->matrix ? weight_floats(part->rows, part->columns) : part->elements;
    }
    const int64_t tables = (h->tied ? 1 : 2) * weight_floats(h->V, h->C);
    return (tables + h->layers * layer + h->C) * (int64_t)sizeof(float);
}

int64_t model_memory_plan(const struct hparams *h, bool recompute, int64_t tokens, int64_t targets,
                          struct memory_part *parts, int64_t capacity) {
    struct plan plan = {.parts = parts, .capacity = capacity};
    const struct space_shape shape = {
        .T = tokens, .R = targets, .keep = true, .recompute = recompute, .backward = true};
    add(&plan, "working weights", working_bytes(h));
    add(&plan, "rotary table", h->max_positions * h->D * (int64_t)sizeof(float));
    for (int i = 0; i < SPACE_COUNT; i++)
        add(&plan, space_name((enum space)i), space_bytes(h, &shape, (enum space)i));
    return plan.count;
}
