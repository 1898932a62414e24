/* SPDX-License-Identifier: Apache-2.0
 *
 * Named tensors from wherever they are (the master of a run, a checkpoint) to a file of safetensors.
 */
#ifndef RUN_TENSOR_FILE_H
#define RUN_TENSOR_FILE_H

#include <stdint.h>

#include "base/status.h"
#include "model/parameters.h"
#include "tensor/dtype.h"

struct tensor_source {
    const struct parameter *parameters; /* in the order of the file */
    int64_t count;
    enum dtype dtype; /* in the file */
    /* Fills `out` with all values of a parameter, row by row. */
    enum status (*read)(void *context, const struct parameter *parameter, float *out);
    void *context;
};

/* The same parameters in the order of their names, so that the same values make the same bytes
 * whoever gives them, a run or a checkpoint; *sorted (memory_release) has `count`. */
enum status tensors_by_name(const struct parameter *parameters, int64_t count,
                            struct parameter **sorted) MUST_USE;

/* Writes the file, which appears whole or not at all. */
enum status tensor_file_write(const struct tensor_source *source, const char *path) MUST_USE;

#endif
