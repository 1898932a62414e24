/* SPDX-License-Identifier: Apache-2.0
 *
 * The flat vector of trainable parameters as a row of tensors, and its scalars: products are kept
 * per block of VECTOR_BLOCK elements of one tensor, in double, and added in index order, so that
 * they are the same for any number of threads and ranks (design, section 3).
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
};

struct vector_layout {
    struct vector_part *parts; /* (count), one behind the other from 0 on */
    int64_t count, elements;
    double *blocks; /* room for the products of the largest part */
};

/* Copies the parts, which must leave no gap. The caller destroys it. */
enum status vector_layout_create(struct vector_layout **layout, const struct vector_part *parts,
                                 int64_t count) MUST_USE;
void vector_layout_destroy(struct vector_layout **layout);

/* *product = Σ x y over vectors of the layout (backend memory); x may be y. */
enum status vector_dot(struct backend *backend, const struct vector_layout *layout, const float *x,
                       const float *y, double *product) MUST_USE;

/* *norm = √ Σ x². */
enum status vector_norm(struct backend *backend, const struct vector_layout *layout, const float *x,
                        double *norm) MUST_USE;

#endif
