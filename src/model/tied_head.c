/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tied_head.h"

#include <string.h>

#include "base/log.h"
#include "file/safetensors.h"
#include "tensor/dtype.h"

enum { BLOCK_ELEMENTS = 4096 };

static bool same_shape(const struct safetensor *a, const struct safetensor *b) {
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

/* Values of different kinds of numbers are compared as fp32. */
static bool same_values(const struct safetensor *a, enum dtype a_dtype, const struct safetensor *b,
                        enum dtype b_dtype) {
    float x[BLOCK_ELEMENTS], y[BLOCK_ELEMENTS];
    for (int64_t at = 0; at < a->elements; at += BLOCK_ELEMENTS) {
        const int64_t n = a->elements - at < BLOCK_ELEMENTS ? a->elements - at : BLOCK_ELEMENTS;
        dtype_to_f32(a_dtype, (const char *)a->data + at * (int64_t)dtype_bytes(a_dtype), x, n);
        dtype_to_f32(b_dtype, (const char *)b->data + at * (int64_t)dtype_bytes(b_dtype), y, n);
        if (memcmp(x, y, (size_t)n * sizeof *x) != 0)
            return false;
    }
    return true;
}

static bool is_another(const struct safetensor *head, const struct safetensor *embedding) {
    enum dtype a, b;
    if (!same_shape(head, embedding))
        return true;
    if (!dtype_find(head->dtype, &a) || !dtype_find(embedding->dtype, &b))
        return strcmp(head->dtype, embedding->dtype) != 0;
    return !same_values(head, a, embedding, b);
}

bool tied_head_differs(const char *directory) {
    struct safetensors *files;
    if (safetensors_open(&files, directory) != STATUS_OK) {
        status_clear();
        return false;
    }
    const struct safetensor *head = safetensors_find(files, HEAD_NAME),
                            *embedding = safetensors_find(files, EMBEDDING_NAME);
    const bool differs = head != NULL && embedding != NULL && is_another(head, embedding);
    if (differs)
        log_info("model",
                 "%s: tie_word_embeddings is true, but " HEAD_NAME " differs from " EMBEDDING_NAME
                 ": the head of the weights is used and saved",
                 directory);
    safetensors_close(&files);
    return differs;
}
