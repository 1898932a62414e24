/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary embedding of the query and key heads of rows, behind an RMS norm per head where the weights
 * are given, and its gradient (backend.h: rope, rope_backward).
 */
#ifndef CUDA_KERNEL_ROPE_H
#define CUDA_KERNEL_ROPE_H

#include <stdint.h>

#include "tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rope_launch {
    const void *qkv;              /* (T, (H + 2 K) D) of dtype */
    const int32_t *positions;     /* (T) */
    const float *table;           /* (max_positions, D): D/2 cosines, then D/2 sines */
    const float *q_norm, *k_norm; /* (D) or NULL, both or none */
    void *out;                    /* (T, (H + 2 K) D) of dtype; may be qkv itself */
    int64_t T, H, K, D;           /* D even, at most 256 */
    float epsilon;
    enum dtype dtype;
};
int launch_rope(void *stream, const struct rope_launch *args);

struct rope_backward_launch {
    struct rope_launch forward; /* as given to rope; `out` is not read. qkv: the unrotated rows */
    void *dqkv;                 /* (T, (H + 2 K) D): in: gradient of out; out: gradient of qkv */
    float *dq_norm, *dk_norm;   /* (D) =; NULL without norms, or both where nobody wants them */
    float *partial;             /* (rope_slots(T), 2, D) scratch; NULL where the two are */
};
int launch_rope_backward(void *stream, const struct rope_backward_launch *args);

/* Rows of `partial`. */
int64_t rope_slots(int64_t T);

#ifdef __cplusplus
}
#endif

#endif
