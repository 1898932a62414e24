/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a decoding step (backend.h: decode_append), so that it goes on without the host.
 */
#ifndef CUDA_KERNEL_APPEND_H
#define CUDA_KERNEL_APPEND_H

#include "backend/backend.h"

struct append_launch {
    struct decode_append_args append;
};

#ifdef __cplusplus
extern "C"
#endif
    int
    launch_append(void *stream, const struct append_launch *args);

#endif
