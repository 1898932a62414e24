/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors of the CUDA runtime as sentences, for the files that call it.
 */
#ifndef CUDA_DEVICE_CUDA_H
#define CUDA_DEVICE_CUDA_H

#include <cuda_runtime_api.h>

#include "base/status.h"

/* The status of a cudaError_t that is not cudaSuccess, with its sentence. */
enum status device_failed(int code, const char *what) MUST_USE;

/* TRY for calls of CUDA. */
#define CUDA(call)                                                                                 \
    do {                                                                                           \
        const cudaError_t error_ = (call);                                                         \
        if (error_ != cudaSuccess)                                                                 \
            return device_failed((int)error_, #call);                                              \
    } while (0)

#endif
