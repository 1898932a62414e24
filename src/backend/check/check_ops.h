/* SPDX-License-Identifier: Apache-2.0
 *
 * What each operation of backend.h reads and writes: check_list_OP lists the arguments of OP.
 */
#ifndef BACKEND_CHECK_CHECK_OPS_H
#define BACKEND_CHECK_CHECK_OPS_H

#include "backend/check/check_span.h"

#define X(op) void check_list_##op(struct check_list *list, struct op##_args *args);
BACKEND_OPERATIONS(X)
#undef X

#endif
