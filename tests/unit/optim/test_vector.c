/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of vectors cut into tensors: right, and the same bits for any number of threads.
 */
#include "optim/shard.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"

/* A tensor of several blocks, of one element, of exactly a block, and of a ragged one. */
static const struct vector_part parts[] = {
    {0, 3 * VECTOR_BLOCK + 17, true, DTYPE_F32, false},
    {3 * VECTOR_BLOCK + 17, 1, false, DTYPE_F32, false},
    {3 * VECTOR_BLOCK + 18, VECTOR_BLOCK, true, DTYPE_F32, false},
    {4 * VECTOR_BLOCK + 18, 1000, false, DTYPE_F32, false},
};
enum { PARTS = 4, ELEMENTS = 4 * VECTOR_BLOCK + 1018 };

static void test_layout(void) {
    struct backend backend;
    struct vector_layout *layout = NULL;
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(vector_layout_create(&layout, &backend, parts, PARTS));
    CHECK_EQ(layout->elements, ELEMENTS);
    CHECK_EQ(layout->count, PARTS);
    CHECK_EQ(layout->block_count, 4 + 1 + 1 + 1);
    for (int i = 0; i < PARTS; i++) {
        CHECK_EQ(vector_layout_part(layout, parts[i].offset), i);
        CHECK_EQ(vector_layout_part(layout, parts[i].offset + parts[i].elements - 1), i);
    }
    vector_layout_destroy(&layout);
    CHECK(layout == NULL);
    vector_layout_destroy(&layout);
    backend_close(&backend);
}

static void products(int threads, double *dot, double *norm) {
    struct backend backend;
    struct vector_layout *layout = NULL;
    struct shard *whole = NULL;
    struct comm comm;
    float *x = NULL, *y = NULL;
    CHECK_OK(backend_open(&backend, "cpu", threads));
    CHECK_OK(vector_layout_create(&layout, &backend, parts, PARTS));
    CHECK_OK(backend_new(&backend, &x, ELEMENTS, "x"));
    CHECK_OK(backend_new(&backend, &y, ELEMENTS, "y"));
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        x[i] = (float)random_uniform(1, RANDOM_TEST, i, 0, 0, 0);
        y[i] = (float)random_uniform(1, RANDOM_TEST, i, 1, 0, 0) - 0.5f;
    }
    comm_self_open(&comm);
    CHECK_OK(shard_create(&whole, layout, 0, 1));
    CHECK_OK(shard_dot(whole, &comm, x, y, dot));
    CHECK_OK(shard_norm(whole, &comm, x, norm));
    shard_destroy(&whole);
    long double dot_want = 0, norm_want = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        dot_want += (long double)x[i] * y[i];
        norm_want += (long double)x[i] * x[i];
    }
    CHECK_NEAR(*dot, dot_want, 1e-9);
    CHECK_NEAR(*norm, sqrtl(norm_want), 1e-11);
    backend_release(&backend, &x);
    backend_release(&backend, &y);
    vector_layout_destroy(&layout);
    backend_close(&backend);
}

int main(void) {
    double one[2], two[2];
    test_layout();
    products(1, &one[0], &one[1]);
    products(2, &two[0], &two[1]);
    CHECK(one[0] == two[0] && one[1] == two[1]);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
