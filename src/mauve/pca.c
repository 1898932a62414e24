/* SPDX-License-Identifier: Apache-2.0 */
#include "mauve/pca.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/memory.h"

/* LAPACK and BLAS as Fortran has them: matrices by columns, everything by address, the lengths of the
 * texts at the end. A row-major (n, d) is a (d, n) there. */
extern void dsyevr_(const char *job, const char *range, const char *half, const int *n, double *a,
                    const int *lda, const double *low, const double *high, const int *first,
                    const int *last, const double *tolerance, int *found, double *values,
                    double *vectors, const int *ldv, int *support, double *work, const int *work_n,
                    int *integers, const int *integers_n, int *info, size_t, size_t, size_t);
extern void dsyrk_(const char *half, const char *transposed, const int *n, const int *k,
                   const double *alpha, const double *a, const int *lda, const double *beta,
                   double *c, const int *ldc, size_t, size_t);
extern void dgemm_(const char *transposed_a, const char *transposed_b, const int *m, const int *n,
                   const int *k, const double *alpha, const double *a, const int *lda,
                   const double *b, const int *ldb, const double *beta, double *c, const int *ldc,
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

/* A symmetric matrix (s, s) and what is found of it, values ascending. */
struct spectrum {
    int s;
    double *matrix, *values, *vectors; /* vector i is row i of `vectors`, row-major */
    double *work;
    int *support, *integers;
};

static void spectrum_release(struct spectrum *spectrum) {
    memory_release(&spectrum->matrix);
    memory_release(&spectrum->values);
    memory_release(&spectrum->vectors);
    memory_release(&spectrum->work);
    memory_release(&spectrum->support);
    memory_release(&spectrum->integers);
}

static enum status spectrum_reserve(struct spectrum *spectrum) {
    const int64_t s = spectrum->s;
    TRY(memory_new(&spectrum->matrix, s * s, "a covariance"));
    TRY(memory_new(&spectrum->values, s, "variances of components"));
    TRY(memory_new(&spectrum->vectors, s * s, "principal components"));
    return memory_new(&spectrum->support, 2 * s, "scratch of the principal components");
}

/* dsyevr, once for how much scratch it wants and once in earnest. */
static int solve(struct spectrum *p, double *work, int work_n, int *integers, int integers_n) {
    const double none = 0.0;
    const int unused = 0;
    int found = 0, info = 0;
    dsyevr_("V", "A", "L", &p->s, p->matrix, &p->s, &none, &none, &unused, &unused, &none, &found,
            p->values, p->vectors, &p->s, p->support, work, &work_n, integers, &integers_n, &info,
            1, 1, 1);
    ASSERT(info != 0 || work_n < 0 || found == p->s);
    return info;
}

static enum status spectrum_solve(struct spectrum *p) {
    double work_n = 0.0;
    int integers_n = 0;
    int info = solve(p, &work_n, -1, &integers_n, -1);
    if (info == 0) {
        TRY(memory_new(&p->work, (int64_t)work_n, "scratch of the principal components"));
        TRY(memory_new(&p->integers, integers_n, "scratch of the principal components"));
        info = solve(p, p->work, (int)work_n, p->integers, integers_n);
    }
    return info == 0 ? STATUS_OK
                     : FAIL(STATUS_NUMERIC,
                            "the principal components of the features were not found: LAPACK's "
                            "dsyevr says %d",
                            info);
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

static void subtract_mean(double *x, int64_t n, int64_t d) {
    for (int64_t j = 0; j < d; j++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += x[i * d + j];
        for (int64_t i = 0; i < n; i++)
            x[i * d + j] -= sum / (double)n;
    }
}

/* Wide rows: the vectors of x xᵀ = U Λ Uᵀ hold the coordinates, √λ u. */
static void coordinates_of_products(const struct spectrum *p, int64_t n, int64_t m, float *out) {
    for (int64_t c = 0; c < m; c++) {
        const double length = sqrt(fmax(p->values[n - 1 - c], 0.0));
        for (int64_t i = 0; i < n; i++)
            out[i * m + c] = (float)(length * p->vectors[(n - 1 - c) * n + i]);
    }
}

/* Long columns: the vectors of xᵀ x = V Λ Vᵀ are the axes, and the coordinates x V. */
static enum status coordinates_of_axes(const struct spectrum *p, const double *x, int64_t n,
                                       int64_t m, float *out) {
    const int rows = (int)n, columns = (int)m;
    const double one = 1.0, zero = 0.0;
    double *y = NULL; /* (n, m), components by ascending variance */
    TRY(memory_new(&y, n * m, "coordinates of the features"));
    dgemm_("T", "N", &columns, &rows, &p->s, &one, p->vectors + (p->s - m) * p->s, &p->s, x, &p->s,
           &zero, y, &columns, 1, 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < m; c++)
            out[i * m + c] = (float)y[i * m + (m - 1 - c)];
    memory_release(&y);
    return STATUS_OK;
}

static enum status project(struct spectrum *p, double *x, int64_t n, int64_t d, double variance,
                           float **out, int64_t *m) {
    const int rows = (int)n, columns = (int)d;
    const double one = 1.0, zero = 0.0;
    const bool wide = d > n;
    TRY(spectrum_reserve(p));
    subtract_mean(x, n, d);
    dsyrk_("L", wide ? "T" : "N", &p->s, wide ? &columns : &rows, &one, x, &columns, &zero,
           p->matrix, &p->s, 1, 1);
    TRY(spectrum_solve(p));
    *m = components_for(p, variance);
    TRY(memory_new(out, n * *m, "coordinates of the features"));
    if (!wide)
        return coordinates_of_axes(p, x, n, *m, *out);
    coordinates_of_products(p, n, *m, *out);
    return STATUS_OK;
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
