/* SPDX-License-Identifier: Apache-2.0
 *
 * The gradient of the whole model against central differences of the reference in double
 * (tests/reference), which knows no packing and no shared prompt; and the forward against it.
 */
#include "base/memory.h"
#include "base/random.h"
#include "backends.h"
#include "check.h"
#include "reference/reference_model.h"
#include "unit/model/tiny.h"

#define TEMPERATURE 0.9
enum { PROMPT = 5, ANSWERS = 2, TARGETS = 4 + 3 + 5, PROBES = 3 };
static const int lengths[ANSWERS] = {4, 3};
enum { TEXT = 6 };

struct case_data {
    int32_t prompt[PROMPT], answers[ANSWERS][4], text[TEXT];
    float d_logprob[TARGETS], d_entropy[TARGETS];
};

static struct case_data make_case(int64_t V) {
    struct case_data data;
    tiny_tokens("probe prompt", V, data.prompt, PROMPT);
    tiny_tokens("probe answer 0", V, data.answers[0], lengths[0]);
    tiny_tokens("probe answer 1", V, data.answers[1], lengths[1]);
    tiny_tokens("probe text", V, data.text, TEXT);
    tiny_hashed("d_logprob", data.d_logprob, TARGETS);
    tiny_hashed("d_entropy", data.d_entropy, TARGETS);
    return data;
}

static void score(const struct reference_model *model, const int32_t *tokens, int64_t n,
                  int64_t first, double *logprob, double *entropy) {
    reference_model_score(model, &(struct reference_sequence){.tokens = tokens,
                                                              .n = n,
                                                              .first = first,
                                                              .temperature = TEMPERATURE,
                                                              .logprob = logprob,
                                                              .entropy = entropy});
}

/* Every sequence alone, in the order of the packed batch's targets. */
static double loss(const struct reference_model *model, const struct case_data *data,
                   double *logprob, double *entropy) {
    int at = 0;
    for (int a = 0; a < ANSWERS; at += lengths[a++]) {
        int32_t tokens[PROMPT + 4];
        memcpy(tokens, data->prompt, sizeof data->prompt);
        memcpy(tokens + PROMPT, data->answers[a], (size_t)lengths[a] * sizeof *tokens);
        score(model, tokens, PROMPT + lengths[a], PROMPT, logprob + at, entropy + at);
    }
    score(model, data->text, TEXT, 1, logprob + at, entropy + at);
    double sum = 0.0;
    for (int i = 0; i < TARGETS; i++)
        sum += (double)data->d_logprob[i] * logprob[i] + (double)data->d_entropy[i] * entropy[i];
    return sum;
}

static void pack(const struct case_data *data, struct batch *batch) {
    int32_t prompt;
    CHECK_OK(batch_append_prompt(batch, data->prompt, PROMPT, &prompt));
    for (int a = 0; a < ANSWERS; a++)
        CHECK_OK(batch_append_answer(batch, prompt, data->answers[a], lengths[a]));
    CHECK_OK(batch_append_text(batch, data->text, TEXT));
}

/* The derivative along a direction of one parameter. */
static double slope(struct reference_model *model, double *values, const struct parameter *p,
                    const float *direction, const struct case_data *data) {
    double logprob[TARGETS], entropy[TARGETS], sides[2];
    const double h = 1e-5;
    const int64_t n = p->rows * p->columns;
    for (int side = 0; side < 2; side++) {
        const double step = side == 0 ? h : -h;
        for (int64_t i = 0; i < n; i++)
            values[p->offset + i] += step * (double)direction[i];
        sides[side] = loss(model, data, logprob, entropy);
        for (int64_t i = 0; i < n; i++)
            values[p->offset + i] -= step * (double)direction[i];
    }
    return (sides[0] - sides[1]) / (2.0 * h);
}

static void check_parameter(struct reference_model *reference, double *values,
                            const struct parameter *p, const float *gradient,
                            const struct case_data *data) {
    const int64_t n = p->rows * p->columns;
    float *direction = NULL;
    CHECK_OK(memory_new(&direction, n, "direction"));
    for (int probe = 0; probe < PROBES; probe++) {
        char name[200];
        double have = 0.0, norm = 0.0;
        snprintf(name, sizeof name, "probe %d of %s", probe, p->name);
        tiny_hashed(name, direction, n);
        for (int64_t i = 0; i < n; i++) {
            have += (double)gradient[p->offset + i] * (double)direction[i];
            norm += (double)gradient[p->offset + i] * (double)gradient[p->offset + i];
        }
        const double want = slope(reference, values, p, direction, data);
        if (!(fabs(have - want) <= 1e-5 * sqrt(norm) + 2e-6))
            CHECK_FAILED("%s: gradient along probe %d is %.9g, differences give %.9g", p->name,
                         probe, have, want);
    }
    memory_release(&direction);
}

static void test_model(const char *backend_name, const char *name) {
    struct backend backend;
    struct model *model = NULL;
    struct batch batch = BATCH_EMPTY;
    struct tiny_gradient gradient;
    float logprob[TARGETS], entropy[TARGETS], *host = NULL;
    double want_logprob[TARGETS], want_entropy[TARGETS], *values = NULL;
    CHECK_OK(backend_open(&backend, backend_name, 1));
    CHECK_OK(tiny_open(&model, &backend, name, false, NULL));
    const int64_t n = model_trained(model)->elements;
    const struct parameter *p = model_trained(model)->items;
    const int64_t count = model_trained(model)->count;
    const struct case_data data = make_case(model_hparams(model)->V);
    CHECK_OK(memory_new(&host, n, "weights"));
    CHECK_OK(memory_new(&values, n, "weights"));
    tiny_fill(p, count, host);
    for (int64_t i = 0; i < n; i++)
        values[i] = (double)host[i];
    struct reference_model reference = {.hparams = model_hparams(model),
                                        .parameters = p,
                                        .parameter_count = count,
                                        .values = values};
    pack(&data, &batch);
    CHECK_OK(tiny_gradient_create(&gradient, model, &backend));
    const struct gradient_sink sink = tiny_gradient_sink(&gradient);
    CHECK_OK(model_forward(model, &batch, (float)TEMPERATURE, true, logprob, entropy));
    CHECK_OK(
        model_backward(model, &batch, (float)TEMPERATURE, data.d_logprob, data.d_entropy, &sink));
    CHECK_EQ(gradient.calls, model_gradient_piece_count(model));
    loss(&reference, &data, want_logprob, want_entropy);
    for (int i = 0; i < TARGETS; i++) {
        CHECK_NEAR(logprob[i], want_logprob[i], 1e-5);
        CHECK_NEAR(entropy[i], want_entropy[i], 1e-5);
    }
    for (int64_t i = 0; i < count; i++)
        check_parameter(&reference, values, &p[i], gradient.values, &data);
    tiny_gradient_release(&gradient);
    memory_release(&values);
    memory_release(&host);
    batch_release(&batch);
    tiny_close(&model);
    backend_close(&backend);
}

int main(void) {
    for (int i = 0; i < TINY_COUNT; i++)
        test_model("cpu", tiny_names[i]);
    test_model("check", "qwen3");
    if (backends_have_cuda()) {
        test_model("cuda", "qwen2");
        test_model("cuda", "qwen3");
    }
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
