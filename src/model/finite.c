/* SPDX-License-Identifier: Apache-2.0 */
#include "model/finite.h"

#include "base/memory.h"
#include "tensor/finite.h"

#include <inttypes.h>
#include <math.h>

/* The squares of floats do not leave double, so their sum is finite when all of them are. */
enum status all_finite(struct backend *backend, const float *x, int64_t n, bool *finite) {
    double *blocks = NULL, *sums = NULL, sum = 0;
    const int64_t count = (n + VECTOR_BLOCK - 1) / VECTOR_BLOCK;
    enum status status;
    TRY_ELSE(status, done, memory_new(&blocks, count, "sums of blocks"));
    TRY_ELSE(status, done, backend_new(backend, &sums, count, "sums of blocks"));
    TRY_ELSE(status, done, backend_run(backend, dot, .x = x, .y = x, .blocks = sums, .n = n));
    status = backend->ops->download(backend, blocks, sums, (size_t)count * sizeof *blocks);
    for (int64_t i = 0; i < count; i++)
        sum += blocks[i];
    *finite = isfinite(sum);
done:
    backend_release(backend, &sums);
    memory_release(&blocks);
    return status;
}

enum status find_not_finite(struct backend *backend, enum dtype dtype, const void *x, int64_t n,
                            int64_t *index, float *value) {
    const size_t bytes = (size_t)n * dtype_bytes(dtype);
    bool finite = false;
    float *host = NULL;
    void *stored = NULL;
    enum status status;
    *index = -1;
    if (dtype == DTYPE_F32)
        TRY(all_finite(backend, x, n, &finite));
    if (finite)
        return STATUS_OK;
    TRY_ELSE(status, done, memory_new(&host, n, "numbers being looked through"));
    TRY_ELSE(status, done, memory_allocate(&stored, bytes, 1, "numbers being looked through"));
    TRY_ELSE(status, done, backend->ops->download(backend, stored, x, bytes));
    dtype_to_f32(dtype, stored, host, n);
    *index = first_not_finite(host, n);
    *value = *index >= 0 ? host[*index] : 0.0f;
done:
    memory_release(&stored);
    memory_release(&host);
    return status;
}

enum status parameter_set_refuse(const struct parameter_set *set, int64_t place, float value,
                                 const char *what) {
    const struct parameter *p = set->items;
    int64_t i = 0;
    while (i < set->count - 1 && p[i + 1].offset <= place)
        i++;
    const int64_t at = place - p[i].offset;
    return FAIL(STATUS_NUMERIC,
                "%s%s holds %g at (%" PRId64 ", %" PRId64 "): the parameters are not finite any "
                "more; go back to an earlier checkpoint and lower optimizer.learning_rate",
                what, p[i].name, (double)value, at / p[i].columns, at % p[i].columns);
}

enum status parameter_set_check_finite(const struct parameter_set *set, struct backend *backend,
                                       const float *vector, const char *what) {
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        int64_t index;
        float value;
        TRY(find_not_finite(backend, DTYPE_F32, vector + p->offset, p->rows * p->columns, &index,
                            &value));
        if (index >= 0)
            return parameter_set_refuse(set, p->offset + index, value, what);
    }
    return STATUS_OK;
}
