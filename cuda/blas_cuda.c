/* SPDX-License-Identifier: Apache-2.0
 *
 * cuBLASLt. It thinks in columns: our y (M, N) by rows is its (N, M), so that b comes first.
 */
#include "cuda/blas.h"

#include <stdlib.h>
#include <string.h>

#include <cublasLt.h>

/* What an algorithm was chosen for. */
struct key {
    int64_t N, K, ldb;
    enum dtype dtype, y_dtype;
    bool a_transposed, b_transposed, bias, residual;
};

enum { PLANS_MAX = 128 };
struct plan {
    struct key key;
    bool usable;
    cublasLtMatmulAlgo_t algorithm;
};

struct state {
    cublasLtHandle_t handle;
    struct plan plans[PLANS_MAX];
    int count;
};

static enum status failed(cublasStatus_t error, const char *what) {
    return FAIL(error == CUBLAS_STATUS_ALLOC_FAILED ? STATUS_MEMORY : STATUS_DEFECT,
                "cuBLASLt, %s: %s", what, cublasLtGetStatusString(error));
}

#define BLAS(call)                                                                                 \
    do {                                                                                           \
        const cublasStatus_t error_ = (call);                                                      \
        if (error_ != CUBLAS_STATUS_SUCCESS)                                                       \
            return failed(error_, #call);                                                          \
    } while (0)

enum status blas_open(struct blas *blas) {
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return FAIL(STATUS_MEMORY, "no memory for the plans of products");
    blas->state = state;
    BLAS(cublasLtCreate(&state->handle));
    return STATUS_OK;
}

void blas_close(struct blas *blas) {
    struct state *state = blas->state;
    if (state != NULL && state->handle != NULL)
        (void)cublasLtDestroy(state->handle);
    free(state);
    blas->state = NULL;
}

static cudaDataType_t type_of(enum dtype dtype) {
    return dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* One call's descriptions. */
struct call {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, y;
};

static void call_end(struct call *call) {
    (void)cublasLtMatmulDescDestroy(call->product);
    (void)cublasLtMatrixLayoutDestroy(call->a);
    (void)cublasLtMatrixLayoutDestroy(call->b);
    (void)cublasLtMatrixLayoutDestroy(call->y);
}

static enum status set(struct call *call, cublasLtMatmulDescAttributes_t attribute,
                       const void *value, size_t bytes) {
    BLAS(cublasLtMatmulDescSetAttribute(call->product, attribute, value, bytes));
    return STATUS_OK;
}

static enum status describe(struct call *call, const struct product_launch *p, int64_t M) {
    const cublasOperation_t first = p->b_transposed ? CUBLAS_OP_N : CUBLAS_OP_T,
                            second = p->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cudaDataType_t in = type_of(p->dtype), out = type_of(p->y_dtype), wide = CUDA_R_32F;
    const cublasLtEpilogue_t bias = CUBLASLT_EPILOGUE_BIAS;
    BLAS(cublasLtMatmulDescCreate(&call->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    TRY(set(call, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first));
    TRY(set(call, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second));
    if (p->bias != NULL) {
        TRY(set(call, CUBLASLT_MATMUL_DESC_EPILOGUE, &bias, sizeof bias));
        TRY(set(call, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias));
        TRY(set(call, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &wide, sizeof wide));
    }
    const uint64_t m = (uint64_t)M, n = (uint64_t)p->N, k = (uint64_t)p->K;
    BLAS(cublasLtMatrixLayoutCreate(&call->b, in, p->b_transposed ? n : k, p->b_transposed ? k : n,
                                    p->ldb));
    BLAS(cublasLtMatrixLayoutCreate(&call->a, in, p->a_transposed ? m : k, p->a_transposed ? k : m,
                                    p->lda));
    BLAS(cublasLtMatrixLayoutCreate(&call->y, out, n, m, p->ldy));
    return STATUS_OK;
}

/* Addresses and strides that its fast kernels take. */
static bool aligned(const struct product_launch *p) {
    const int64_t in = (int64_t)dtype_bytes(p->dtype), out = (int64_t)dtype_bytes(p->y_dtype);
    const uintptr_t addresses = (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->y |
                                (uintptr_t)p->residual | (uintptr_t)p->bias;
    return addresses % 16 == 0 && p->lda * in % 16 == 0 && p->ldb * in % 16 == 0 &&
           p->ldy * out % 16 == 0;
}

static enum status limit(cublasLtMatmulPreference_t preference) {
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const size_t workspace = 0;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 16;
    BLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                              &workspace, sizeof workspace));
    BLAS(cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions));
    for (int i = 0; i < 4; i++)
        BLAS(cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &alignment,
                                                  sizeof alignment));
    return STATUS_OK;
}

/* The first algorithm that the heuristic names, for BLAS_ROWS rows. */
static enum status choose(struct state *state, const struct product_launch *p, struct plan *plan) {
    struct call call = {.product = NULL};
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    enum status status;
    TRY_ELSE(status, done, describe(&call, p, p->a_transposed ? p->M : BLAS_ROWS));
    if (cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) {
        status = FAIL(STATUS_MEMORY, "cuBLASLt cannot hold a preference");
        goto done;
    }
    TRY_ELSE(status, done, limit(preference));
    plan->usable =
        cublasLtMatmulAlgoGetHeuristic(state->handle, call.product, call.b, call.a, call.y, call.y,
                                       preference, 1, &found, &count) == CUBLAS_STATUS_SUCCESS &&
        count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
    plan->algorithm = found.algo;
done:
    (void)cublasLtMatmulPreferenceDestroy(preference);
    call_end(&call);
    return status;
}

static bool same(const struct key *x, const struct key *y) {
    return x->N == y->N && x->K == y->K && x->ldb == y->ldb && x->dtype == y->dtype &&
           x->y_dtype == y->y_dtype && x->a_transposed == y->a_transposed &&
           x->b_transposed == y->b_transposed && x->bias == y->bias && x->residual == y->residual;
}

/* The plan of such products; one that is not usable where there is no room for more. A gradient of a
 * weight sums over rows: their number is no part of its key. */
static enum status plan_of(struct state *state, const struct product_launch *p,
                           const struct plan **found) {
    static const struct plan none = {.usable = false};
    const struct key key = {.N = p->N,
                            .K = p->a_transposed ? p->M : p->K,
                            .ldb = p->ldb,
                            .dtype = p->dtype,
                            .y_dtype = p->y_dtype,
                            .a_transposed = p->a_transposed,
                            .b_transposed = p->b_transposed,
                            .bias = p->bias != NULL,
                            .residual = p->residual != NULL};
    for (int i = 0; i < state->count; i++)
        if (same(&state->plans[i].key, &key)) {
            *found = &state->plans[i];
            return STATUS_OK;
        }
    *found = &none;
    if (state->count == PLANS_MAX)
        return STATUS_OK;
    struct plan *plan = &state->plans[state->count];
    *plan = (struct plan){.key = key};
    TRY(choose(state, p, plan));
    state->count++;
    *found = plan;
    return STATUS_OK;
}

enum status blas_product(struct blas *blas, void *stream, const struct product_launch *p,
                         bool *done) {
    struct state *state = blas->state;
    const struct plan *plan;
    struct call call = {.product = NULL};
    const float scale = p->scale, add = p->residual != NULL ? 1.0f : 0.0f;
    enum status status;
    *done = false;
    if (p->M == 0 || p->N == 0 || p->K == 0 || !aligned(p))
        return STATUS_OK;
    TRY(plan_of(state, p, &plan));
    if (!plan->usable)
        return STATUS_OK;
    TRY_ELSE(status, done, describe(&call, p, p->M));
    const cublasStatus_t error =
        cublasLtMatmul(state->handle, call.product, &scale, p->b, call.b, p->a, call.a, &add,
                       p->residual != NULL ? p->residual : p->y, call.y, p->y, call.y,
                       &plan->algorithm, NULL, 0, (cudaStream_t)stream);
    /* An algorithm that does not take this number of rows: the caller has another way. */
    *done = error == CUBLAS_STATUS_SUCCESS;
    if (!*done && error != CUBLAS_STATUS_NOT_SUPPORTED && error != CUBLAS_STATUS_INVALID_VALUE)
        status = failed(error, "a product");
done:
    call_end(&call);
    return status;
}
