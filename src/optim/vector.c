/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/vector.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

static int64_t blocks_of(int64_t elements) {
    return (elements + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
}

static enum status layout_fill(struct vector_layout *layout, const struct vector_part *parts,
                               int64_t count) {
    int64_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        ASSERT(parts[i].offset == layout->elements && parts[i].elements > 0);
        layout->elements += parts[i].elements;
        largest = parts[i].elements > largest ? parts[i].elements : largest;
    }
    layout->count = count;
    TRY(memory_new(&layout->parts, count, "list of parameters"));
    memcpy(layout->parts, parts, (size_t)count * sizeof *parts);
    return memory_new(&layout->blocks, blocks_of(largest), "sums of blocks");
}

enum status vector_layout_create(struct vector_layout **layout, const struct vector_part *parts,
                                 int64_t count) {
    TRY(memory_new(layout, 1, "layout of the parameters"));
    const enum status status = layout_fill(*layout, parts, count);
    if (status != STATUS_OK)
        vector_layout_destroy(layout);
    return status;
}

void vector_layout_destroy(struct vector_layout **layout) {
    if (*layout == NULL)
        return;
    memory_release(&(*layout)->parts);
    memory_release(&(*layout)->blocks);
    memory_release(layout);
}

enum status vector_dot(struct backend *backend, const struct vector_layout *layout, const float *x,
                       const float *y, double *product) {
    double sum = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        const struct vector_part *part = &layout->parts[i];
        TRY(backend_run(backend, dot, .x = x + part->offset, .y = y + part->offset,
                        .blocks = layout->blocks, .n = part->elements));
        for (int64_t b = 0; b < blocks_of(part->elements); b++)
            sum += layout->blocks[b];
    }
    *product = sum;
    return STATUS_OK;
}

enum status vector_norm(struct backend *backend, const struct vector_layout *layout, const float *x,
                        double *norm) {
    TRY(vector_dot(backend, layout, x, x, norm));
    *norm = sqrt(*norm);
    return STATUS_OK;
}
