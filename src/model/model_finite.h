/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers that are not finite: noticed at the end of a forward, which costs next to nothing, and
 * only then looked for. For the files of this folder; finite.h has checks for callers.
 */
#ifndef MODEL_MODEL_FINITE_H
#define MODEL_MODEL_FINITE_H

#include "model/model_state.h"

/* An activation (rows, columns) that `part` of layer `layer` has just written (−1: before the first
 * layer, `layers`: behind the last). Does nothing unless the forward is being watched; then refuses
 * numbers that are not finite, naming the part, the row and the column. */
enum status watch(const struct model *model, int64_t layer, const char *part, enum dtype dtype,
                  const void *x, int64_t rows, int64_t columns) MUST_USE;

/* A forward gave numbers that are not finite. Names the weight that is not finite, or else runs
 * `again` under watch, so that the first part of the first layer names itself. Always fails. */
enum status explain_not_finite(struct model *model, enum status (*again)(void *context),
                               void *context) MUST_USE;

#endif
