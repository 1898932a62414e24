/* SPDX-License-Identifier: Apache-2.0
 *
 * The check backend catches what it is for: operations with planted faults, and wrong calls of
 * correct ones. That it keeps silent on correct calls is shown by the other tests, which all run on
 * it too.
 */
#include "backend/check/check.h"
#include "fixture.h"

/* --- faulty operations --- */

static const struct backend_ops *correct; /* the table that the faulty one was made from */
static struct backend_ops faulty;

static enum status past_the_end(struct backend *b, const struct swiglu_args *args) {
    TRY(correct->swiglu(b, args));
    ((float *)args->out)[args->T * args->F] = 1;
    return STATUS_OK;
}

static enum status before_the_start(struct backend *b, const struct swiglu_args *args) {
    TRY(correct->swiglu(b, args));
    ((float *)args->out)[-1] = 1;
    return STATUS_OK;
}

static enum status makes_nan(struct backend *b, const struct swiglu_args *args) {
    TRY(correct->swiglu(b, args));
    ((float *)args->out)[2] = NAN;
    return STATUS_OK;
}

static enum status forgets_one(struct backend *b, const struct swiglu_args *args) {
    struct swiglu_args fewer = *args;
    fewer.T--;
    return correct->swiglu(b, &fewer);
}

static enum status writes_input(struct backend *b, const struct swiglu_args *args) {
    TRY(correct->swiglu(b, args));
    ((float *)(uintptr_t)args->gate_up)[3] += 1;
    return STATUS_OK;
}

static enum status writes_gap(struct backend *b, const struct gemm_args *args) {
    TRY(correct->gemm(b, args));
    ((float *)args->y)[args->weight.rows] = 0.5f;
    return STATUS_OK;
}

static enum status writes_weight(struct backend *b, const struct gemm_args *args) {
    TRY(correct->gemm(b, args));
    ((float *)args->weight.panels)[1] = 0;
    return STATUS_OK;
}

static enum status stores_elsewhere(struct backend *b, const struct cache_store_args *args) {
    TRY(correct->cache_store(b, args));
    float *page = (float *)args->pool.memory + args->pages[0] * args->pool.page_elements;
    page[args->slots[0] + 1] = 3; /* the next position's first key element */
    return STATUS_OK;
}

/* An open check backend over the faulty table. */
static void open_faulty(struct fixture *f) {
    struct backend inner;
    *f = (struct fixture){.name = "check"};
    CHECK_OK(backend_open(&inner, "cpu", 1));
    correct = inner.ops;
    faulty = *correct;
    inner.ops = &faulty;
    CHECK_OK(check_wrap(&f->backend, inner));
}

static enum status run_swiglu(struct fixture *f) {
    enum { T = 3, F = 5 };
    const float *gate_up = fixture_normal(f, T * 2 * F, 0, 1);
    float *out = fixture_floats(f, NULL, T * F);
    const enum status status =
        backend_run(&f->backend, swiglu, .gate_up = gate_up, .out = out, .T = T, .F = F);
    fixture_reset(f);
    return status;
}

static enum status run_gemm(struct fixture *f) {
    enum { M = 3, N = 4, K = 6, LD = 9 };
    const float *x = fixture_normal(f, M * K, 0, 1), *w = fixture_normal(f, N * K, 0, 1);
    float *y = fixture_normal(f, M * LD, 0, 1);
    const struct weight weight = fixture_weight(f, w, N, K);
    const enum status status = backend_run(&f->backend, gemm, .x = x, .weight = weight, .y = y,
                                           .M = M, .ldx = K, .ldy = LD);
    fixture_reset(f);
    return status;
}

static enum status run_cache_store(struct fixture *f, int32_t page) {
    enum { B = 2, H = 2, K = 1, D = 8, LAYERS = 2 };
    const float *qkv = fixture_normal(f, (int64_t)B * (H + 2 * K) * D, 0, 1);
    const int64_t elements = (int64_t)LAYERS * K * 2 * CACHE_PAGE * D;
    const struct cache_pool pool = {.memory = fixture_floats(f, NULL, 2 * elements),
                                    .page_elements = elements,
                                    .page_count = 2,
                                    .K = K,
                                    .D = D};
    const int32_t pages[B] = {1, page}, slots[B] = {30, 33};
    const enum status status = backend_run(
        &f->backend, cache_store, .qkv = qkv, .pool = pool, .pages = fixture_ints(f, pages, B),
        .slots = fixture_ints(f, slots, B), .B = B, .H = H, .layer = 1);
    fixture_reset(f);
    return status;
}

static void test_faulty_operations(void) {
    struct fixture f;
    open_faulty(&f);
    CHECK_OK(run_swiglu(&f));
    faulty.swiglu = past_the_end;
    CHECK_STATUS(run_swiglu(&f), STATUS_DEFECT,
                 "swiglu wrote 1 bytes past the end of argument out");
    faulty.swiglu = before_the_start;
    CHECK_STATUS(run_swiglu(&f), STATUS_DEFECT, "bytes before argument out");
    faulty.swiglu = makes_nan;
    CHECK_STATUS(run_swiglu(&f), STATUS_DEFECT, "swiglu: element 2 of argument out is nan");
    faulty.swiglu = forgets_one;
    CHECK_STATUS(run_swiglu(&f), STATUS_DEFECT, "swiglu did not write element 10 of argument out");
    faulty.swiglu = writes_input;
    CHECK_STATUS(run_swiglu(&f), STATUS_DEFECT, "swiglu wrote to the read-only argument gate_up");
    faulty.swiglu = correct->swiglu;
    CHECK_OK(run_swiglu(&f));
    CHECK_OK(run_gemm(&f));
    faulty.gemm = writes_gap;
    CHECK_STATUS(run_gemm(&f), STATUS_DEFECT, "gemm wrote to the gap between rows of argument y");
    faulty.gemm = writes_weight;
    CHECK_STATUS(run_gemm(&f), STATUS_DEFECT, "gemm wrote to the read-only argument weight");
    CHECK_OK(run_cache_store(&f, 1));
    CHECK_STATUS(run_cache_store(&f, 2), STATUS_DEFECT, "argument pages is 2, outside [0, 2)");
    faulty.cache_store = stores_elsewhere;
    CHECK_STATUS(run_cache_store(&f, 1), STATUS_DEFECT, "cache_store changed element");
    fixture_close(&f);
}

/* --- activations that are not fp32 --- */

static enum dtype bf16_beside_bf16(const struct backend *b, enum dtype weights) {
    (void)b;
    return weights;
}

/* Ones, and NaN or one element more where the first input says so. */
static enum status ones_in_bf16(struct backend *b, const struct swiglu_args *args) {
    const uint16_t *in = args->gate_up, kind = in[0];
    uint16_t *out = args->out;
    (void)b;
    for (int64_t i = 0; i < args->T * args->F; i++)
        out[i] = kind == 2 && i == 4 ? 0x7fc0 : 0x3f80;
    if (kind == 1)
        out[args->T * args->F] = 0;
    return STATUS_OK;
}

static enum status run_bf16(struct fixture *f, uint16_t kind) {
    enum { T = 3, F = 5 };
    const uint16_t values[T * 2 * F] = {kind};
    return backend_run(&f->backend, swiglu, .gate_up = fixture_upload(f, values, sizeof values),
                       .out = fixture_upload(f, NULL, T * F * sizeof *values), .dtype = DTYPE_BF16,
                       .T = T, .F = F);
}

static void test_bf16(void) {
    struct fixture f;
    fixture_open(&f, "check", 1);
    CHECK_STATUS(run_bf16(&f, 0), STATUS_DEFECT,
                 "argument gate_up is BF16, which \"cpu\" does not compute in");
    fixture_close(&f);
    open_faulty(&f);
    faulty.activations = bf16_beside_bf16;
    faulty.swiglu = ones_in_bf16;
    CHECK_OK(run_bf16(&f, 0));
    CHECK_STATUS(run_bf16(&f, 1), STATUS_DEFECT, "1 bytes past the end of argument out");
    CHECK_STATUS(run_bf16(&f, 2), STATUS_DEFECT, "swiglu: element 4 of argument out is nan");
    fixture_close(&f);
}

/* --- wrong calls --- */

static enum status run_rmsnorm(struct fixture *f, const float *x, float *y) {
    const float *weight = fixture_normal(f, 8, 1, 0);
    return backend_run(&f->backend, rmsnorm, .x = x, .weight = weight, .y = y, .T = 2, .C = 8,
                       .epsilon = 1e-6f);
}

static void test_wrong_calls(void) {
    struct fixture f;
    float host[16] = {1};
    fixture_open(&f, "check", 1);
    float *x = fixture_normal(&f, 32, 0, 1), *y = fixture_floats(&f, NULL, 16), *gone = NULL;
    CHECK_OK(run_rmsnorm(&f, x, y));
    CHECK_STATUS(run_rmsnorm(&f, x, x), STATUS_DEFECT, "rmsnorm: arguments x and y overlap");
    CHECK_STATUS(run_rmsnorm(&f, x, x + 15), STATUS_DEFECT, "arguments x and y overlap");
    CHECK_OK(run_rmsnorm(&f, x, x + 16));
    CHECK_STATUS(run_rmsnorm(&f, x + 17, y), STATUS_DEFECT, "only 60 are left");
    CHECK_STATUS(run_rmsnorm(&f, host, y), STATUS_DEFECT,
                 "argument x is not memory of this backend");
    CHECK_STATUS(run_rmsnorm(&f, x, NULL), STATUS_DEFECT, "argument y is NULL");
    CHECK_OK(backend_new(&f.backend, &gone, 16, "gone"));
    const float *stale = gone;
    backend_release(&f.backend, &gone);
    CHECK_STATUS(run_rmsnorm(&f, stale, y), STATUS_DEFECT,
                 "argument x lies in released memory (gone)");
    CHECK_STATUS(f.backend.ops->download(&f.backend, host, stale, sizeof host), STATUS_DEFECT,
                 "released memory");
    x[3] = INFINITY; /* what is not finite may be passed on */
    CHECK_OK(run_rmsnorm(&f, x, y));
    fixture_close(&f);
}

static void test_wrong_indices(void) {
    struct fixture f;
    fixture_open(&f, "check", 1);
    const int32_t ids[] = {3, 7};
    const float *x = fixture_normal(&f, 7 * 4, 0, 1);
    float *out = fixture_floats(&f, NULL, 8);
    const struct weight table = fixture_weight(&f, x, 7, 4);
    const int32_t *rows = fixture_ints(&f, ids, 2);
    CHECK_STATUS(backend_run(&f.backend, embed, .table = table, .tokens = rows, .out = out, .T = 2),
                 STATUS_DEFECT, "element 1 of argument tokens is 7, outside [0, 7)");
    CHECK_STATUS(
        backend_run(&f.backend, gather_rows, .x = x, .rows = rows, .out = out, .R = 2, .C = 4),
        STATUS_DEFECT, "argument x takes 128 bytes, but only 112 are left");
    fixture_close(&f);
}

/* Memory that is reserved is none before it is committed, and no more than that. */
static void test_commit(void) {
    struct fixture f;
    void *pool = NULL;
    const float *x;
    fixture_open(&f, "check", 1);
    const struct backend_ops *ops = f.backend.ops;
    CHECK_OK(ops->reserve(&f.backend, &pool, 1 << 20, "a pool"));
    x = pool;
    float *y = fixture_floats(&f, NULL, 16);
    CHECK_STATUS(run_rmsnorm(&f, x, y), STATUS_DEFECT, "only 0 are left in its memory (a pool)");
    CHECK_OK(ops->commit(&f.backend, pool, 60));
    CHECK_STATUS(run_rmsnorm(&f, x, y), STATUS_DEFECT, "only 60 are left in its memory (a pool)");
    CHECK_OK(ops->commit(&f.backend, pool, 64));
    CHECK_OK(run_rmsnorm(&f, x, y));
    CHECK_STATUS(ops->commit(&f.backend, y + 1, 64), STATUS_DEFECT, "not reserved");
    backend_release(&f.backend, &pool);
    CHECK_STATUS(run_rmsnorm(&f, x, y), STATUS_DEFECT, "released memory (a pool)");
    fixture_close(&f);
}

/* A wrong release is told by the next operation. */
static void test_wrong_release(void) {
    struct fixture f;
    float *memory = NULL;
    fixture_open(&f, "check", 1);
    CHECK_OK(backend_new(&f.backend, &memory, 16, "twice"));
    float *again = memory;
    backend_release(&f.backend, &memory);
    backend_release(&f.backend, &again);
    CHECK_STATUS(run_swiglu(&f), STATUS_DEFECT, "released before: twice");
    fixture_close(&f);
}

int main(void) {
    test_faulty_operations();
    test_bf16();
    test_wrong_calls();
    test_wrong_indices();
    test_commit();
    test_wrong_release();
    return CHECK_END();
}
