/* SPDX-License-Identifier: Apache-2.0
 *
 * cuBLASLt. It thinks in columns: our y (M, N) by rows is its (N, M), so that b comes first.
 */
#include "cuda/blas_choice.h"

#include <stdlib.h>
#include <string.h>

#include <cublasLt.h>

struct state {
    cublasLtHandle_t handle;
    struct blas_choices choices;
};
_Static_assert(sizeof(cublasLtMatmulAlgo_t) == BLAS_ALGORITHM_WORDS * sizeof(uint64_t),
               "an algorithm is so many words");

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
        return FAIL(STATUS_MEMORY, "no memory for the choices of products");
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

/* --- the algorithm --- */

/* What the library is asked about, whatever product comes first: BLAS_ROWS rows, or as many to sum
 * over; all columns. */
static enum status describe_all(struct call *call, const struct product_launch *p) {
    struct product_launch all = *p;
    if (p->whole > 0) {
        all.N = p->whole;
        all.ldy = logits_stride(p->whole);
    }
    if (p->a_transposed)
        all.K = BLAS_ROWS;
    return describe(call, &all, p->a_transposed ? p->M : BLAS_ROWS);
}

/* The first that the heuristic names. */
static enum status ask(struct state *state, const struct call *call, struct blas_choice *choice) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    enum status status;
    if (cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS)
        return FAIL(STATUS_MEMORY, "cuBLASLt cannot hold a preference");
    TRY_ELSE(status, done, limit(preference));
    choice->usable = cublasLtMatmulAlgoGetHeuristic(state->handle, call->product, call->b, call->a,
                                                    call->y, call->y, preference, 1, &found,
                                                    &count) == CUBLAS_STATUS_SUCCESS &&
                     count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
    if (choice->usable)
        memcpy(choice->algorithm, &found.algo, sizeof choice->algorithm);
    choice->made = true;
done:
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

/* Whether the library takes such products by the algorithm of a checkpoint. */
static bool is_offered(struct state *state, const struct call *call,
                       const struct blas_choice *choice) {
    cublasLtMatmulAlgo_t algorithm;
    cublasLtMatmulHeuristicResult_t result;
    memcpy(&algorithm, choice->algorithm, sizeof algorithm);
    return !choice->usable ||
           (cublasLtMatmulAlgoCheck(state->handle, call->product, call->b, call->a, call->y,
                                    call->y, &algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
            result.state == CUBLAS_STATUS_SUCCESS && result.workspaceSize == 0);
}

static enum status choose(struct state *state, const struct product_launch *p,
                          struct blas_choice *choice) {
    struct call call = {.product = NULL};
    enum status status;
    TRY_ELSE(status, done, describe_all(&call, p));
    if (choice->kept && !is_offered(state, &call, choice)) {
        blas_choice_lost(choice);
        choice->made = false;
    }
    choice->kept = false;
    if (!choice->made)
        status = ask(state, &call, choice);
done:
    call_end(&call);
    return status;
}

void blas_choices(const struct blas *blas, int64_t words[BLAS_WORDS]) {
    const struct state *state = blas->state;
    blas_choices_write(&state->choices, (int64_t)cublasLtGetVersion(), words);
}

void blas_choose(struct blas *blas, const int64_t words[BLAS_WORDS]) {
    struct state *state = blas->state;
    blas_choices_read(&state->choices, (int64_t)cublasLtGetVersion(), words);
}

/* --- a product --- */

enum status blas_product(struct blas *blas, void *stream, const struct product_launch *p,
                         bool *done) {
    struct state *state = blas->state;
    cublasLtMatmulAlgo_t algorithm;
    struct call call = {.product = NULL};
    const float scale = p->scale, add = p->residual != NULL ? 1.0f : 0.0f;
    enum status status;
    *done = false;
    if (p->M == 0 || p->N == 0 || p->K == 0 || !blas_aligned(p))
        return STATUS_OK;
    struct blas_choice *choice = blas_choice_of(&state->choices, p);
    if (choice != NULL && (!choice->made || choice->kept))
        TRY(choose(state, p, choice));
    if (choice == NULL || !choice->usable)
        return STATUS_OK;
    memcpy(&algorithm, choice->algorithm, sizeof algorithm);
    TRY_ELSE(status, done, describe(&call, p, p->M));
    const cublasStatus_t error =
        cublasLtMatmul(state->handle, call.product, &scale, p->b, call.b, p->a, call.a, &add,
                       p->residual != NULL ? p->residual : p->y, call.y, p->y, call.y, &algorithm,
                       NULL, 0, (cudaStream_t)stream);
    /* An algorithm that does not take this number of rows: the caller has another way. */
    *done = error == CUBLAS_STATUS_SUCCESS;
    if (!*done && error != CUBLAS_STATUS_NOT_SUPPORTED && error != CUBLAS_STATUS_INVALID_VALUE)
        status = failed(error, "a product");
done:
    call_end(&call);
    return status;
}
