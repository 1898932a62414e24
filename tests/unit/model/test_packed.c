/* SPDX-License-Identifier: Apache-2.0
 *
 * What a packed batch promises: a group equals its sequences run alone, bit for bit in the forward
 * and to rounding in the gradient; recomputation and the number of threads change no bit; rows are
 * computed once; a second batch of the same size allocates nothing.
 */
#include "base/memory.h"
#include "backends.h"
#include "check.h"
#include "unit/model/tiny.h"

enum { PROMPT = 70, ANSWERS = 3, LONGEST = 90, TARGETS = 33 + 1 + LONGEST };
static const int lengths[ANSWERS] = {33, 1, LONGEST};

/* Tokens of a prompt of more than one cache page and of answers shorter and longer than one. */
struct group {
    int32_t prompt[PROMPT], answers[ANSWERS][LONGEST];
};

static struct group make_group(int64_t V) {
    struct group group;
    tiny_tokens("long prompt", V, group.prompt, PROMPT);
    for (int i = 0; i < ANSWERS; i++) {
        char name[24];
        snprintf(name, sizeof name, "long answer %d", i);
        tiny_tokens(name, V, group.answers[i], lengths[i]);
    }
    return group;
}

static void pack_group(const struct group *group, struct batch *batch) {
    int32_t prompt;
    batch_clear(batch);
    CHECK_OK(batch_append_prompt(batch, group->prompt, PROMPT, &prompt));
    for (int i = 0; i < ANSWERS; i++)
        CHECK_OK(batch_append_answer(batch, prompt, group->answers[i], lengths[i]));
}

static void pack_one(const struct group *group, int answer, struct batch *batch) {
    int32_t prompt;
    batch_clear(batch);
    CHECK_OK(batch_append_prompt(batch, group->prompt, PROMPT, &prompt));
    CHECK_OK(batch_append_answer(batch, prompt, group->answers[answer], lengths[answer]));
}

struct result {
    float logprob[TARGETS], entropy[TARGETS];
    struct tiny_gradient gradient;
};

static void compute(struct model *model, struct backend *backend, const struct batch *batch,
                    int64_t first, struct result *out, bool fresh) {
    float d_logprob[TARGETS], d_entropy[TARGETS];
    tiny_hashed("d_logprob", d_logprob, TARGETS);
    tiny_hashed("d_entropy", d_entropy, TARGETS);
    if (fresh)
        CHECK_OK(tiny_gradient_create(&out->gradient, model, backend));
    const struct gradient_sink sink = tiny_gradient_sink(&out->gradient);
    CHECK_OK(model_forward(model, batch, 1.3f, true, out->logprob + first, out->entropy + first));
    CHECK_OK(model_backward(model, batch, 1.3f, d_logprob + first, d_entropy + first, &sink));
}

static void check_bits(const char *what, const struct result *a, const struct result *b) {
    const size_t scores = sizeof a->logprob;
    if (memcmp(a->logprob, b->logprob, scores) != 0 || memcmp(a->entropy, b->entropy, scores) != 0)
        CHECK_FAILED("%s: the forward's bits differ", what);
    if (memcmp(a->gradient.values, b->gradient.values,
               (size_t)a->gradient.elements * sizeof(float)) != 0)
        CHECK_FAILED("%s: the gradient's bits differ", what);
}

/* Sums over rows run in another order, so each number may be off by rounding of its row's parts. */
static void check_close(const struct result *a, const struct result *b, int64_t elements) {
    double difference = 0.0, norm = 0.0;
    for (int64_t i = 0; i < elements; i++) {
        const double x = (double)a->gradient.values[i], y = (double)b->gradient.values[i];
        difference += (x - y) * (x - y);
        norm += x * x;
    }
    CHECK(norm > 0.0);
    CHECK_NEAR(sqrt(difference / norm), 0.0, 2e-6);
}

static void test_model(const char *backend_name, const char *name, struct result *reference) {
    struct backend backend;
    struct model *model = NULL;
    struct batch batch = BATCH_EMPTY;
    struct result alone = {.gradient = {.values = NULL}}, again = alone;
    CHECK_OK(backend_open(&backend, backend_name, 1));
    CHECK_OK(tiny_open(&model, &backend, name, false, NULL));
    const struct group group = make_group(model_hparams(model)->V);
    pack_group(&group, &batch);
    compute(model, &backend, &batch, 0, reference, true);
    CHECK_EQ(model_positions_computed(model), PROMPT + TARGETS);
    for (int i = 0, first = 0; i < ANSWERS; first += lengths[i++]) {
        pack_one(&group, i, &batch);
        compute(model, &backend, &batch, first, &alone, i == 0);
    }
    CHECK_EQ(model_positions_computed(model), PROMPT + TARGETS + ANSWERS * PROMPT + TARGETS);
    CHECK(memcmp(alone.logprob, reference->logprob, sizeof alone.logprob) == 0);
    CHECK(memcmp(alone.entropy, reference->entropy, sizeof alone.entropy) == 0);
    check_close(reference, &alone, model_trained(model)->elements);
    pack_group(&group, &batch);
    CHECK_OK(tiny_gradient_create(&again.gradient, model, &backend));
    const int64_t before = memory_totals().allocations;
    compute(model, &backend, &batch, 0, &again, false);
    if (strcmp(backend_name, "cpu") == 0) /* `check` copies its arguments */
        CHECK_EQ(memory_totals().allocations, before);
    check_bits("a second time", reference, &again);
    tiny_gradient_release(&again.gradient);
    tiny_gradient_release(&alone.gradient);
    batch_release(&batch);
    tiny_close(&model);
    backend_close(&backend);
}

static void test_variant(const char *backend_name, const char *name, int threads, bool recompute,
                         const struct result *reference) {
    struct backend backend;
    struct model *model = NULL;
    struct batch batch = BATCH_EMPTY;
    struct result other;
    char what[100];
    snprintf(what, sizeof what, "%s, %s, %d threads, recompute %d", backend_name, name, threads,
             recompute);
    CHECK_OK(backend_open(&backend, backend_name, threads));
    CHECK_OK(tiny_open(&model, &backend, name, recompute, NULL));
    const struct group group = make_group(model_hparams(model)->V);
    pack_group(&group, &batch);
    compute(model, &backend, &batch, 0, &other, true);
    check_bits(what, reference, &other);
    tiny_gradient_release(&other.gradient);
    batch_release(&batch);
    tiny_close(&model);
    backend_close(&backend);
}

/* A backend that takes more of the vocabulary at once: the same bits forward. */
static void test_wide_head(const char *backend_name, const char *name,
                           const struct result *reference) {
    struct backend backend;
    struct model *model = NULL;
    struct batch batch = BATCH_EMPTY;
    struct result wide;
    CHECK_OK(backend_open(&backend, backend_name, 1));
    struct backend_ops ops = *backend.ops;
    ops.head_columns = 2 * HEAD_BLOCK;
    backend.ops = &ops;
    CHECK_OK(tiny_open(&model, &backend, name, false, NULL));
    CHECK(model_hparams(model)->V > HEAD_BLOCK);
    const struct group group = make_group(model_hparams(model)->V);
    pack_group(&group, &batch);
    compute(model, &backend, &batch, 0, &wide, true);
    CHECK(memcmp(wide.logprob, reference->logprob, sizeof wide.logprob) == 0);
    CHECK(memcmp(wide.entropy, reference->entropy, sizeof wide.entropy) == 0);
    check_close(reference, &wide, model_trained(model)->elements);
    CHECK(wide.gradient.calls < reference->gradient.calls);
    tiny_gradient_release(&wide.gradient);
    batch_release(&batch);
    tiny_close(&model);
    backend_close(&backend);
}

static void test_refusals(void) {
    struct backend backend;
    struct model *model = NULL;
    struct batch batch = BATCH_EMPTY;
    struct tiny_gradient gradient;
    float scores[4];
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(tiny_open(&model, &backend, "qwen2", false, NULL));
    CHECK_OK(tiny_gradient_create(&gradient, model, &backend));
    const struct gradient_sink sink = tiny_gradient_sink(&gradient);
    CHECK_OK(batch_append_text(&batch, (const int32_t[]){1, 1100, 2}, 3));
    CHECK_STATUS(model_forward(model, &batch, 1.0f, true, scores, scores), STATUS_INPUT,
                 "token id 1100");
    batch_clear(&batch);
    CHECK_OK(batch_append_text(&batch, (const int32_t[]){1, 2, 3}, 3));
    CHECK_OK(model_forward(model, &batch, 1.0f, false, scores, scores + 2));
    CHECK_STATUS(model_backward(model, &batch, 1.0f, scores, NULL, &sink), STATUS_DEFECT, "kept");
    struct model *other = NULL;
    struct hparams h = *model_hparams(model);
    CHECK_STATUS(tiny_create(&other, &backend, &h, &(struct model_settings){.max_positions = 257}),
                 STATUS_INPUT, "max_position_embeddings");
    CHECK_OK(tiny_create(&other, &backend, &h, &(struct model_settings){.max_positions = 2}));
    CHECK_STATUS(model_forward(other, &batch, 1.0f, false, scores, scores), STATUS_INPUT,
                 "longer than the 2 positions");
    tiny_close(&other);
    tiny_gradient_release(&gradient);
    batch_release(&batch);
    tiny_close(&model);
    backend_close(&backend);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++) {
        struct result reference;
        test_model("cpu", tiny_names[i], &reference);
        test_variant("cpu", tiny_names[i], 1, true, &reference);
        test_variant("cpu", tiny_names[i], 2, false, &reference);
        test_variant("check", tiny_names[i], 2, true, &reference);
        test_wide_head("cpu", tiny_names[i], &reference);
        test_wide_head("check", tiny_names[i], &reference);
        tiny_gradient_release(&reference.gradient);
    }
    if (backends_have_cuda()) {
        struct result reference;
        test_model("cuda", "qwen2", &reference);
        tiny_gradient_release(&reference.gradient);
    }
    test_refusals();
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
