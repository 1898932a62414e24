/* SPDX-License-Identifier: Apache-2.0
 *
 * The flat vector of trainable parameters as a row of tensors, and its scalars: products are kept
 * per block of VECTOR_BLOCK elements of one tensor, in double, and added in index order (shard_dot),
 * so that they are the same for any number of threads and ranks (design, section 3).
 */
#ifndef OPTIM_VECTOR_H
#define OPTIM_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/status.h"

/* One tensor of the vector. */
struct vector_part {
    int64_t offset, elements;
    bool decay; /* weight decay applies: matrices, LoRA factors; not biases and norm weights */
    enum dtype working; /* what the model computes with */
    bool head;          /* it moves by the learning rate of heads (optimizer.h) */
};

struct vector_layout {
    struct vector_part *parts; /* (count), one behind the other from 0 on */
    int64_t count, elements;
    int64_t block_count; /* of all parts */
    /* Room for their products (block_count): where they are computed, and on the host. */
    struct backend *backend;
    double *products, *blocks;
};

/* Copies the parts, which must leave no gap. The caller destroys it, before the backend is closed. */
enum status vector_layout_create(struct vector_layout **layout, struct backend *backend,
                                 const struct vector_part *parts, int64_t count) MUST_USE;
void vector_layout_destroy(struct vector_layout **layout);

/* Block sums of x y for the elements [begin, end) of the vector, which cut no block; x and y point
 * at element `begin` (backend memory), x may be y. blocks: one for each block, in order (backend
 * memory). */
enum status vector_dot_blocks(const struct vector_layout *layout, int64_t begin, int64_t end,
                              const float *x, const float *y, double *blocks) MUST_USE;

/* The part that holds an element. */
int64_t vector_layout_part(const struct vector_layout *layout, int64_t element);

#endif
