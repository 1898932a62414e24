/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrices in bf16. Where they are widened (plain, avx2, avx512) a model is, bit for bit, the fp32
 * model of the rounded numbers: scores, and every gradient of the fp32 master. Where pairs are
 * multiplied (avx512bf16) the inputs are rounded too, and scores and gradients come near. A model
 * of odd width is refused, and planned, with one sentence.
 */
#include "check.h"
#include "unit/model/tiny.h"

#include "base/memory.h"

enum { TARGETS = 20 };

/* A model of its own weights in `dtype`, from `values` (host), what it scores and its gradients. */
struct side {
    struct weights *weights;
    struct model *model;
    float *master;
    float logprob[TARGETS], entropy[TARGETS];
    struct tiny_gradient gradient;
};

static void open_side(struct side *side, struct backend *backend, const struct hparams *h,
                      enum dtype dtype, const float *values) {
    const int64_t n = parameters_elements(h);
    CHECK_OK(weights_create(&side->weights, backend, h, dtype));
    CHECK_OK(backend_new(backend, &side->master, n, "master"));
    CHECK_OK(backend->ops->upload(backend, side->master, values, (size_t)n * sizeof *values));
    CHECK_OK(weights_refresh(side->weights, side->master));
    CHECK_OK(model_create(&side->model, side->weights, NULL,
                          &(struct model_settings){.max_positions = h->max_positions}));
    CHECK_OK(tiny_gradient_create(&side->gradient, side->model, backend));
}

static void run_side(struct side *side, const struct batch *batch) {
    float d_logprob[TARGETS], d_entropy[TARGETS];
    const struct gradient_sink sink = tiny_gradient_sink(&side->gradient);
    tiny_hashed("d logprob", d_logprob, TARGETS);
    tiny_hashed("d entropy", d_entropy, TARGETS);
    CHECK_OK(model_forward(side->model, batch, 0.7f, true, side->logprob, side->entropy));
    CHECK_OK(model_backward(side->model, batch, 0.7f, d_logprob, d_entropy, &sink));
}

static void close_side(struct side *side, struct backend *backend) {
    tiny_gradient_release(&side->gradient);
    model_destroy(&side->model);
    weights_destroy(&side->weights);
    backend_release(backend, &side->master);
}

/* The largest difference, as a share of the largest number. */
static double error_of(const float *a, const float *b, int64_t n) {
    double size = 1e-12, error = 0.0;
    for (int64_t i = 0; i < n; i++) {
        size = fmax(size, fabs((double)b[i]));
        error = fmax(error, fabs((double)a[i] - (double)b[i]));
    }
    return error / size;
}

static void compare(const char *what, const float *a, const float *b, int64_t n, bool pairs) {
    const double error = error_of(a, b, n);
    if (pairs ? !(error > 0.0 && error < 0.06) : memcmp(a, b, (size_t)n * sizeof *a) != 0)
        CHECK_FAILED("%s: differs by %.3g of the largest", what, error);
}

/* Matrices are rounded to bf16; norms and biases are not. */
static void round_matrices(const struct parameter_set *set, float *values) {
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        const int64_t n = p->matrix ? p->rows * p->columns : 0;
        for (float *x = values + p->offset; x < values + p->offset + n; x++) {
            const uint16_t bits = dtype_bf16_bits(*x);
            dtype_to_f32(DTYPE_BF16, &bits, x, 1);
        }
    }
}

static void compare_models(struct backend *backend, const char *name, const char *isa) {
    struct side half = {.weights = NULL}, whole = {.weights = NULL};
    struct batch batch = BATCH_EMPTY;
    struct hparams h;
    char path[200], what[200];
    float *values = NULL;
    const bool pairs = strstr(isa, "bf16") != NULL;
    snprintf(path, sizeof path, TINY_DATA "/%s", name);
    CHECK_OK(hparams_read(path, &h));
    CHECK_OK(memory_new(&values, parameters_elements(&h), "values"));
    CHECK_OK(tiny_batch(&batch, h.V));
    CHECK_EQ(batch.target_count, TARGETS);
    open_side(&half, backend, &h, DTYPE_BF16, values);
    const struct parameter_set *set = weights_parameters(half.weights);
    tiny_fill(set->items, set->count, values);
    CHECK_OK(
        backend->ops->upload(backend, half.master, values, (size_t)set->elements * sizeof *values));
    CHECK_OK(weights_refresh(half.weights, half.master));
    round_matrices(set, values);
    open_side(&whole, backend, &h, DTYPE_F32, values);
    run_side(&half, &batch);
    run_side(&whole, &batch);
    snprintf(what, sizeof what, "%s, %s: log-probabilities", name, isa);
    compare(what, half.logprob, whole.logprob, TARGETS, pairs);
    snprintf(what, sizeof what, "%s, %s: entropies", name, isa);
    compare(what, half.entropy, whole.entropy, TARGETS, pairs);
    for (int64_t i = 0; i < set->count; i++) {
        const struct parameter *p = &set->items[i];
        snprintf(what, sizeof what, "%s, %s: gradient of %s", name, isa, p->name);
        compare(what, half.gradient.values + p->offset, whole.gradient.values + p->offset,
                p->rows * p->columns, pairs);
    }
    close_side(&half, backend);
    close_side(&whole, backend);
    batch_release(&batch);
    memory_release(&values);
}

static void on_isa(const char *isa) {
    struct backend backend;
    setenv("GRADUS_ISA", isa, 1);
    if (backend_open(&backend, "cpu", 2) != STATUS_OK) {
        printf("not on this machine: %s\n", status_sentence());
        return;
    }
    for (int i = 0; i < TINY_COUNT; i++)
        compare_models(&backend, tiny_names[i], isa);
    backend_close(&backend);
    unsetenv("GRADUS_ISA");
}

static void refuse_odd(void) {
    struct hparams h;
    CHECK_OK(hparams_read(TINY_DATA "/qwen2", &h));
    h.F = 71;
    for (int plans = 0; plans < 2; plans++) {
        struct backend backend;
        struct weights *weights = NULL;
        CHECK_OK((plans ? backend_plan : backend_open)(&backend, "cpu", 1));
        CHECK_STATUS(weights_create(&weights, &backend, &h, DTYPE_BF16), STATUS_INPUT,
                     "intermediate_size is 71");
        CHECK(weights == NULL);
        CHECK_OK(weights_create(&weights, &backend, &h, DTYPE_F32));
        weights_destroy(&weights);
        backend_close(&backend);
    }
}

int main(void) {
    static const char *const sets[] = {"plain", "avx2", "avx512", "avx512bf16"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        on_isa(sets[i]);
    refuse_odd();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
