/* SPDX-License-Identifier: Apache-2.0
 *
 * A weight that is not finite, or so large that an activation is not, ends each kind of forward with
 * a sentence that names the tensor or the layer; with the weight mended the same model gives the
 * same bits as before.
 */
#include "base/memory.h"
#include "check.h"
#include "model/decoder.h"
#include "model/finite.h"
#include "unit/model/tiny.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS = 20, PROMPT = 6 };

struct world {
    struct backend backend;
    struct model *model;
    float *master;
    const struct parameter *parameters;
    int64_t count;
    float logprob[TARGETS], entropy[TARGETS];
};

static enum status forward(struct world *w) {
    struct batch batch = BATCH_EMPTY;
    CHECK_OK(tiny_batch(&batch, model_hparams(w->model)->V));
    CHECK_EQ(batch.target_count, TARGETS);
    const enum status status = model_forward(w->model, &batch, 0.7f, true, w->logprob, w->entropy);
    batch_release(&batch);
    return status;
}

/* A prompt, a draw, steps with a draw each; answers of unlike length, so that a row that has ended
 * is computed beside the others. */
static enum status decode(struct world *w) {
    const struct decoder_answer answers[] = {{0, 1}, {1, 4}};
    struct decoder *decoder = NULL;
    int32_t tokens[PROMPT];
    enum status status;
    tiny_tokens("prompt", model_hparams(w->model)->V, tokens, PROMPT);
    TRY_ELSE(
        status, done,
        decoder_create(&decoder, w->model,
                       &(struct decoder_settings){.sampling = {.temperature = 0.7f, .top_p = 1},
                                                  .most_rows = 2,
                                                  .most_tokens = 4,
                                                  .most_prompt = PROMPT}));
    TRY_ELSE(status, done,
             decoder_begin(decoder, &(struct decoder_prompt){.tokens = tokens,
                                                             .n = PROMPT,
                                                             .answers = answers,
                                                             .answer_count = 2}));
    TRY_ELSE(status, done, decoder_advance(decoder, 2, 3));
    CHECK_EQ(decoder_count(decoder, 1), 4);
    TRY_ELSE(status, done,
             decoder_read(decoder, 1, 0, 4, &(struct decoder_numbers){.logprob = w->logprob}));
done:
    decoder_destroy(&decoder);
    return status;
}

static const struct parameter *find(const struct world *w, const char *name) {
    for (int64_t i = 0; i < w->count; i++)
        if (strcmp(w->parameters[i].name, name) == 0)
            return &w->parameters[i];
    CHECK_FAILED("no parameter %s", name);
    return w->parameters;
}

/* Multiplies a parameter, or sets its element `at` to `value`, tries both forwards, and takes it
 * back. */
static void test_bad(struct world *w, const char *name, int64_t at, float value,
                     const char *sentence) {
    const struct parameter *p = find(w, name);
    const int64_t n = p->rows * p->columns;
    float *x = w->master + p->offset, *kept = malloc((size_t)n * sizeof *kept);
    ASSERT(kept != NULL);
    memcpy(kept, x, (size_t)n * sizeof *kept);
    for (int64_t i = 0; i < n; i++)
        x[i] = at < 0 ? x[i] * value : i == at ? value : x[i];
    CHECK_OK(model_refresh(w->model, w->master));
    CHECK_STATUS(forward(w), STATUS_NUMERIC, sentence);
    CHECK_STATUS(decode(w), STATUS_NUMERIC, sentence);
    if (at >= 0)
        CHECK_STATUS(parameter_set_check_finite(model_trained(w->model), &w->backend, w->master,
                                                "after step 7: "),
                     STATUS_NUMERIC, "after step 7: ");
    memcpy(x, kept, (size_t)n * sizeof *kept);
    free(kept);
    CHECK_OK(model_refresh(w->model, w->master));
    CHECK_OK(parameter_set_check_finite(model_trained(w->model), &w->backend, w->master, ""));
}

static void test_model(const char *name) {
    struct world w = {.count = 0};
    float before[TARGETS], drawn;
    CHECK_OK(backend_open(&w.backend, "cpu", 1));
    CHECK_OK(tiny_open(&w.model, &w.backend, name, false, &w.master));
    w.parameters = model_trained(w.model)->items;
    w.count = model_trained(w.model)->count;
    CHECK_OK(decode(&w));
    drawn = w.logprob[0];
    CHECK_OK(forward(&w));
    memcpy(before, w.logprob, sizeof before);
    test_bad(&w, "model.layers.1.mlp.down_proj.weight", 3, NAN,
             "model.layers.1.mlp.down_proj.weight holds nan at (0, 3)");
    test_bad(&w, "model.layers.0.self_attn.k_proj.weight", 0, INFINITY,
             "model.layers.0.self_attn.k_proj.weight holds inf at (0, 0)");
    test_bad(&w, "model.norm.weight", 1, -INFINITY, "model.norm.weight holds -inf at (1, 0)");
    test_bad(&w, "model.layers.1.input_layernorm.weight", 0, NAN,
             "model.layers.1.input_layernorm.weight holds nan");
    test_bad(&w, "model.layers.0.mlp.up_proj.weight", -1, 1e38f,
             "in layer 0, gate_proj or up_proj gives ");
    test_bad(&w, "model.layers.1.mlp.down_proj.weight", -1, 1e38f, "in layer 1, down_proj gives ");
    test_bad(&w, "model.layers.0.self_attn.q_proj.weight", -1, 1e38f, "in layer 0, ");
    test_bad(&w, "model.norm.weight", -1, 2e38f, "behind the last layer, ");
    CHECK_OK(forward(&w));
    CHECK(memcmp(before, w.logprob, sizeof before) == 0);
    CHECK_OK(decode(&w));
    CHECK(memcmp(&drawn, w.logprob, sizeof drawn) == 0);
    backend_release(&w.backend, &w.master);
    tiny_close(&w.model);
    backend_close(&w.backend);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++)
        test_model(tiny_names[i]);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
