/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of vectors cut into tensors: right, and the same bits for any number of threads.
 */
#include "optim/vector.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"

/* A tensor of several blocks, of one element, of exactly a block, and of a ragged one. */
static const struct vector_part parts[] = {
    {0, 3 * VECTOR_BLOCK + 17, true},
    {3 * VECTOR_BLOCK + 17, 1, false},
    {3 * VECTOR_BLOCK + 18, VECTOR_BLOCK, true},
    {4 * VECTOR_BLOCK + 18, 1000, false},
};
enum { PARTS = 4, ELEMENTS = 4 * VECTOR_BLOCK + 1018 };

static void test_layout(void) {
    struct vector_layout *layout = NULL;
    CHECK_OK(vector_layout_create(&layout, parts, PARTS));
    CHECK_EQ(layout->elements, ELEMENTS);
    CHECK_EQ(layout->count, PARTS);
    vector_layout_destroy(&layout);
    CHECK(layout == NULL);
    vector_layout_destroy(&layout);
}

static void products(int threads, double *dot, double *norm) {
    struct backend backend;
    struct vector_layout *layout = NULL;
    float *x = NULL, *y = NULL;
    CHECK_OK(backend_open(&backend, "cpu", threads));
    CHECK_OK(vector_layout_create(&layout, parts, PARTS));
    CHECK_OK(backend_new(&backend, &x, ELEMENTS, "x"));
    CHECK_OK(backend_new(&backend, &y, ELEMENTS, "y"));
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        x[i] = (float)random_uniform(1, RANDOM_TEST, i, 0, 0, 0);
        y[i] = (float)random_uniform(1, RANDOM_TEST, i, 1, 0, 0) - 0.5f;
    }
    CHECK_OK(vector_dot(&backend, layout, x, y, dot));
    CHECK_OK(vector_norm(&backend, layout, x, norm));
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
