/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-probabilities, entropies, gradients and one AdamW step equal PyTorch and transformers, whose
 * numbers in double precision stand in tests/data/model (make_expected.py says how they were made).
 */
#include "base/memory.h"
#include "backends.h"
#include "check.h"
#include "file/json.h"
#include "unit/model/tiny.h"

#define TEMPERATURE 0.7f
enum { TARGETS = 20 };

/* One model under test and what is expected of it. */
struct peer {
    struct backend backend;
    struct model *model;
    float *master;
    struct batch batch;
    json_t *expected;
};

static void check_list(const struct peer *peer, const char *name, const float *have,
                       double tolerance) {
    const json_t *list = json_object_get(peer->expected, name);
    CHECK_EQ(json_array_size(list), TARGETS);
    for (size_t i = 0; i < TARGETS; i++)
        CHECK_NEAR(have[i], json_real_value(json_array_get(list, i)), tolerance);
}

static void check_gradient(const struct peer *peer, const float *gradient) {
    const struct parameter *p = model_trained(peer->model)->items;
    const int64_t count = model_trained(peer->model)->count;
    const json_t *all = json_object_get(peer->expected, "gradient");
    CHECK_EQ(json_object_size(all), count);
    for (int64_t i = 0; i < count; i++) {
        double norm, product;
        const json_t *want = json_object_get(all, p[i].name);
        const double want_norm = json_real_value(json_array_get(want, 0));
        const double want_product = json_real_value(json_array_get(want, 1));
        tiny_project(&p[i], gradient + p[i].offset, &norm, &product);
        /* the gradient of a key bias is zero but for rounding */
        const double tolerance = 1e-5 * want_norm + 1e-6;
        if (!(fabs(norm - want_norm) <= tolerance && fabs(product - want_product) <= tolerance))
            CHECK_FAILED("gradient of %s: norm %.9g, product %.9g, expected %.9g, %.9g", p[i].name,
                         norm, product, want_norm, want_product);
    }
}

static void adamw_step(struct peer *peer, const float *gradient) {
    struct backend *b = &peer->backend;
    const int64_t elements = model_trained(peer->model)->elements;
    float *state = NULL;
    const struct parameter *p = model_trained(peer->model)->items;
    const int64_t count = model_trained(peer->model)->count;
    CHECK_OK(backend_new(b, &state, 3 * elements, "moments and gradient"));
    float *g = state + 2 * elements;
    CHECK_OK(b->ops->upload(b, g, gradient, (size_t)elements * sizeof(float)));
    for (int64_t i = 0; i < count; i++)
        CHECK_OK(backend_run(
            b, adamw, .parameters = peer->master + p[i].offset, .exp_avg = state + p[i].offset,
            .exp_avg_sq = state + elements + p[i].offset, .gradient = g + p[i].offset,
            .n = p[i].rows * p[i].columns, .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.95,
            .epsilon = 1e-3, .weight_decay = p[i].matrix ? 0.1 : 0.0, .gradient_scale = 1.0,
            .correction1 = 1.0 - 0.9, .correction2 = 1.0 - 0.95));
    backend_release(b, &state);
    CHECK_OK(model_refresh(peer->model, peer->master));
}

static void check_stepped(struct peer *peer, float *host) {
    struct backend *b = &peer->backend;
    const int64_t elements = model_trained(peer->model)->elements;
    const struct parameter *p = model_trained(peer->model)->items;
    const int64_t count = model_trained(peer->model)->count;
    const json_t *all = json_object_get(peer->expected, "stepped");
    CHECK_OK(b->ops->download(b, host, peer->master, (size_t)elements * sizeof(float)));
    for (int64_t i = 0; i < count; i++) {
        double norm, product;
        tiny_project(&p[i], host + p[i].offset, &norm, &product);
        const double want = json_real_value(json_object_get(all, p[i].name));
        if (!(fabs(product - want) <= 2e-6 * (norm + 1.0)))
            CHECK_FAILED("%s after the step: product %.9g, expected %.9g", p[i].name, product,
                         want);
    }
}

static void test_peer(struct peer *peer, bool recompute) {
    float logprob[TARGETS], entropy[TARGETS], d_logprob[TARGETS], d_entropy[TARGETS];
    struct tiny_gradient gradient;
    tiny_hashed("d_logprob", d_logprob, TARGETS);
    tiny_hashed("d_entropy", d_entropy, TARGETS);
    CHECK_OK(model_forward(peer->model, &peer->batch, TEMPERATURE, true, logprob, entropy));
    check_list(peer, "logprob", logprob, 1e-5);
    check_list(peer, "entropy", entropy, 1e-5);
    CHECK_OK(tiny_gradient_create(&gradient, peer->model, &peer->backend));
    const struct gradient_sink sink = tiny_gradient_sink(&gradient);
    CHECK_OK(model_backward(peer->model, &peer->batch, TEMPERATURE, d_logprob, d_entropy, &sink));
    check_gradient(peer, gradient.values);
    if (!recompute) {
        adamw_step(peer, gradient.values);
        check_stepped(peer, gradient.values);
        CHECK_OK(model_forward(peer->model, &peer->batch, TEMPERATURE, false, logprob, entropy));
        check_list(peer, "logprob_after", logprob, 1e-4);
    }
    tiny_gradient_release(&gradient);
}

static void run(const char *backend, const char *name, bool recompute) {
    struct peer peer = {.batch = BATCH_EMPTY};
    char path[200];
    snprintf(path, sizeof path, TINY_DATA "/%s/expected.json", name);
    CHECK_OK(json_read_file(path, 1 << 20, &peer.expected));
    CHECK_OK(backend_open(&peer.backend, backend, 1));
    CHECK_OK(tiny_open(&peer.model, &peer.backend, name, recompute, &peer.master));
    CHECK_OK(tiny_batch(&peer.batch, model_hparams(peer.model)->V));
    CHECK_EQ(peer.batch.target_count, TARGETS);
    test_peer(&peer, recompute);
    batch_release(&peer.batch);
    backend_release(&peer.backend, &peer.master);
    tiny_close(&peer.model);
    backend_close(&peer.backend);
    json_decref(peer.expected);
}

int main(void) {
    for (const char *const *backend = backends_list(); *backend != NULL; backend++)
        for (int i = 0; i < TINY_COUNT; i++)
            for (int recompute = 0; recompute < 2; recompute++)
                run(*backend, tiny_names[i], recompute == 1);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
