/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers that are not finite.
 */
#ifndef TENSOR_FINITE_H
#define TENSOR_FINITE_H

#include <stdint.h>

/* Index of the first number that is not finite among n on the host, −1 for none. */
int64_t first_not_finite(const float *x, int64_t n);

#endif
