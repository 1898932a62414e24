/* SPDX-License-Identifier: Apache-2.0
 *
 * The three products of a linear layer. They are taken in the type of the weight, that of dW in bf16
 * when one of its factors is; a factor of the other type is converted first, row by row.
 *
 * Forward a row must have the same bits alone and among others, and a logit when the whole
 * vocabulary is taken and when a block of it is, which no library promises: it is asked where a trial
 * has shown it (cuda_ways.h). For gradients, which only have to be the same every time, the library is
 * asked first.
 */
#include "cuda/cuda.h"
#include "cuda/kernel/product.h"

static float scale_of(float scale) {
    return scale == 0 ? 1.0f : scale;
}

/* A factor as it is given, and as the product takes it. */
struct factor {
    const void *x; /* (rows, columns) of dtype, row stride ldx */
    int64_t rows, columns, ldx;
    enum dtype dtype, wanted;
    size_t at; /* in scratch, where it is converted */
};

static void factor_need(struct factor *factor, struct cuda_need *need) {
    if (factor->dtype != factor->wanted)
        factor->at =
            cuda_need(need, factor->rows * factor->columns * (int64_t)dtype_bytes(factor->wanted));
}

static enum status factor_convert(struct backend *backend, struct factor *factor) {
    if (factor->dtype == factor->wanted)
        return STATUS_OK;
    void *out = cuda_scratch(backend, factor->at);
    TRY(CUDA_LAUNCH(backend, product_rows, .x = factor->x, .out = out, .rows = factor->rows,
                    .columns = factor->columns, .ldx = factor->ldx, .from = factor->dtype,
                    .to = factor->wanted));
    factor->x = out;
    factor->ldx = factor->columns;
    return STATUS_OK;
}

static enum status own(struct backend *backend, const struct product_launch *product) {
    return device_launched(launch_product(cuda_stream(backend), product), "a product");
}

static enum status forward(struct backend *backend, const struct product_launch *product) {
    bool library = false, done = false;
    cuda_state(backend)->operations++;
    if (cuda_state(backend)->plans || product->M == 0)
        return STATUS_OK;
    TRY(cuda_way_of(backend, product, &library));
    if (cuda_plans(backend))
        return STATUS_OK;
    if (!library)
        return own(backend, product);
    TRY(blas_product(&cuda_state(backend)->blas, cuda_stream(backend), product, &done));
    return done ? STATUS_OK
                : FAIL(STATUS_DEFECT,
                       "cuBLASLt took a product of %lld by %lld in its trial, but not %lld rows of "
                       "it now",
                       (long long)product->N, (long long)product->K, (long long)product->M);
}

static enum status gradient(struct backend *backend, const struct product_launch *product) {
    bool done = false;
    if (cuda_plans(backend))
        return STATUS_OK;
    TRY(blas_product(&cuda_state(backend)->blas, cuda_stream(backend), product, &done));
    return done ? STATUS_OK : own(backend, product);
}

enum status cuda_gemm(struct backend *backend, const struct gemm_args *args) {
    const struct weight *w = &args->weight;
    struct cuda_need need = {0};
    struct factor x = {.x = args->x,
                       .rows = args->M,
                       .columns = w->columns,
                       .ldx = args->ldx,
                       .dtype = args->x_dtype,
                       .wanted = w->dtype};
    factor_need(&x, &need);
    TRY(cuda_reserve(backend, &need));
    TRY(factor_convert(backend, &x));
    return forward(backend, &(struct product_launch){.a = x.x,
                                                     .b = w->panels,
                                                     .bias = args->bias,
                                                     .residual = args->residual,
                                                     .y = args->y,
                                                     .M = args->M,
                                                     .N = w->rows,
                                                     .K = w->columns,
                                                     .lda = x.ldx,
                                                     .ldb = w->columns,
                                                     .ldy = args->ldy,
                                                     .scale = scale_of(args->scale),
                                                     .dtype = w->dtype,
                                                     .y_dtype = args->y_dtype,
                                                     .begin = w->view_begin,
                                                     .whole = w->view_of});
}

enum status cuda_gemm_dx(struct backend *backend, const struct gemm_dx_args *args) {
    const struct weight *w = &args->weight;
    struct cuda_need need = {0};
    struct factor dy = {.x = args->dy,
                        .rows = args->M,
                        .columns = w->rows,
                        .ldx = args->ldy,
                        .dtype = args->dy_dtype,
                        .wanted = w->dtype};
    factor_need(&dy, &need);
    TRY(cuda_reserve(backend, &need));
    TRY(factor_convert(backend, &dy));
    return gradient(backend, &(struct product_launch){.a = dy.x,
                                                      .b = w->panels,
                                                      .residual = args->add ? args->dx : NULL,
                                                      .y = args->dx,
                                                      .M = args->M,
                                                      .N = w->columns,
                                                      .K = w->rows,
                                                      .lda = dy.ldx,
                                                      .ldb = w->columns,
                                                      .ldy = args->ldx,
                                                      .scale = scale_of(args->scale),
                                                      .dtype = w->dtype,
                                                      .y_dtype = args->dx_dtype,
                                                      .b_transposed = true});
}

enum status cuda_gemm_dw(struct backend *backend, const struct gemm_dw_args *args) {
    const bool wide = args->dy_dtype == DTYPE_F32 && args->x_dtype == DTYPE_F32;
    const enum dtype dtype = wide ? DTYPE_F32 : DTYPE_BF16;
    struct cuda_need need = {0};
    struct factor dy = {.x = args->dy,
                        .rows = args->M,
                        .columns = args->N,
                        .ldx = args->ldy,
                        .dtype = args->dy_dtype,
                        .wanted = dtype};
    struct factor x = {.x = args->x,
                       .rows = args->M,
                       .columns = args->K,
                       .ldx = args->ldx,
                       .dtype = args->x_dtype,
                       .wanted = dtype};
    factor_need(&dy, &need);
    factor_need(&x, &need);
    TRY(cuda_reserve(backend, &need));
    TRY(factor_convert(backend, &dy));
    TRY(factor_convert(backend, &x));
    if (args->dbias != NULL)
        TRY(CUDA_LAUNCH(backend, column_sums, .x = args->dy, .out = args->dbias, .rows = args->M,
                        .columns = args->N, .ldx = args->ldy, .dtype = args->dy_dtype,
                        .add = args->add));
    return gradient(backend, &(struct product_launch){.a = dy.x,
                                                      .b = x.x,
                                                      .residual = args->add ? args->dw : NULL,
                                                      .y = args->dw,
                                                      .M = args->N,
                                                      .N = args->K,
                                                      .K = args->M,
                                                      .lda = dy.ldx,
                                                      .ldb = x.ldx,
                                                      .ldy = args->K,
                                                      .scale = scale_of(args->scale),
                                                      .dtype = dtype,
                                                      .y_dtype = DTYPE_F32,
                                                      .a_transposed = true,
                                                      .b_transposed = true});
}
