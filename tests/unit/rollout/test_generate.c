/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: every token is the one that the uniform number of its seed, step, prompt, answer and
 * position points at in the model's distribution, which is computed here by a forward pass over
 * prompt and answer; whatever else is decoded at the same time. And each field of the settings goes
 * where it belongs.
 */
#include "rollout/generate.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "config/settings.h"
#include "model/parameters.h"
#include "text/tokenizer.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

enum { PROMPTS = 3, ANSWERS = 4, MOST = 12, LENGTH = 5 };

static struct model *model;
static struct tokenizer *tokenizer;
static int64_t V;

struct drawn {
    struct rollout_answer answers[PROMPTS * ANSWERS];
    int32_t prompts[PROMPTS][LENGTH];
    struct generate_report report;
};

static struct generate_settings settings_of(int64_t in_flight) {
    static const int32_t stops[] = {3, 17};
    return (struct generate_settings){.sampling = {.temperature = 0.8f, .top_p = 1.0f},
                                      .budgets = {.max_new_tokens = MOST},
                                      .answers_in_flight = in_flight,
                                      .stop_ids = stops,
                                      .stop_id_count = 2,
                                      .seed = 5,
                                      .step = 9};
}

static void draw_with(struct drawn *drawn, const struct generate_settings *how) {
    struct generate_request requests[PROMPTS];
    memset(drawn, 0, sizeof *drawn);
    for (int p = 0; p < PROMPTS; p++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", p);
        tiny_tokens(name, V, drawn->prompts[p], LENGTH - p);
        requests[p] = (struct generate_request){.prompt = drawn->prompts[p],
                                                .prompt_length = LENGTH - p,
                                                .prompt_index = (uint32_t)(40 + p),
                                                .answers = drawn->answers + p * ANSWERS,
                                                .answer_count = ANSWERS};
    }
    CHECK_OK(generate_answers(model, tokenizer, how, requests, PROMPTS,
                              (struct rollout_columns){.sampler = true}, &drawn->report));
}

static void draw(struct drawn *drawn, int64_t in_flight) {
    const struct generate_settings how = settings_of(in_flight);
    draw_with(drawn, &how);
}

static void release(struct drawn *drawn) {
    for (int k = 0; k < PROMPTS * ANSWERS; k++)
        rollout_answer_release(&drawn->answers[k]);
}

/* log π(v | prompt, answer[0 .. t)) for all v, at the temperature of the draw. */
static void distribution(const int32_t *prompt, int64_t length, const int32_t *answer, int64_t t,
                         float *logprob) {
    struct batch batch = BATCH_EMPTY;
    int32_t segment, context[LENGTH + MOST];
    float *entropy;
    CHECK_OK(memory_new(&entropy, V, "entropies"));
    memcpy(context, prompt, (size_t)length * sizeof *context);
    memcpy(context + length, answer, (size_t)t * sizeof *context);
    CHECK_OK(batch_append_prompt(&batch, context, length + t, &segment));
    for (int32_t v = 0; v < V; v++)
        CHECK_OK(batch_append_answer(&batch, segment, &v, 1));
    CHECK_OK(model_forward(model, &batch, 0.8f, false, logprob, entropy));
    batch_release(&batch);
    memory_release(&entropy);
}

/* The token that the uniform number points at; a number within 1e-5 of a border decides nothing. */
static void check_token(const struct drawn *drawn, int p, int a, int64_t t, const float *logprob) {
    const struct rollout_answer *answer = &drawn->answers[p * ANSWERS + a];
    const double u =
        random_uniform(5, RANDOM_SAMPLE, 9, (uint32_t)(40 + p), (uint32_t)a, (uint32_t)t);
    double below = 0;
    for (int32_t v = 0; v < answer->tokens[t]; v++)
        below += exp((double)logprob[v]);
    const double above = below + exp((double)logprob[answer->tokens[t]]);
    if (!(u > below - 1e-5 && u < above + 1e-5))
        CHECK_FAILED("prompt %d, answer %d, token %d: u = %.6f is not in [%.6f, %.6f)", p, a,
                     (int)t, u, below, above);
    CHECK_NEAR(answer->logprob_sampler[t], logprob[answer->tokens[t]], 1e-4);
}

static void test_draws(const struct drawn *drawn) {
    float *logprob;
    int64_t tokens = 0;
    CHECK_OK(memory_new(&logprob, V, "numbers"));
    for (int p = 0; p < PROMPTS; p++)
        for (int a = 0; a < ANSWERS; a++) {
            const struct rollout_answer *answer = &drawn->answers[p * ANSWERS + a];
            tokens += answer->n;
            for (int64_t t = 0; t < answer->n; t++) {
                const bool stops = answer->tokens[t] == 3 || answer->tokens[t] == 17;
                CHECK_EQ(stops, t + 1 == answer->n && answer->finish == FINISH_STOP);
                distribution(drawn->prompts[p], LENGTH - p, answer->tokens, t, logprob);
                check_token(drawn, p, a, t, logprob);
            }
            CHECK_EQ(answer->finish == FINISH_LENGTH,
                     answer->n == MOST && answer->finish != FINISH_STOP);
        }
    CHECK_EQ(drawn->report.tokens, tokens);
    /* Each prompt once, and every token but the last of an answer. */
    CHECK_EQ(drawn->report.positions, 5 + 4 + 3 + tokens - PROMPTS * ANSWERS);
    memory_release(&logprob);
}

static void test_in_flight(const struct drawn *all) {
    for (int64_t in_flight = 1; in_flight <= 5; in_flight += 2) {
        struct drawn few;
        draw(&few, in_flight);
        for (int k = 0; k < PROMPTS * ANSWERS; k++) {
            CHECK_EQ(few.answers[k].n, all->answers[k].n);
            CHECK_EQ(memcmp(few.answers[k].tokens, all->answers[k].tokens,
                            (size_t)all->answers[k].n * sizeof(int32_t)),
                     0);
        }
        CHECK_EQ(few.report.positions, all->report.positions);
        release(&few);
    }
}

static void check_same(const struct drawn *a, const struct drawn *b, const char *what, int64_t n) {
    for (int k = 0; k < PROMPTS * ANSWERS; k++) {
        const struct rollout_answer *x = &a->answers[k], *y = &b->answers[k];
        const size_t bytes = (size_t)x->n * sizeof(float);
        if (x->n != y->n || x->finish != y->finish || memcmp(x->tokens, y->tokens, bytes) != 0 ||
            memcmp(x->logprob_sampler, y->logprob_sampler, bytes) != 0 ||
            memcmp(x->entropy, y->entropy, bytes) != 0)
            CHECK_FAILED("%s %d: answer %d has %d tokens and finish %d, expected %d and %d", what,
                         (int)n, k, (int)x->n, (int)x->finish, (int)y->n, (int)y->finish);
    }
    CHECK_EQ(a->report.tokens, b->report.tokens);
    CHECK_EQ(a->report.positions, b->report.positions);
}

/* However seldom the host looks, for stop ids, stop texts and full answers alike: what comes behind
 * the end of an answer before it looks is cut off. */
static void test_steps_ahead(void) {
    static const char *const stops[] = {"b", "]]", "0`"}; /* of one token, and of two */
    static const int32_t ids[] = {1043, 18};
    struct generate_settings how = settings_of(5);
    struct drawn want;
    int finished[8] = {0};
    how.stop_ids = ids;
    how.stop_texts = stops;
    how.stop_text_count = 3;
    how.steps_ahead = 1;
    draw_with(&want, &how);
    for (int k = 0; k < PROMPTS * ANSWERS; k++)
        finished[want.answers[k].finish]++;
    CHECK_EQ(finished[FINISH_STOP_TEXT], 3);
    CHECK_EQ(finished[FINISH_STOP], 2);
    for (how.steps_ahead = 2; how.steps_ahead <= 17; how.steps_ahead += 3) {
        struct drawn have;
        draw_with(&have, &how);
        check_same(&have, &want, "steps between looks:", how.steps_ahead);
        release(&have);
    }
    release(&want);
}

/* Every value of the settings that has to do with draws. */
static void test_settings(void) {
    char *stop[] = {"x"}, close[] = "</t>", tag[] = "t";
    const int32_t ids[] = {7};
    struct settings settings = {.run = {.seed = 77},
                                .rollout = {.temperature = 0.5,
                                            .top_p = 0.25,
                                            .top_k = 6,
                                            .min_p = 0.125,
                                            .presence_penalty = 1.5,
                                            .max_new_tokens = 33,
                                            .think_tokens = 21,
                                            .answer_tokens = 9,
                                            .think_close = close,
                                            .answers_in_flight = 4,
                                            .stop = stop,
                                            .stop_count = 1},
                                .reward = {.think_tag = tag}};
    const struct generate_settings s = generate_settings_of(&settings, ids, 1, 12);
    CHECK_NEAR(s.sampling.temperature, 0.5, 0);
    CHECK_NEAR(s.sampling.top_p, 0.25, 0);
    CHECK_EQ(s.sampling.top_k, 6);
    CHECK_NEAR(s.sampling.min_p, 0.125, 0);
    CHECK_NEAR(s.sampling.presence_penalty, 1.5, 0);
    CHECK_EQ(s.budgets.max_new_tokens, 33);
    CHECK_EQ(s.budgets.think_tokens, 21);
    CHECK_EQ(s.budgets.answer_tokens, 9);
    CHECK_TEXT(s.budgets.think_close, "</t>");
    CHECK_TEXT(s.budgets.think_tag, "t");
    CHECK_EQ(s.answers_in_flight, 4);
    CHECK_EQ(s.stop_text_count, 1);
    CHECK_TEXT(s.stop_texts[0], "x");
    CHECK_EQ(s.stop_ids[0], 7);
    CHECK_EQ(s.stop_id_count, 1);
    CHECK_EQ(s.seed, 77);
    CHECK_EQ(s.step, 12);
}

int main(void) {
    struct backend backend;
    struct drawn all;
    folder_make();
    test_settings();
    CHECK_OK(tokenizer_write_bytes(folder_file("tokenizer.json"), NULL, 0));
    CHECK_OK(tokenizer_open(&tokenizer, folder_path));
    CHECK_OK(backend_open(&backend, "cpu", 1));
    CHECK_OK(tiny_open(&model, &backend, tiny_names[0], false, NULL));
    V = model_hparams(model)->V;
    draw(&all, 0);
    test_draws(&all);
    test_in_flight(&all);
    test_steps_ahead();
    release(&all);
    tiny_close(&model);
    backend_close(&backend);
    tokenizer_destroy(&tokenizer);
    folder_remove();
    return CHECK_END();
}
