/* SPDX-License-Identifier: Apache-2.0
 *
 * The sum of tile gradients has no order and no ranks: its bits are those of one rank for any
 * order of the tiles and any share-out; too large and non-finite addends are noticed on all ranks;
 * totals become values in their own memory at every size.
 *
 * Two ranks are played by one process: the second one's gradient is kept aside, and a communicator
 * made for the test adds it.
 */
#include "optim/gradient.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"

enum { TILES = 7, MOST = 200003 };

static struct backend backend;
static float *tile_values; /* (MOST), backend memory */

/* Values of many magnitudes, so that a floating sum would depend on the order. */
static const float *tile(uint32_t index, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const double size = 12 * random_uniform(9, RANDOM_TEST, index, (uint32_t)i, 1, 0) - 12;
        const double value = random_normal(9, RANDOM_TEST, index, (uint32_t)i, 0, 0);
        tile_values[i] = (float)(value * pow(10, size));
    }
    return tile_values;
}

/* A rank that is not here: what it would bring to the collectives. */
struct absent {
    struct gradient *gradient;
    double refused; /* in every place of a maximum */
};

static enum status other_maximum(struct comm *comm, double *values, int64_t n) {
    const struct absent *absent = comm->state;
    for (int64_t i = 0; i < n; i++)
        values[i] = fmax(values[i], absent->refused);
    return STATUS_OK;
}

static enum status other_sum(struct comm *comm, int64_t *values, int64_t n) {
    const struct absent *absent = comm->state;
    for (int64_t i = 0; i < n; i++)
        values[i] += absent->gradient->totals[i];
    return STATUS_OK;
}

static const struct comm_ops other_ops = {
    .name = "other", .maximum = other_maximum, .sum_exact = other_sum};

struct bench {
    struct vector_layout *layout;
    struct gradient *here, *there;
};

static struct bench bench_open(int64_t n, enum gradient_reduction reduction) {
    const struct vector_part part = {0, n, true};
    struct bench b = {.layout = NULL};
    CHECK_OK(vector_layout_create(&b.layout, &part, 1));
    CHECK_OK(gradient_create(&b.here, &backend, b.layout, reduction));
    CHECK_OK(gradient_create(&b.there, &backend, b.layout, reduction));
    CHECK_OK(gradient_begin(b.here, TILES));
    CHECK_OK(gradient_begin(b.there, TILES));
    return b;
}

static void bench_close(struct bench *b) {
    gradient_destroy(&b->here);
    gradient_destroy(&b->there);
    vector_layout_destroy(&b->layout);
}

static enum gradient_outcome finish_alone(struct gradient *gradient) {
    struct comm comm;
    enum gradient_outcome outcome = GRADIENT_SKIP;
    comm_self_open(&comm);
    CHECK_OK(gradient_finish(gradient, &comm, &outcome));
    comm_close(&comm);
    return outcome;
}

static enum gradient_outcome finish_together(struct bench *b, double refused) {
    struct absent absent = {b->there, refused};
    struct comm comm = {.ops = &other_ops, .state = &absent, .rank = 0, .size = 2};
    enum gradient_outcome outcome = GRADIENT_SKIP;
    CHECK_OK(gradient_finish(b->here, &comm, &outcome));
    return outcome;
}

/* The sum as it should be: in long double, each addend rounded to 2^-54. */
static void check_values(const struct gradient *gradient, int64_t n) {
    int wrong = 0;
    long double squares = 0;
    long double *sum = NULL;
    CHECK_OK(memory_new(&sum, n, "expected sums"));
    for (uint32_t t = 0; t < TILES; t++) {
        const float *values = tile(t, n);
        for (int64_t i = 0; i < n; i++)
            sum[i] += rintl(ldexpl(values[i], 54));
    }
    for (int64_t i = 0; i < n; i++) {
        const float want = (float)(double)ldexpl(sum[i], -54);
        wrong += gradient->values[i] != want;
        squares += (long double)want * want;
    }
    CHECK_EQ(wrong, 0);
    CHECK_NEAR(gradient->norm / (double)sqrtl(squares), 1, 1e-13);
    memory_release(&sum);
}

/* One rank in ascending order; then 5 tiles here and 2 there, in another order, in pieces. */
static void test_no_order(int64_t n) {
    struct bench b = bench_open(n, GRADIENT_EXACT);
    float *first = NULL;
    CHECK_OK(memory_new(&first, n, "first result"));
    for (uint32_t t = 0; t < TILES; t++)
        CHECK_OK(gradient_add(b.here, 0, tile(t, n), n));
    CHECK_EQ(finish_alone(b.here), GRADIENT_READY);
    check_values(b.here, n);
    memcpy(first, b.here->values, (size_t)n * sizeof *first);
    const double norm = b.here->norm;

    CHECK_OK(gradient_begin(b.here, TILES));
    for (uint32_t t = TILES; t-- > 0;) {
        struct gradient *const rank = t == 2 || t == 5 ? b.there : b.here;
        const float *values = tile(t, n);
        const int64_t half = n / 2;
        CHECK_OK(gradient_add(rank, half, values + half, n - half));
        CHECK_OK(gradient_add(rank, 0, values, half));
    }
    CHECK_EQ(finish_together(&b, 0), GRADIENT_READY);
    CHECK(memcmp(first, b.here->values, (size_t)n * sizeof *first) == 0);
    CHECK(norm == b.here->norm);
    memory_release(&first);
    bench_close(&b);
}

/* Seven addends: the bound is 256/7 = 36.6 at the fine scale, 4096 times that at the coarse. */
static void test_too_large(void) {
    struct bench b = bench_open(2, GRADIENT_EXACT);
    float *values = tile_values;
    values[0] = 36.5f;
    values[1] = -0x1p-40f;
    for (int t = 0; t < TILES; t++)
        CHECK_OK(gradient_add(b.here, 0, values, 2));
    CHECK_EQ(finish_alone(b.here), GRADIENT_READY);
    CHECK_NEAR(b.here->values[0], 255.5, 0);
    CHECK_NEAR(b.here->values[1], -7 * 0x1p-40, 0);

    CHECK_OK(gradient_begin(b.here, TILES));
    values[0] = -37;
    CHECK_OK(gradient_add(b.here, 0, values, 2));
    CHECK_EQ(b.here->overflows, 1);
    CHECK_EQ(finish_alone(b.here), GRADIENT_REPEAT);
    CHECK_OK(gradient_add(b.here, 0, values, 2));
    CHECK_EQ(finish_alone(b.here), GRADIENT_READY);
    CHECK_NEAR(b.here->values[0], -37, 0);
    CHECK_NEAR(b.here->values[1], -0x1p-40, 0);

    CHECK_OK(gradient_begin(b.here, TILES));
    values[0] = 160000;
    CHECK_OK(gradient_add(b.here, 0, values, 2));
    CHECK_EQ(finish_alone(b.here), GRADIENT_REPEAT);
    CHECK_OK(gradient_add(b.here, 0, values, 2));
    CHECK_EQ(finish_alone(b.here), GRADIENT_SKIP);
    CHECK_OK(gradient_begin(b.here, TILES));
    CHECK_EQ(finish_alone(b.here), GRADIENT_READY);
    CHECK_NEAR(b.here->norm, 0, 0);
    bench_close(&b);
}

static void test_not_finite(void) {
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int kind = GRADIENT_EXACT; kind <= GRADIENT_FAST; kind++)
        for (int i = 0; i < 3; i++) {
            struct bench b = bench_open(3, (enum gradient_reduction)kind);
            tile_values[0] = tile_values[2] = 1;
            tile_values[1] = odd[i];
            CHECK_OK(gradient_add(b.here, 0, tile_values, 3));
            CHECK_EQ(finish_alone(b.here), GRADIENT_SKIP);
            bench_close(&b);
        }
}

/* What another rank could not add stops this one too. */
static void test_agreement(void) {
    struct bench b = bench_open(3, GRADIENT_EXACT);
    tile_values[0] = tile_values[1] = tile_values[2] = 1;
    CHECK_OK(gradient_add(b.here, 0, tile_values, 3));
    CHECK_EQ(finish_together(&b, 1), GRADIENT_SKIP);
    bench_close(&b);
}

static void test_fast(void) {
    enum { N = 5000 };
    struct bench b = bench_open(N, GRADIENT_FAST);
    double *want = NULL;
    CHECK_OK(memory_new(&want, N, "expected sums"));
    for (uint32_t t = 0; t < TILES; t++) {
        const float *values = tile(t, N);
        for (int i = 0; i < N; i++)
            want[i] += values[i];
        CHECK_OK(gradient_add(b.here, 10, values + 10, N - 10));
        CHECK_OK(gradient_add(b.here, 0, values, 10));
    }
    CHECK_EQ(finish_alone(b.here), GRADIENT_READY);
    double squares = 0;
    for (int i = 0; i < N; i++) {
        CHECK_NEAR(b.here->values[i], want[i], 1e-6);
        squares += want[i] * want[i];
    }
    CHECK_NEAR(b.here->norm, sqrt(squares), 1e-5);
    memory_release(&want);
    bench_close(&b);
}

static void test_bytes(void) {
    struct bench b = bench_open(1000, GRADIENT_EXACT);
    CHECK(gradient_bytes(1000, GRADIENT_EXACT) >= 8000);
    CHECK(gradient_bytes(1000000, GRADIENT_EXACT) < 8100000);
    CHECK_EQ(gradient_bytes(1000, GRADIENT_FAST), 4004);
    bench_close(&b);
}

static void test_all(const char *name) {
    const int64_t sizes[] = {1, 5, 16383, 16384, 16385, 49152, 49153, MOST};
    CHECK_OK(backend_open(&backend, name, 2));
    CHECK_OK(backend_new(&backend, &tile_values, MOST, "tile"));
    for (int i = 0; i < 8; i++)
        test_no_order(sizes[i]);
    test_too_large();
    test_not_finite();
    test_agreement();
    test_fast();
    test_bytes();
    backend_release(&backend, &tile_values);
    backend_close(&backend);
}

int main(void) {
    test_all("cpu");
    test_all("check");
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
