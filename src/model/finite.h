/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers that are not finite, in arrays and in vectors of named parameters.
 */
#ifndef MODEL_FINITE_H
#define MODEL_FINITE_H

#include "backend/backend.h"
#include "base/status.h"
#include "model/parameters.h"

/* Whether all n floats of backend memory are finite. */
enum status all_finite(struct backend *backend, const float *x, int64_t n, bool *finite) MUST_USE;

/* Index and value of the first of n elements of backend memory that is not finite; *index −1 for
 * none. */
enum status find_not_finite(struct backend *backend, enum dtype dtype, const void *x, int64_t n,
                            int64_t *index, float *value) MUST_USE;

/* Refuses a flat vector (parameters, or anything aligned with them) that holds a number which is
 * not finite; the sentence begins with `what` and names the tensor and the place. */
enum status parameter_set_check_finite(const struct parameter_set *set, struct backend *backend,
                                       const float *vector, const char *what) MUST_USE;

/* That sentence, for element `place` of the vector. Always fails. */
enum status parameter_set_refuse(const struct parameter_set *set, int64_t place, float value,
                                 const char *what) MUST_USE;

#endif
