/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/pca.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "mauve/products.h"

/* LAPACK as Fortran has it: matrices by columns, everything by address, the lengths of the texts at the
 * end. */
extern void dsytrd_(const char *half, const int *n, double *a, const int *lda, double *diagonal,
                    double *beside, double *reflectors, double *work, const int *work_n, int *info,
                    size_t);
extern void dsterf_(const int *n, double *diagonal, double *beside, int *info);
extern void dstemr_(const char *job, const char *range, const int *n, double *diagonal,
                    double *beside, const double *low, const double *high, const int *first,
                    const int *last, int *found, double *values, double *vectors, const int *ldv,
                    const int *room, int *support, int *accurate, double *work, const int *work_n,
                    int *integers, const int *integers_n, int *info, size_t, size_t);
extern void dormtr_(const char *side, const char *half, const char *transposed, const int *m,
                    const int *n, const double *a, const int *lda, const double *reflectors,
                    double *c, const int *ldc, double *work, const int *work_n, int *info, size_t,
                    size_t, size_t);

/* The threads of the two libraries that have some of their own; absent in others. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));
extern void MKL_Set_Num_Threads(int threads) __attribute__((weak));

static void use_one_thread(void) {
    if (openblas_set_num_threads != NULL)
        openblas_set_num_threads(1);
    if (MKL_Set_Num_Threads != NULL)
        MKL_Set_Num_Threads(1);
}

/* A symmetric matrix (s, s), what becomes of it, and what is found. It is made tridiagonal; then all
 * values are found, and the vectors of the m largest, which are turned back. */
struct spectrum {
    int s;
    double *matrix;              /* row-major, on and above the diagonal; then its reflections */
    double *diagonal, *beside;   /* (s) of the tridiagonal one */
    double *reflectors, *values; /* (s); values ascending */
    double *vectors;             /* (m, s): of the m largest, ascending, row-major */
    double *work;
    int work_n;
    int *integers, *support; /* (10 s), (2 m) */
};

static void spectrum_release(struct spectrum *spectrum) {
    memory_release(&spectrum->matrix);
    memory_release(&spectrum->diagonal);
    memory_release(&spectrum->beside);
    memory_release(&spectrum->reflectors);
    memory_release(&spectrum->values);
    memory_release(&spectrum->vectors);
    memory_release(&spectrum->work);
    memory_release(&spectrum->integers);
    memory_release(&spectrum->support);
}

/* Scratch in blocks of columns, as LAPACK takes it at its fastest; dstemr wants 18 s. */
enum { SCRATCH_COLUMNS = 64 };

static enum status spectrum_reserve(struct spectrum *p) {
    const int64_t s = p->s;
    p->work_n = (int)(SCRATCH_COLUMNS * s);
    TRY(memory_new(&p->matrix, s * s, "a covariance"));
    TRY(memory_new(&p->diagonal, s, "variances of components"));
    TRY(memory_new(&p->beside, s, "variances of components"));
    TRY(memory_new(&p->reflectors, s, "variances of components"));
    TRY(memory_new(&p->values, s, "variances of components"));
    TRY(memory_new(&p->work, SCRATCH_COLUMNS * s, "scratch of the principal components"));
    return memory_new(&p->integers, 10 * s, "scratch of the principal components");
}

static enum status check_info(const char *routine, int info) {
    return info == 0 ? STATUS_OK
                     : FAIL(STATUS_NUMERIC,
                            "the principal components of the features were not found: LAPACK's "
                            "%s says %d",
                            routine, info);
}

/* All values. dsterf works in what it is given. */
static enum status find_values(struct spectrum *p) {
    int info = 0;
    dsytrd_("L", &p->s, p->matrix, &p->s, p->diagonal, p->beside, p->reflectors, p->work,
            &p->work_n, &info, 1);
    TRY(check_info("dsytrd", info));
    memcpy(p->values, p->diagonal, (size_t)p->s * sizeof *p->values);
    memcpy(p->work, p->beside, (size_t)p->s * sizeof *p->work);
    dsterf_(&p->s, p->values, p->work, &info);
    return check_info("dsterf", info);
}

/* The vectors of the m largest. */
static enum status find_vectors(struct spectrum *p, int64_t m) {
    const double none = 0.0;
    const int last = p->s, first = p->s - (int)m + 1, count = (int)m, integers_n = 10 * p->s;
    double *again = NULL; /* the values, once more */
    int found = 0, accurate = 1, info = 0;
    TRY(memory_new(&p->vectors, m * p->s, "principal components"));
    TRY(memory_new(&p->support, 2 * m, "scratch of the principal components"));
    TRY(memory_new(&again, p->s, "variances of components"));
    dstemr_("V", "I", &p->s, p->diagonal, p->beside, &none, &none, &first, &last, &found, again,
            p->vectors, &p->s, &count, p->support, &accurate, p->work, &p->work_n, p->integers,
            &integers_n, &info, 1, 1);
    memory_release(&again);
    TRY(check_info("dstemr", info));
    ASSERT(found == count);
    dormtr_("L", "L", "N", &p->s, &count, p->matrix, &p->s, p->reflectors, p->vectors, &p->s,
            p->work, &p->work_n, &info, 1, 1, 1);
    return check_info("dormtr", info);
}

/* How many components reach the share. */
static int64_t components_for(const struct spectrum *p, double variance) {
    double whole = 0.0, sum = 0.0;
    int64_t m = 0;
    for (int i = 0; i < p->s; i++)
        whole += fmax(p->values[i], 0.0);
    while (m < p->s && (m == 0 || sum < variance * whole))
        sum += fmax(p->values[p->s - ++m], 0.0);
    return m;
}

/* Column by column of the sums, which are in the order of the rows. */
static enum status subtract_mean(double *x, int64_t n, int64_t d) {
    double *sums = NULL;
    TRY(memory_new(&sums, d, "means of features"));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++)
            sums[j] += x[i * d + j];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < d; j++)
            x[i * d + j] -= sums[j] / (double)n;
    memory_release(&sums);
    return STATUS_OK;
}

/* Wide rows: the vectors of x xᵀ = U Λ Uᵀ hold the coordinates, √λ u. */
static void coordinates_of_products(const struct spectrum *p, int64_t n, int64_t m, float *out) {
    for (int64_t c = 0; c < m; c++) {
        const double length = sqrt(fmax(p->values[n - 1 - c], 0.0));
        for (int64_t i = 0; i < n; i++)
            out[i * m + c] = (float)(length * p->vectors[(m - 1 - c) * n + i]);
    }
}

/* Long columns: the vectors of xᵀ x = V Λ Vᵀ are the axes, and the coordinates x V. */
static enum status coordinates_of_axes(const struct spectrum *p, const double *x, int64_t n,
                                       int64_t m, float *out) {
    const int64_t d = p->s;
    double *y = NULL;
    TRY(memory_new(&y, n * m, "coordinates of the features"));
    const struct product_rows points = {.at = x, .n = n, .row = d, .step = 1},
                              axes = {.at = p->vectors + (m - 1) * d, .n = m, .row = -d, .step = 1};
    const enum status status = products(&points, &axes, d, false, y);
    for (int64_t i = 0; status == STATUS_OK && i < n * m; i++)
        out[i] = (float)y[i];
    memory_release(&y);
    return status;
}

static enum status project(struct spectrum *p, double *x, int64_t n, int64_t d, double variance,
                           float **out, int64_t *m) {
    const bool wide = d > n;
    const struct product_rows rows = {.at = x, .n = n, .row = d, .step = 1},
                              columns = {.at = x, .n = d, .row = 1, .step = d};
    const struct product_rows *side = wide ? &rows : &columns;
    TRY(spectrum_reserve(p));
    TRY(subtract_mean(x, n, d));
    TRY(products(side, side, wide ? d : n, true, p->matrix));
    TRY(find_values(p));
    *m = components_for(p, variance);
    TRY(find_vectors(p, *m));
    TRY(memory_new(out, n * *m, "coordinates of the features"));
    if (!wide)
        return coordinates_of_axes(p, x, n, *m, *out);
    coordinates_of_products(p, n, *m, *out);
    return STATUS_OK;
}

int64_t pca_scratch(int64_t n, int64_t d) {
    const int64_t s = n < d ? n : d, f = (int64_t)sizeof(double);
    return f * (2 * s * s + (SCRATCH_COLUMNS + 10) * s) + products_scratch(n, s) +
           (f + (int64_t)sizeof(float)) * n * s;
}

enum status pca_project(double *x, int64_t n, int64_t d, double variance, float **out, int64_t *m) {
    enum { LARGEST = 32768 }; /* of a matrix whose elements an int of LAPACK counts */
    struct spectrum spectrum = {.s = (int)(n < d ? n : d)};
    ASSERT(n >= 1 && d >= 1 && n <= INT32_MAX && d <= INT32_MAX);
    *out = NULL;
    if (spectrum.s > LARGEST)
        return FAIL(STATUS_INPUT,
                    "principal components of %" PRId64 " features of %" PRId64 " numbers: one of "
                    "the two may be at most %d",
                    n, d, LARGEST);
    use_one_thread();
    const enum status status = project(&spectrum, x, n, d, variance, out, m);
    spectrum_release(&spectrum);
    if (status != STATUS_OK)
        memory_release(out);
    return status;
}
