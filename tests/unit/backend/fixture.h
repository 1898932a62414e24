/* SPDX-License-Identifier: Apache-2.0
 *
 * An open backend and the arrays of a test, given back together. Values are drawn from fixed seeds.
 * fixture_each runs a test on the backends "cpu" and "check" with every instruction set of this
 * machine, fixture_every on "cuda" too.
 */
#ifndef TESTS_UNIT_BACKEND_FIXTURE_H
#define TESTS_UNIT_BACKEND_FIXTURE_H

#include <math.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "backends.h"
#include "base/random.h"
#include "check.h"
#include "reference/reference.h"

enum { FIXTURE_ARRAYS = 128, FIXTURE_PLANS = 8 };

struct fixture {
    struct backend backend;
    char name[32];
    void *arrays[FIXTURE_ARRAYS]; /* of the backend */
    void *hosts[FIXTURE_ARRAYS];
    struct attention_plan plans[FIXTURE_PLANS];
    int array_count, host_count, plan_count;
    uint32_t draws; /* arrays drawn so far: the next one's stream */
};

static inline void fixture_open(struct fixture *f, const char *backend, int threads) {
    *f = (struct fixture){.draws = 0};
    snprintf(f->name, sizeof f->name, "%s", backend);
    CHECK_OK(backend_open(&f->backend, backend, threads));
    ASSERT(f->backend.ops != NULL);
}

/* Gives the arrays back; the backend stays open and the seeds start again. */
static inline void fixture_reset(struct fixture *f) {
    while (f->array_count > 0)
        backend_release(&f->backend, &f->arrays[--f->array_count]);
    while (f->host_count > 0)
        free(f->hosts[--f->host_count]);
    while (f->plan_count > 0)
        attention_plan_release(&f->backend, &f->plans[--f->plan_count]);
    f->draws = 0;
}

static inline void fixture_close(struct fixture *f) {
    fixture_reset(f);
    backend_close(&f->backend);
}

/* Backend memory with the bytes of `values` (zeros when NULL). */
static inline void *fixture_upload(struct fixture *f, const void *values, size_t bytes) {
    void *memory = NULL;
    ASSERT(f->array_count < FIXTURE_ARRAYS);
    CHECK_OK(f->backend.ops->allocate(&f->backend, &memory, bytes, "an array of the test"));
    if (values != NULL)
        CHECK_OK(f->backend.ops->upload(&f->backend, memory, values, bytes));
    f->arrays[f->array_count++] = memory;
    return memory;
}

static inline const struct attention_plan *fixture_plan(struct fixture *f,
                                                        const struct segment *segments,
                                                        int64_t segment_count, int64_t H, int64_t K,
                                                        int64_t D) {
    ASSERT(f->plan_count < FIXTURE_PLANS);
    struct attention_plan *plan = &f->plans[f->plan_count++];
    *plan = (struct attention_plan){.state = NULL};
    CHECK_OK(attention_plan_make(
        &f->backend, plan,
        &(struct attention_plan_args){
            .segments = segments, .segment_count = segment_count, .H = H, .K = K, .D = D}));
    return plan;
}

static inline float *fixture_floats(struct fixture *f, const float *values, int64_t n) {
    return fixture_upload(f, values, (size_t)n * sizeof *values);
}

static inline int32_t *fixture_ints(struct fixture *f, const int32_t *values, int64_t n) {
    return fixture_upload(f, values, (size_t)n * sizeof *values);
}

/* n normal numbers of that standard deviation around `mean`. */
static inline float *fixture_normal(struct fixture *f, int64_t n, double mean, double deviation) {
    float *values = calloc((size_t)n, sizeof *values);
    ASSERT(values != NULL);
    for (int64_t i = 0; i < n; i++)
        values[i] =
            (float)(mean + deviation * random_normal(7, RANDOM_TEST, f->draws, (uint32_t)i, 0, 0));
    f->draws++;
    float *out = fixture_floats(f, values, n);
    free(values);
    return out;
}

/* The n floats of a backend array as doubles on the host. */
static inline double *fixture_doubles(struct fixture *f, const float *array, int64_t n) {
    float *values = calloc((size_t)n + 1, sizeof *values);
    ASSERT(values != NULL && f->host_count < FIXTURE_ARRAYS);
    CHECK_OK(f->backend.ops->download(&f->backend, values, array, (size_t)n * sizeof *values));
    double *out = reference_widen(values, n);
    free(values);
    f->hosts[f->host_count++] = out;
    return out;
}

static inline double *fixture_host(struct fixture *f, int64_t n) {
    ASSERT(f->host_count < FIXTURE_ARRAYS);
    return f->hosts[f->host_count++] = reference_new(n);
}

/* A packed weight with the values of a backend array (rows, columns). */
static inline struct weight fixture_weight_as(struct fixture *f, const float *source, int64_t rows,
                                              int64_t columns, enum dtype dtype) {
    const size_t bytes = f->backend.ops->weight_bytes(rows, columns, dtype);
    const struct weight weight = {
        .panels = fixture_upload(f, NULL, bytes), .rows = rows, .columns = columns, .dtype = dtype};
    CHECK_OK(backend_run(&f->backend, pack, .source = source, .weight = weight));
    return weight;
}

static inline struct weight fixture_weight(struct fixture *f, const float *source, int64_t rows,
                                           int64_t columns) {
    return fixture_weight_as(f, source, rows, columns, DTYPE_F32);
}

/* Largest |have − want| over the largest |want| must stay below the tolerance. */
static inline void fixture_compare(struct fixture *f, const char *what, const float *array,
                                   const double *want, int64_t n, double tolerance) {
    const double *have = fixture_doubles(f, array, n);
    double size = 1e-30, error = 0;
    int64_t worst = 0;
    for (int64_t i = 0; i < n; i++) {
        size = fmax(size, fabs(want[i]));
        if (!(fabs(have[i] - want[i]) <= error)) {
            error = fabs(have[i] - want[i]);
            worst = i;
        }
    }
    if (!(error <= tolerance * size))
        CHECK_FAILED("%s: %s: element %lld is %.9g, expected %.9g; error %.3g of the largest, "
                     "allowed %.3g",
                     f->name, what, (long long)worst, have[worst], want[worst], error / size,
                     tolerance);
    else if (getenv("GRADUS_TEST_VERBOSE") != NULL)
        printf("%s: %s: error %.2g of the largest, allowed %.2g\n", f->name, what, error / size,
               tolerance);
}

/* A copy on the host of the n floats of a backend array. */
static inline float *fixture_copy(struct fixture *f, const float *array, int64_t n) {
    float *values = calloc((size_t)n + 1, sizeof *values);
    ASSERT(values != NULL && f->host_count < FIXTURE_ARRAYS);
    CHECK_OK(f->backend.ops->download(&f->backend, values, array, (size_t)n * sizeof *values));
    f->hosts[f->host_count++] = values;
    return values;
}

/* The same bits, of numbers on the host. */
static inline void fixture_same(struct fixture *f, const char *what, const float *a, const float *b,
                                int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0) {
            CHECK_FAILED("%s: %s: element %lld is %.9g and %.9g", f->name, what, (long long)i,
                         (double)a[i], (double)b[i]);
            return;
        }
}

/* The same bits, in two backend arrays. */
static inline void fixture_same_arrays(struct fixture *f, const char *what, const float *array,
                                       const float *other, int64_t n) {
    fixture_same(f, what, fixture_copy(f, array, n), fixture_copy(f, other, n), n);
}

static inline bool fixture_is_cuda(const struct fixture *f) {
    return strcmp(f->backend.ops->name, "cuda") == 0;
}

static inline void fixture_run(void (*test)(struct fixture *f), const char *backend,
                               const char *set) {
    struct fixture f;
    struct backend probe;
    setenv("GRADUS_ISA", set, 1);
    if (backend_open(&probe, "cpu", 1) != STATUS_OK) {
        printf("not on this machine: %s\n", status_sentence());
        return;
    }
    backend_close(&probe);
    fixture_open(&f, backend, 2);
    snprintf(f.name, sizeof f.name, "%s, %s", backend, set);
    test(&f);
    fixture_close(&f);
    unsetenv("GRADUS_ISA");
}

static inline void fixture_run_cuda(void (*test)(struct fixture *f)) {
    struct fixture f;
    if (!backends_have_cuda())
        return;
    fixture_open(&f, "cuda", 1);
    test(&f);
    fixture_close(&f);
}

/* Runs `test` on each backend with each instruction set that this machine has. */
static inline void fixture_each(void (*test)(struct fixture *f)) {
    static const char *const sets[] = {"plain", "avx2", "avx512"};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        fixture_run(test, "cpu", sets[s]);
        fixture_run(test, "check", sets[s]);
    }
}

/* The same, and on "cuda": tests that look into the backend's memory by downloads alone. */
static inline void fixture_every(void (*test)(struct fixture *f)) {
    fixture_each(test);
    fixture_run_cuda(test);
}

/* The same for products, where avx512bf16 differs from avx512. */
static inline void fixture_each_product(void (*test)(struct fixture *f)) {
    fixture_each(test);
    fixture_run(test, "cpu", "avx512bf16");
}

#endif
