/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of kernels share: a device that fails the test loudly, and arrays there and back.
 */
#ifndef TESTS_CUDA_FIXTURE_H
#define TESTS_CUDA_FIXTURE_H

#include "check.h"
#include "cuda/device.h"

/* Ends the test where it cannot go on. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != STATUS_OK) {                                                                 \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, status_sentence());      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Device 0; skips the test where there is none. */
static inline struct device fixture_open(void) {
    struct device device;
    int count;
    MUST(device_count(&count));
    if (count == 0)
        CHECK_SKIP("no GPU");
    MUST(device_open(&device, 0));
    return device;
}

/* Memory of the device with these bytes in it (NULL: all bits set, NaNs). */
static inline void *fixture_upload(struct device *device, const void *from, size_t bytes) {
    void *memory = NULL;
    MUST(device_allocate(device, &memory, bytes, "a test's array"));
    if (from == NULL)
        MUST(device_fill(device, device->stream, memory, 0xff, bytes));
    else
        MUST(device_upload(device, device->stream, memory, from, bytes));
    MUST(device_synchronize(device, device->stream));
    return memory;
}

/* Copies back what the kernels in the stream have made of it. */
static inline void fixture_download(struct device *device, void *to, const void *from,
                                    size_t bytes) {
    MUST(device_download(device, device->stream, to, from, bytes));
    MUST(device_synchronize(device, device->stream));
}

/* Reproducible numbers in [−1, 1). */
static inline float fixture_number(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

#endif
