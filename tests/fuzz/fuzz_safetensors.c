/* SPDX-License-Identifier: Apache-2.0 */
#include "file/safetensors.h"
#include "fuzz/fuzz.h"

/* A file of safetensors; every byte of every tensor is read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct safetensors *files;
    volatile unsigned char seen = 0;
    fuzz_write("model.safetensors", data, size);
    const enum status status = safetensors_open(&files, fuzz_folder());
    for (int64_t i = 0; status == STATUS_OK && i < safetensors_count(files); i++) {
        const struct safetensor *tensor = safetensors_at(files, i);
        for (int64_t k = 0; k < tensor->bytes; k++)
            seen ^= ((const unsigned char *)tensor->data)[k];
        if (safetensors_find(files, tensor->name) == NULL)
            abort();
    }
    (void)seen;
    if (status == STATUS_OK)
        safetensors_close(&files);
    return fuzz_end(status, 0);
}
