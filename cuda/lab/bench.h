/* SPDX-License-Identifier: Apache-2.0
 *
 * Timing of what is put into a stream: the median of 21 runs behind 3 that warm up, by events.
 */
#ifndef CUDA_LAB_BENCH_H
#define CUDA_LAB_BENCH_H

#include <stdio.h>
#include <stdlib.h>

#include "cuda/device.h"

#define BENCH_MUST(call)                                                                           \
    do {                                                                                           \
        if ((call) != STATUS_OK) {                                                                 \
            fprintf(stderr, "%s: %s\n", #call, status_sentence());                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Device 0; ends with 77 where there is none. */
static inline struct device bench_open(void) {
    struct device device;
    int count;
    BENCH_MUST(device_count(&count));
    if (count == 0) {
        printf("skipped: no GPU\n");
        exit(77);
    }
    BENCH_MUST(device_open(&device, 0));
    return device;
}

static inline int bench_order(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Milliseconds of one call of put(context), which puts work into the device's stream. */
static inline double bench_ms(struct device *device, enum status (*put)(void *context),
                              void *context) {
    enum { WARM = 3, RUNS = 21 };
    float ms[RUNS];
    void *from, *to;
    BENCH_MUST(device_event_create(device, &from));
    BENCH_MUST(device_event_create(device, &to));
    for (int i = -WARM; i < RUNS; i++) {
        BENCH_MUST(device_event_record(device, from, device->stream));
        BENCH_MUST(put(context));
        BENCH_MUST(device_event_record(device, to, device->stream));
        BENCH_MUST(device_event_synchronize(device, to));
        if (i >= 0)
            BENCH_MUST(device_event_elapsed_ms(device, from, to, &ms[i]));
    }
    device_event_destroy(device, from);
    device_event_destroy(device, to);
    qsort(ms, RUNS, sizeof *ms, bench_order);
    return ms[RUNS / 2];
}

struct bench_copy {
    struct device *device;
    void *to, *from;
    size_t bytes;
};

static inline enum status bench_put_copy(void *context) {
    const struct bench_copy *copy = (const struct bench_copy *)context;
    return device_copy(copy->device, copy->device->stream, copy->to, copy->from, copy->bytes);
}

/* What a copy on the device moves, bytes read and written, in GB/s: the ceiling of all that is bound
 * by memory. */
static inline double bench_copy_bandwidth(struct device *device) {
    struct bench_copy copy = {device, NULL, NULL, (size_t)1 << 30};
    BENCH_MUST(device_allocate(device, &copy.to, copy.bytes, "a copy"));
    BENCH_MUST(device_allocate(device, &copy.from, copy.bytes, "a copy"));
    BENCH_MUST(device_fill(device, device->stream, copy.from, 1, copy.bytes));
    const double ms = bench_ms(device, bench_put_copy, &copy);
    device_release(device, &copy.to);
    device_release(device, &copy.from);
    return 2.0 * (double)copy.bytes / ms * 1e-6;
}

#endif
