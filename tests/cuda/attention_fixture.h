/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of attention share: heads, arrays of their element type, comparisons.
 */
#ifndef TESTS_CUDA_ATTENTION_FIXTURE_H
#define TESTS_CUDA_ATTENTION_FIXTURE_H

#include <math.h>
#include <string.h>

#include "arrays.h"
#include "cuda/kernel/attention_forward.h"

struct heads {
    enum dtype dtype;
    int64_t H, K, D;
};

static inline int64_t heads_width(struct heads s) {
    return (s.H + 2 * s.K) * s.D;
}

static inline const char *heads_text(struct heads s) {
    static char text[96];
    snprintf(text, sizeof text, "%s, %d/%d heads of %d", dtype_name(s.dtype), (int)s.H, (int)s.K,
             (int)s.D);
    return text;
}

static inline float *host_floats(int64_t n) {
    float *values = calloc((size_t)n + 1, sizeof *values);
    ASSERT(values != NULL);
    return values;
}

/* n numbers in [-size, size), as the element type has them. */
static inline float *draw(struct heads s, int64_t n, float size, uint64_t *state) {
    float *values = host_floats(n);
    for (int64_t i = 0; i < n; i++) {
        values[i] = size * fixture_number(state);
        if (s.dtype == DTYPE_BF16) {
            const uint32_t bits = (uint32_t)dtype_bf16_bits(values[i]) << 16;
            memcpy(&values[i], &bits, sizeof bits);
        }
    }
    return values;
}

/* A device array of the element type with these numbers in it; NULL: NaNs. */
static inline void *upload_as(struct device *device, struct heads s, const float *values,
                              int64_t n) {
    const size_t bytes = (size_t)n * dtype_bytes(s.dtype);
    void *converted = NULL;
    if (values != NULL) {
        converted = malloc(bytes + 1);
        ASSERT(converted != NULL);
        dtype_from_f32(s.dtype, values, converted, n);
    }
    void *memory = fixture_upload(device, converted, bytes);
    free(converted);
    return memory;
}

static inline float *download_as(struct device *device, struct heads s, const void *memory,
                                 int64_t n) {
    void *bytes = malloc((size_t)n * dtype_bytes(s.dtype) + 1);
    ASSERT(bytes != NULL);
    fixture_download(device, bytes, memory, (size_t)n * dtype_bytes(s.dtype));
    float *values = host_floats(n);
    dtype_to_f32(s.dtype, bytes, values, n);
    free(bytes);
    return values;
}

/* As arrays_compare and arrays_same, of these heads. */
static inline void compare(const char *what, struct heads s, const float *have, const double *want,
                           int64_t n, double tolerance) {
    char text[200];
    snprintf(text, sizeof text, "%s: %s", heads_text(s), what);
    arrays_compare(text, have, want, n, tolerance);
}

static inline void same_bits(const char *what, struct heads s, const float *a, const float *b,
                             int64_t n) {
    char text[200];
    snprintf(text, sizeof text, "%s: %s", heads_text(s), what);
    arrays_same(text, a, b, n);
}

/* Forward on the device: out and log_sum, of host memory that the caller frees. */
struct attended {
    float *out, *log_sum;
};

static inline struct attended attend(struct device *device, struct heads s, const float *qkv,
                                     const struct segment *segments, int64_t count) {
    const int64_t T = segments[count - 1].start + segments[count - 1].length,
                  block_count = attention_query_blocks(segments, count, s.H / s.K, NULL);
    struct attention_block *blocks = calloc((size_t)block_count, sizeof *blocks);
    ASSERT(blocks != NULL);
    attention_query_blocks(segments, count, s.H / s.K, blocks);
    void *memory[] = {upload_as(device, s, qkv, T * heads_width(s)),
                      fixture_upload(device, segments, (size_t)count * sizeof *segments),
                      fixture_upload(device, blocks, (size_t)block_count * sizeof *blocks),
                      upload_as(device, s, NULL, T * s.H * s.D),
                      fixture_upload(device, NULL, (size_t)(T * s.H) * sizeof(float))};
    const struct attention_forward_launch args = {.dtype = s.dtype,
                                                  .qkv = memory[0],
                                                  .segments = memory[1],
                                                  .blocks = memory[2],
                                                  .out = memory[3],
                                                  .log_sum = memory[4],
                                                  .block_count = block_count,
                                                  .H = s.H,
                                                  .K = s.K,
                                                  .D = s.D};
    MUST(DEVICE_LAUNCH(launch_attention_forward(device->stream, &args)));
    struct attended result = {download_as(device, s, args.out, T * s.H * s.D),
                              host_floats(T * s.H)};
    fixture_download(device, result.log_sum, args.log_sum, (size_t)(T * s.H) * sizeof(float));
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        device_release(device, &memory[i]);
    free(blocks);
    return result;
}

static inline void attended_release(struct attended *attended) {
    free(attended->out);
    free(attended->log_sum);
}

#endif
