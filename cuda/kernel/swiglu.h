/* SPDX-License-Identifier: Apache-2.0
 *
 * The gated activation of the MLP and its gradient (backend.h: swiglu, swiglu_backward).
 */
#ifndef CUDA_KERNEL_SWIGLU_H
#define CUDA_KERNEL_SWIGLU_H

#include <stdint.h>

#include "tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

struct swiglu_launch {
    const void *gate_up; /* (T, 2 F) of dtype: gate, then up */
    void *out;           /* (T, F) of dtype = silu(gate) · up */
    int64_t T, F;
    enum dtype dtype;
};
int launch_swiglu(void *stream, const struct swiglu_launch *args);

struct swiglu_backward_launch {
    const void *gate_up; /* (T, 2 F) of dtype */
    const void *dout;    /* (T, F) of dtype */
    void *dgate_up;      /* (T, 2 F) of dtype =; may be gate_up itself */
    int64_t T, F;
    enum dtype dtype;
};
int launch_swiglu_backward(void *stream, const struct swiglu_backward_launch *args);

#ifdef __cplusplus
}
#endif

#endif
