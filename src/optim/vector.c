/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/vector.h"

#include "base/memory.h"

#include <string.h>

static int64_t blocks_of(int64_t elements) {
    return (elements + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
}

static enum status layout_fill(struct vector_layout *layout, const struct vector_part *parts,
                               int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        ASSERT(parts[i].offset == layout->elements && parts[i].elements > 0);
        layout->elements += parts[i].elements;
        layout->block_count += blocks_of(parts[i].elements);
    }
    layout->count = count;
    TRY(memory_new(&layout->parts, count, "list of parameters"));
    memcpy(layout->parts, parts, (size_t)count * sizeof *parts);
    TRY(backend_new(layout->backend, &layout->products, layout->block_count, "sums of blocks"));
    return memory_new(&layout->blocks, layout->block_count, "sums of blocks");
}

enum status vector_layout_create(struct vector_layout **layout, struct backend *backend,
                                 const struct vector_part *parts, int64_t count) {
    TRY(memory_new(layout, 1, "layout of the parameters"));
    (*layout)->backend = backend;
    const enum status status = layout_fill(*layout, parts, count);
    if (status != STATUS_OK)
        vector_layout_destroy(layout);
    return status;
}

void vector_layout_destroy(struct vector_layout **layout) {
    if (*layout == NULL)
        return;
    memory_release(&(*layout)->parts);
    backend_release((*layout)->backend, &(*layout)->products);
    memory_release(&(*layout)->blocks);
    memory_release(layout);
}

int64_t vector_layout_part(const struct vector_layout *layout, int64_t element) {
    int64_t low = 0, high = layout->count;
    ASSERT(element >= 0 && element < layout->elements);
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        *(layout->parts[middle].offset <= element ? &low : &high) = middle;
    }
    return low;
}

enum status vector_dot_blocks(const struct vector_layout *layout, int64_t begin, int64_t end,
                              const float *x, const float *y, double *blocks) {
    for (int64_t at = begin; at < end;) {
        const struct vector_part *part = &layout->parts[vector_layout_part(layout, at)];
        const int64_t stop =
            part->offset + part->elements < end ? part->offset + part->elements : end;
        TRY(backend_run(layout->backend, dot, .x = x + (at - begin), .y = y + (at - begin),
                        .blocks = blocks, .n = stop - at));
        blocks += blocks_of(stop - at);
        at = stop;
    }
    return STATUS_OK;
}
