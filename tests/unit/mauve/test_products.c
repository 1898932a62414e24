/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of rows have the bits of a plain loop, for rows and columns, upwards and downwards, at sizes
 * that fill panels and stretches and at those that do not.
 */
#include "mauve/products.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "check.h"

static double *numbers(int64_t n, uint32_t which) {
    double *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = random_normal(5, RANDOM_TEST, which, (uint32_t)i, 0, 0);
    return x;
}

static double number(const struct product_rows *rows, int64_t i, int64_t k) {
    return rows->at[i * rows->row + k * rows->step];
}

static void check(const struct product_rows *a, const struct product_rows *b, int64_t terms,
                  bool upper) {
    double *out = malloc((size_t)(a->n * b->n) * sizeof *out);
    int64_t wrong = 0;
    CHECK_OK(products(a, b, terms, upper, out));
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t j = upper ? i : 0; j < b->n; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < terms; k++)
                sum += number(a, i, k) * number(b, j, k);
            wrong += out[i * b->n + j] != sum;
        }
    if (wrong > 0)
        CHECK_FAILED("(%lld, %lld) of %lld terms: %lld products are not those of a loop",
                     (long long)a->n, (long long)b->n, (long long)terms, (long long)wrong);
    free(out);
}

static void check_shape(int64_t n, int64_t m, int64_t terms) {
    double *x = numbers(n * terms, 1), *y = numbers(m * terms, 2);
    const struct product_rows rows = {.at = x, .n = n, .row = terms, .step = 1},
                              columns = {.at = x, .n = n, .row = 1, .step = n},
                              down = {.at = y + (m - 1) * terms, .n = m, .row = -terms, .step = 1};
    check(&rows, &rows, terms, true);
    check(&columns, &columns, terms, true);
    check(&rows, &down, terms, false);
    free(x);
    free(y);
}

int main(void) {
    check_shape(1, 1, 1);
    check_shape(4, 4, 256);
    check_shape(9, 3, 257);
    check_shape(3, 10, 600);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
