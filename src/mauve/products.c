/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/products.h"

#include "base/memory.h"

/* Rows go in panels of SIDE, a stretch of TERMS of their numbers at a time: [panel][term][SIDE]. The
 * products of two panels stay in registers over a stretch. */
enum { SIDE = 4, TERMS = 256 };

static int64_t panel_count(int64_t n) {
    return (n + SIDE - 1) / SIDE;
}

int64_t products_scratch(int64_t a_n, int64_t b_n) {
    return (panel_count(a_n) + panel_count(b_n)) * SIDE * TERMS * (int64_t)sizeof(double);
}

/* Numbers [begin, begin + terms) of all rows; those that a last panel lacks are 0. */
static void pack(const struct product_rows *rows, int64_t begin, int64_t terms, double *panels) {
    for (int64_t p = 0; p < panel_count(rows->n); p++)
        for (int64_t l = 0; l < SIDE; l++) {
            const int64_t i = p * SIDE + l;
            double *to = panels + p * SIDE * TERMS + l;
            for (int64_t k = 0; k < terms; k++)
                to[k * SIDE] =
                    i < rows->n ? rows->at[i * rows->row + (begin + k) * rows->step] : 0.0;
        }
}

static void add_stretch(const double *a, const double *b, int64_t terms, double sums[SIDE][SIDE]) {
    for (int64_t k = 0; k < terms; k++)
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++)
                sums[i][j] += a[k * SIDE + i] * b[k * SIDE + j];
}

/* The products of panels p and q, which `out` holds up to the terms before. */
static void add_panels(const double *a, const double *b, int64_t terms, int64_t rows,
                       int64_t columns, double *out, int64_t width) {
    double sums[SIDE][SIDE] = {{0.0}};
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            sums[i][j] = out[i * width + j];
    add_stretch(a, b, terms, sums);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[i * width + j] = sums[i][j];
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

enum status products(const struct product_rows *a, const struct product_rows *b, int64_t terms,
                     bool upper, double *out) {
    double *packed = NULL; /* panels of a, then of b */
    TRY(memory_new(&packed, products_scratch(a->n, b->n) / (int64_t)sizeof *packed,
                   "products of features"));
    double *const other = packed + panel_count(a->n) * SIDE * TERMS;
    for (int64_t i = 0; i < a->n * b->n; i++)
        out[i] = 0.0;
    for (int64_t begin = 0; begin < terms; begin += TERMS) {
        const int64_t count = smaller(TERMS, terms - begin);
        pack(a, begin, count, packed);
        pack(b, begin, count, other);
        for (int64_t p = 0; p < panel_count(a->n); p++)
            for (int64_t q = upper ? p : 0; q < panel_count(b->n); q++)
                add_panels(packed + p * SIDE * TERMS, other + q * SIDE * TERMS, count,
                           smaller(SIDE, a->n - p * SIDE), smaller(SIDE, b->n - q * SIDE),
                           out + p * SIDE * b->n + q * SIDE, b->n);
    }
    memory_release(&packed);
    return STATUS_OK;
}
