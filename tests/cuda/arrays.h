/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays of a kernel's test in device memory, in fp32 or bf16, given back together; and comparisons
 * with what is expected, in double.
 */
#ifndef TESTS_CUDA_ARRAYS_H
#define TESTS_CUDA_ARRAYS_H

#include "base/random.h"
#include "fixture.h"
#include "reference/reference.h"
#include "tensor/dtype.h"

enum { ARRAYS_MAX = 256 };

struct arrays {
    struct device device;
    void *memory[ARRAYS_MAX], *host[ARRAYS_MAX];
    int memory_count, host_count;
    uint32_t draws; /* arrays drawn so far: the next one's stream */
};

static inline void arrays_open(struct arrays *a) {
    *a = (struct arrays){.device = fixture_open()};
}

static inline void arrays_reset(struct arrays *a) {
    while (a->memory_count > 0)
        device_release(&a->device, &a->memory[--a->memory_count]);
    while (a->host_count > 0)
        free(a->host[--a->host_count]);
    a->draws = 0;
}

static inline void arrays_close(struct arrays *a) {
    arrays_reset(a);
    device_close(&a->device);
}

static inline bool arrays_on_host(const struct arrays *a) {
    struct device_facts facts;
    MUST(device_facts(&a->device, &facts));
    return facts.is_host;
}

/* Device memory with these bytes (NULL: NaNs). */
static inline void *arrays_upload(struct arrays *a, const void *from, size_t bytes) {
    ASSERT(a->memory_count < ARRAYS_MAX);
    return a->memory[a->memory_count++] = fixture_upload(&a->device, from, bytes);
}

static inline void *arrays_host(struct arrays *a, int64_t n, size_t size) {
    ASSERT(a->host_count < ARRAYS_MAX);
    void *memory = calloc((size_t)n + 1, size);
    ASSERT(memory != NULL);
    return a->host[a->host_count++] = memory;
}

/* n elements of that type on the device; `values` become what they are there. */
static inline void *arrays_put(struct arrays *a, float *values, int64_t n, enum dtype dtype) {
    void *rounded = arrays_host(a, n, sizeof(float));
    dtype_from_f32(dtype, values, rounded, n);
    dtype_to_f32(dtype, rounded, values, n);
    return arrays_upload(a, rounded, (size_t)n * dtype_bytes(dtype));
}

static inline void *arrays_blank(struct arrays *a, int64_t n, enum dtype dtype) {
    return arrays_upload(a, NULL, (size_t)n * dtype_bytes(dtype));
}

/* n normal numbers of that standard deviation around `mean`. */
static inline float *arrays_normal(struct arrays *a, int64_t n, double mean, double deviation) {
    float *values = arrays_host(a, n, sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] =
            (float)(mean + deviation * random_normal(7, RANDOM_TEST, a->draws, (uint32_t)i, 0, 0));
    a->draws++;
    return values;
}

static inline double *arrays_doubles(struct arrays *a, int64_t n) {
    return arrays_host(a, n, sizeof(double));
}

static inline double *arrays_widen(struct arrays *a, const float *values, int64_t n) {
    double *out = arrays_doubles(a, n);
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)values[i];
    return out;
}

/* What the device has, widened. */
static inline float *arrays_get(struct arrays *a, const void *from, int64_t n, enum dtype dtype) {
    void *elements = arrays_host(a, n, sizeof(float));
    float *values = arrays_host(a, n, sizeof *values);
    fixture_download(&a->device, elements, from, (size_t)n * dtype_bytes(dtype));
    dtype_to_f32(dtype, elements, values, n);
    return values;
}

/* Largest |have − want| over the largest |want|. */
static inline void arrays_compare(const char *what, const float *have, const double *want,
                                  int64_t n, double tolerance) {
    double size = 1e-30, error = 0;
    int64_t worst = 0;
    for (int64_t i = 0; i < n; i++) {
        size = fmax(size, fabs(want[i]));
        if (!(fabs((double)have[i] - want[i]) <= error)) {
            error = fabs((double)have[i] - want[i]);
            worst = i;
        }
    }
    if (!(error <= tolerance * size))
        CHECK_FAILED("%s: element %lld is %.9g, expected %.9g; error %.3g of the largest, allowed "
                     "%.3g",
                     what, (long long)worst, (double)have[worst], want[worst], error / size,
                     tolerance);
    else if (getenv("GRADUS_TEST_VERBOSE") != NULL)
        printf("%s: error %.2g of the largest, allowed %.2g\n", what, error / size, tolerance);
}

static inline void arrays_same(const char *what, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0) {
            CHECK_FAILED("%s: element %lld is %.9g and %.9g", what, (long long)i, (double)a[i],
                         (double)b[i]);
            return;
        }
}

/* How far a result of that type is from what is right, at its size. */
static inline double arrays_tolerance(enum dtype dtype, double fp32) {
    return dtype == DTYPE_BF16 ? 0x1p-8 + fp32 : fp32;
}

#define RUN(a, call) MUST(DEVICE_LAUNCH(call))

#endif
