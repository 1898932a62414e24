/* SPDX-License-Identifier: Apache-2.0
 *
 * What each operation of backend.h reads and writes: check_list_OP lists the arguments of OP.
 */
#ifndef BACKEND_CHECK_CHECK_OPS_H
#define BACKEND_CHECK_CHECK_OPS_H

#include "backend/check/check_span.h"

#define CHECK_OPS(X)                                                                               \
    X(pack)                                                                                        \
    X(load)                                                                                        \
    X(unpack)                                                                                      \
    X(embed)                                                                                       \
    X(gemm)                                                                                        \
    X(gemm_dx)                                                                                     \
    X(gemm_dw)                                                                                     \
    X(rmsnorm)                                                                                     \
    X(rmsnorm_backward)                                                                            \
    X(rope)                                                                                        \
    X(rope_backward)                                                                               \
    X(attention)                                                                                   \
    X(attention_backward)                                                                          \
    X(cache_store)                                                                                 \
    X(attention_decode)                                                                            \
    X(swiglu)                                                                                      \
    X(swiglu_backward)                                                                             \
    X(gather_rows)                                                                                 \
    X(scatter_rows)                                                                                \
    X(head_block)                                                                                  \
    X(head_finish)                                                                                 \
    X(head_backward)                                                                               \
    X(sample)                                                                                      \
    X(accumulate)                                                                                  \
    X(resolve)                                                                                     \
    X(dot)                                                                                         \
    X(copy)                                                                                        \
    X(add)                                                                                         \
    X(lerp)                                                                                        \
    X(adamw)

#define X(op) void check_list_##op(struct check_list *list, struct op##_args *args);
CHECK_OPS(X)
#undef X

#endif
