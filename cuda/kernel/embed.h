/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows by index (backend.h: embed, gather_rows, scatter_rows).
 */
#ifndef CUDA_KERNEL_EMBED_H
#define CUDA_KERNEL_EMBED_H

#include <stdint.h>

#include "tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[t] = table[tokens[t]], widened; a row of NaN for a token that the table lacks. */
struct embed_launch {
    const void *table;     /* (V, C) of dtype */
    const int32_t *tokens; /* (T) */
    float *out;            /* (T, C) */
    int64_t T, V, C;
    enum dtype dtype; /* F32 or BF16 */
};
int launch_embed(void *stream, const struct embed_launch *args);

struct gather_rows_launch {
    const float *x;      /* (·, C) */
    const int32_t *rows; /* (R) */
    float *out;          /* (R, C) = x[rows[r]] */
    int64_t R, C;
};
int launch_gather_rows(void *stream, const struct gather_rows_launch *args);

struct scatter_rows_launch {
    const float *x;      /* (R, C) */
    const int32_t *rows; /* (R) */
    float *out;          /* (·, C): out[rows[r]] += x[r], in ascending r */
    int32_t *places;     /* (2, R) scratch */
    int64_t R, C;
};
int launch_scatter_rows(void *stream, const struct scatter_rows_launch *args);

#ifdef __cplusplus
}
#endif

#endif
