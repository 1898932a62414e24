/* SPDX-License-Identifier: Apache-2.0
 *
 * The sum of tile gradients has no order and no ranks: its bits are those of one rank for any
 * order of the tiles and any share-out; addends of any size are summed, non-finite ones noticed on
 * all ranks; totals become values in their own memory at every size.
 *
 * Two ranks are played by one process: the second one's gradient is kept aside, and a communicator
 * made for the test adds it.
 */
#include "optim/gradient.h"

#include <float.h>

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

/* A rank that is not here, unless `gradient` is NULL: what it would bring to the collectives. */
struct absent {
    struct gradient *gradient;
    double refused, nonfinite;
};

static enum status other_maximum(struct comm *comm, double *values, int64_t n) {
    const struct absent *absent = comm->state;
    if (n == 1 || absent->gradient == NULL)
        return STATUS_OK; /* an agreement, to which it brings no failure */
    CHECK_EQ(n, 2);
    values[0] = fmax(values[0], absent->nonfinite);
    values[1] = fmax(values[1], absent->refused);
    return STATUS_OK;
}

static enum status other_sum(struct reducer *reducer, int64_t *values, int64_t n, void *room,
                             size_t room_bytes) {
    const struct absent *absent = reducer->comm->state;
    CHECK(room != NULL && room_bytes >= 16);
    for (int64_t i = 0; absent->gradient != NULL && i < n; i++)
        values[i] += absent->gradient->totals[i];
    return STATUS_OK;
}

static enum status other_sum_fast(struct reducer *reducer, float *values, int64_t n, void *room,
                                  size_t room_bytes) {
    (void)reducer, (void)values, (void)n, (void)room, (void)room_bytes;
    return STATUS_OK;
}

static void other_close(struct reducer *reducer) {
    (void)reducer;
}

static const struct comm_ops other_ops = {.name = "other", .maximum = other_maximum};
static const struct reducer_ops other_sums = {
    .name = "other", .sum_exact = other_sum, .sum_fast = other_sum_fast, .close = other_close};

struct bench {
    struct vector_layout *layout;
    struct shard *shard;
    struct absent absent; /* as `here` sees it, and `there` */
    struct comm comm;
    struct reducer reducer;
    struct gradient *here, *there;
};

static struct bench *bench_open(int64_t n, enum gradient_reduction reduction) {
    const struct vector_part part = {.elements = n, .decay = true};
    struct bench *b = NULL;
    CHECK_OK(memory_new(&b, 1, "bench"));
    b->comm = (struct comm){.ops = &other_ops, .state = &b->absent, .size = 2};
    b->reducer = (struct reducer){.ops = &other_sums, .comm = &b->comm};
    CHECK_OK(vector_layout_create(&b->layout, &backend, &part, 1));
    CHECK_OK(shard_create(&b->shard, b->layout, 0, 1));
    CHECK_OK(gradient_create(&b->here, &backend, b->shard, &b->reducer, reduction));
    CHECK_OK(gradient_create(&b->there, &backend, b->shard, &b->reducer, reduction));
    CHECK_OK(gradient_begin(b->here, TILES));
    CHECK_OK(gradient_begin(b->there, TILES));
    return b;
}

static void bench_close(struct bench *b) {
    gradient_destroy(&b->here);
    gradient_destroy(&b->there);
    reducer_close(&b->reducer);
    shard_destroy(&b->shard);
    vector_layout_destroy(&b->layout);
    memory_release(&b);
}

static enum status add(struct gradient *gradient, int64_t offset, const float *values, int64_t n) {
    if (n == 0)
        return STATUS_OK;
    return gradient_add(gradient,
                        &(struct exchange_piece){.offset = offset, .n = n, .values = values});
}

static enum gradient_outcome finish(struct bench *b, struct gradient *gradient,
                                    struct absent absent) {
    enum gradient_outcome outcome = GRADIENT_SKIP;
    b->absent = absent;
    CHECK_OK(gradient_finish(gradient, &outcome));
    return outcome;
}

static enum gradient_outcome finish_alone(struct bench *b) {
    return finish(b, b->here, (struct absent){.gradient = NULL});
}

static enum gradient_outcome finish_together(struct bench *b) {
    return finish(b, b->here,
                  (struct absent){b->there, b->there->refused->largest,
                                  (double)b->there->refused->nonfinite});
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
    struct bench *b = bench_open(n, GRADIENT_EXACT);
    float *first = NULL;
    CHECK_OK(memory_new(&first, n, "first result"));
    for (uint32_t t = 0; t < TILES; t++)
        CHECK_OK(add(b->here, 0, tile(t, n), n));
    CHECK_EQ(finish_alone(b), GRADIENT_READY);
    check_values(b->here, n);
    memcpy(first, b->here->values, (size_t)n * sizeof *first);
    const double norm = b->here->norm;

    CHECK_OK(gradient_begin(b->here, TILES));
    for (uint32_t t = TILES; t-- > 0;) {
        struct gradient *const rank = t == 2 || t == 5 ? b->there : b->here;
        const float *values = tile(t, n);
        const int64_t half = n / 2;
        CHECK_OK(add(rank, half, values + half, n - half));
        CHECK_OK(add(rank, 0, values, half));
    }
    CHECK_EQ(finish_together(b), GRADIENT_READY);
    CHECK(memcmp(first, b->here->values, (size_t)n * sizeof *first) == 0);
    CHECK(norm == b->here->norm);
    memory_release(&first);
    bench_close(b);
}

/* Seven addends: the bound is 256/7 = 36.6 at the scale 2^54. */
static void test_ordinary(void) {
    struct bench *b = bench_open(2, GRADIENT_EXACT);
    tile_values[0] = 36.5f;
    tile_values[1] = -0x1p-54f;
    for (int t = 0; t < TILES; t++)
        CHECK_OK(add(b->here, 0, tile_values, 2));
    CHECK_EQ(finish_alone(b), GRADIENT_READY);
    CHECK_NEAR(b->here->values[0], 255.5, 0);
    CHECK_NEAR(b->here->values[1], -7 * 0x1p-54, 0);
    CHECK_OK(gradient_begin(b->here, TILES));
    CHECK_EQ(finish_alone(b), GRADIENT_READY);
    CHECK_NEAR(b->here->norm, 0, 0);
    bench_close(b);
}

/* An addend of any size that fp32 holds is summed in the second try, on two ranks as on one, also
 * where the other rank has the largest; a number 2^-59 of it keeps a digit. */
static void test_large(float size) {
    struct bench *b = bench_open(3, GRADIENT_EXACT);
    const float values[3] = {-size, size / 4096, ldexpf(size, -57)}, first_sum = values[0] + 0.5f;
    float first[3];
    float *small = tile_values + 10;
    small[0] = small[1] = small[2] = 0.5f;
    memcpy(tile_values, values, sizeof values);
    for (int turn = 0; turn < 2; turn++) {
        CHECK_OK(add(b->here, 0, tile_values, 3));
        CHECK_OK(add(b->here, 0, small, 3));
        CHECK_EQ(finish_alone(b), turn == 0 ? GRADIENT_REPEAT : GRADIENT_READY);
    }
    const double tolerance[] = {1e-7, 1e-7, 0.3};
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(b->here->values[i] / ((double)values[i] + 0.5), 1, tolerance[i]);
    CHECK_NEAR(b->here->norm / hypot((double)first_sum, (double)size / 4096 + 0.5), 1, 1e-2);
    memcpy(first, b->here->values, sizeof first);
    CHECK_OK(gradient_begin(b->here, TILES));
    for (int turn = 0; turn < 2; turn++) {
        CHECK_OK(add(b->there, 0, tile_values, 3));
        CHECK_OK(add(b->here, 0, small, 3));
        CHECK_EQ(finish_together(b), turn == 0 ? GRADIENT_REPEAT : GRADIENT_READY);
        if (turn == 0) { /* the other rank heard the same maximum */
            CHECK_EQ(finish(b, b->there, (struct absent){b->here, 0, 0}), GRADIENT_REPEAT);
            CHECK_EQ(b->there->scale_bits, b->here->scale_bits);
        }
    }
    CHECK(memcmp(first, b->here->values, sizeof first) == 0);
    bench_close(b);
}

/* A sum that fp32 does not hold is no gradient, whatever its addends were. */
static void test_sum_too_large(void) {
    if (strcmp(backend.ops->name, "check") == 0)
        return; /* it ends a run whose operations make infinite numbers of finite ones */
    struct bench *b = bench_open(2, GRADIENT_EXACT);
    tile_values[0] = tile_values[1] = FLT_MAX;
    for (int turn = 0; turn < 2; turn++) {
        CHECK_OK(add(b->here, 0, tile_values, 2));
        CHECK_OK(add(b->here, 0, tile_values, 2));
        CHECK_EQ(finish_alone(b), turn == 0 ? GRADIENT_REPEAT : GRADIENT_SKIP);
    }
    CHECK(isnan(b->here->norm));
    bench_close(b);
}

/* The sum of two gradients is one, of its own norm; where fp32 does not hold it, there is none, though
 * it holds both. */
static void test_join(enum gradient_reduction reduction) {
    struct bench *b = bench_open(2, reduction);
    float *other = NULL;
    enum gradient_outcome outcome = GRADIENT_REPEAT;
    CHECK_OK(backend_new(&backend, &other, 2, "gradient of another loss"));
    other[0] = 2;
    other[1] = -3;
    tile_values[0] = 1;
    tile_values[1] = 7;
    CHECK_OK(add(b->here, 0, tile_values, 2));
    CHECK_EQ(finish_alone(b), GRADIENT_READY);
    CHECK_OK(gradient_join(b->here, other, &outcome));
    CHECK_EQ(outcome, GRADIENT_READY);
    CHECK_NEAR(b->here->values[0], 3, 0);
    CHECK_NEAR(b->here->values[1], 4, 0);
    CHECK_NEAR(b->here->norm, 5, 1e-15);
    b->here->values[0] = other[0] = 0.75f * FLT_MAX;
    if (strcmp(backend.ops->name, "check") != 0) { /* which ends a run on such a sum */
        CHECK_OK(gradient_join(b->here, other, &outcome));
        CHECK_EQ(outcome, GRADIENT_SKIP);
        CHECK(isnan(b->here->norm));
    }
    backend_release(&backend, &other);
    bench_close(b);
}

static void test_not_finite(void) {
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int kind = GRADIENT_EXACT; kind <= GRADIENT_FAST; kind++)
        for (int i = 0; i < 3; i++) {
            struct bench *b = bench_open(3, (enum gradient_reduction)kind);
            tile_values[0] = tile_values[2] = 1;
            tile_values[1] = odd[i];
            CHECK_OK(add(b->here, 0, tile_values, 3));
            CHECK_EQ(finish_alone(b), GRADIENT_SKIP);
            CHECK(isnan(b->here->norm));
            bench_close(b);
        }
}

/* What another rank could not add stops this one too. */
static void test_agreement(void) {
    struct bench *b = bench_open(3, GRADIENT_EXACT);
    tile_values[0] = tile_values[1] = tile_values[2] = 1;
    CHECK_OK(add(b->here, 0, tile_values, 3));
    tile_values[1] = NAN;
    CHECK_OK(add(b->there, 0, tile_values, 3));
    CHECK_EQ(finish_together(b), GRADIENT_SKIP);
    CHECK(isnan(b->here->norm));
    bench_close(b);
}

static void test_fast(void) {
    enum { N = 5000 };
    struct bench *b = bench_open(N, GRADIENT_FAST);
    double *want = NULL;
    CHECK_OK(memory_new(&want, N, "expected sums"));
    for (uint32_t t = 0; t < TILES; t++) {
        const float *values = tile(t, N);
        for (int i = 0; i < N; i++)
            want[i] += values[i];
        CHECK_OK(add(b->here, 10, values + 10, N - 10));
        CHECK_OK(add(b->here, 0, values, 10));
    }
    CHECK_EQ(finish_alone(b), GRADIENT_READY);
    double squares = 0;
    for (int i = 0; i < N; i++) {
        CHECK_NEAR(b->here->values[i], want[i], 1e-6);
        squares += want[i] * want[i];
    }
    CHECK_NEAR(b->here->norm, sqrt(squares), 1e-5);
    memory_release(&want);
    bench_close(b);
}

/* Rows of a matrix land where whole pieces would. */
static void test_rows(void) {
    enum { COLUMNS = 3, N = 2 + 8 * COLUMNS };
    static const int32_t rows[] = {0, 2, 3, 4, 7};
    struct bench *b = bench_open(N, GRADIENT_EXACT);
    float want[N] = {0};
    for (int r = 0; r < 5; r++)
        for (int i = 0; i < COLUMNS; i++) {
            tile_values[r * COLUMNS + i] = (float)(10 * r + i + 1) / 8;
            want[2 + rows[r] * COLUMNS + i] = (float)(10 * r + i + 1) / 8;
        }
    CHECK_OK(gradient_add(b->here, &(struct exchange_piece){.offset = 2,
                                                            .n = 8 * COLUMNS,
                                                            .columns = COLUMNS,
                                                            .rows = rows,
                                                            .count = 5,
                                                            .values = tile_values}));
    CHECK_EQ(finish_alone(b), GRADIENT_READY);
    CHECK(memcmp(b->here->values, want, sizeof want) == 0);
    bench_close(b);
}

static void test_bytes(void) {
    struct bench *b = bench_open(1000, GRADIENT_EXACT);
    CHECK(gradient_bytes(1000, GRADIENT_EXACT) >= 8000);
    CHECK(gradient_bytes(1000000, GRADIENT_EXACT) < 8100000);
    CHECK_EQ(gradient_bytes(1000, GRADIENT_FAST), 4000);
    bench_close(b);
}

static void test_all(const char *name) {
    const int64_t sizes[] = {1, 5, 16383, 16384, 16385, 49152, 49153, MOST};
    CHECK_OK(backend_open(&backend, name, 2));
    CHECK_OK(backend_new(&backend, &tile_values, MOST, "tile"));
    for (int i = 0; i < 8; i++)
        test_no_order(sizes[i]);
    const float large[] = {36.75f, 37, 300, 160000, 3e6f, 1e12f, 1e25f, 1e38f, FLT_MAX};
    test_ordinary();
    for (int i = 0; i < 9; i++)
        test_large(large[i]);
    test_sum_too_large();
    test_join(GRADIENT_EXACT);
    test_join(GRADIENT_FAST);
    test_not_finite();
    test_agreement();
    test_fast();
    test_rows();
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
