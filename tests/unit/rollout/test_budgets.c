/* SPDX-License-Identifier: Apache-2.0
 *
 * Budgets of thinking: a model whose next token depends on the last one alone, by a table, draws the
 * answers that a plain loop over the same table and the same uniform numbers gives, which counts
 * tokens and forces the closing text one by one; for every budget, number of answers in flight and
 * of steps between two looks. The trainer gives what was drawn the sampler's bits, and forced tokens
 * have no part in the gradient.
 */
#include "rollout/generate.h"

#include "base/memory.h"
#include "base/random.h"
#include "check.h"
#include "rollout/tile.h"
#include "text/tokenizer.h"
#include "unit/file/folder.h"
#include "unit/model/tiny.h"

#include <math.h>

enum { PROMPTS = 2, ANSWERS = 20, MOST = 40, V = 1100, STOP = 3, SEED = 11, STEP = 4 };

/* What follows a token, and how likely, in ascending order. The tag </t> comes in four tokens and
 * often breaks off; behind it are b, and ! which ends a stop text now and then. */
static const struct next {
    char token;
    struct {
        int token;
        double share;
    } next[3];
} table[] = {
    {'p', {{'<', 0.25}, {'a', 0.75}}},
    {'a', {{STOP, 0.05}, {'<', 0.25}, {'a', 0.70}}},
    {'<', {{'/', 1}}},
    {'/', {{'t', 1}}},
    {'t', {{'>', 0.75}, {'a', 0.25}}},
    {'>', {{'\n', 0.5}, {'b', 0.5}}},
    {'\n', {{'b', 1}}},
    {'b', {{STOP, 0.1}, {'!', 0.2}, {'b', 0.7}}},
    {'!', {{'!', 0.25}, {'b', 0.75}}},
};
enum { STATES = sizeof table / sizeof *table };

static const int32_t stop_ids[] = {STOP};
/* The second does not end an answer where its line end is the forced one. */
enum { STOP_TEXTS = 2 };
static const char *const stop_texts[STOP_TEXTS] = {"!!", "\nbb"};
static const char closing[] = "</t>\n";
static struct backend backend;
static struct tokenizer *tokenizer;

static int64_t id_of(int token) { /* of a byte; STOP is an id */
    char text[2] = {(char)token, '\0'};
    struct token_list ids = {.ids = NULL};
    if (token == STOP)
        return STOP;
    CHECK_OK(tokenizer_encode(tokenizer, text, 1, false, &ids));
    const int32_t id = ids.ids[0];
    memory_release(&ids.ids);
    return id;
}

/* --- the model: no attention, no MLP, an embedding of unit vectors, the table in the head --- */

static float *find(const struct parameter_set *set, float *values, const char *name) {
    for (int64_t i = 0; i < set->count; i++)
        if (strcmp(set->items[i].name, name) == 0)
            return values + set->items[i].offset;
    CHECK_FAILED("no tensor %s", name);
    exit(1);
}

static void fill_chain(const struct hparams *h, const struct parameter_set *set, float *values) {
    float *embed = find(set, values, "model.embed_tokens.weight"),
          *head = find(set, values, "lm_head.weight"),
          *norm = find(set, values, "model.norm.weight");
    memset(values, 0, (size_t)set->elements * sizeof *values);
    for (int64_t c = 0; c < h->C; c++)
        norm[c] = 1;
    for (int s = 0; s < STATES; s++) {
        embed[id_of(table[s].token) * h->C + s] = 1;
        for (int64_t v = 0; v < h->V; v++)
            head[v * h->C + s] = -60 / sqrtf((float)h->C);
        for (int k = 0; k < 3 && table[s].next[k].share > 0; k++)
            head[id_of(table[s].next[k].token) * h->C + s] =
                (float)log(table[s].next[k].share) / sqrtf((float)h->C);
    }
}

static void open_chain(struct model **model) {
    struct hparams h;
    float *host, *values = NULL;
    CHECK_OK(hparams_read(TINY_DATA "/qwen2", &h));
    h.tied = false;
    CHECK_EQ(h.V, V);
    CHECK_OK(tiny_create(model, &backend, &h,
                         &(struct model_settings){.max_positions = h.max_positions}));
    const struct parameter_set *set = model_trained(*model);
    CHECK_OK(memory_new(&host, set->elements, "weights"));
    fill_chain(&h, set, host);
    CHECK_OK(backend_new(&backend, &values, set->elements, "weights"));
    CHECK_OK(backend.ops->upload(&backend, values, host, (size_t)set->elements * sizeof *host));
    CHECK_OK(model_refresh(*model, values));
    backend_release(&backend, &values);
    memory_release(&host);
}

/* --- what must come out, token by token --- */

struct expected {
    int tokens[MOST], forced[MOST], n;
    double logprob[MOST];
    enum finish_reason finish;
    bool closes;  /* by itself */
    int thinking; /* own tokens up to the end of thinking; n where it does not end */
};

static int draw_by_table(int last, double u, double *logprob) {
    for (int s = 0; s < STATES; s++)
        if (table[s].token == last)
            for (int k = 0; k < 3; k++) {
                if (u < table[s].next[k].share) {
                    *logprob = log(table[s].next[k].share);
                    return table[s].next[k].token;
                }
                u -= table[s].next[k].share;
            }
    CHECK_FAILED("nothing follows %d", last);
    return STOP;
}

static bool ends_with(const struct expected *e, int from, const char *text) {
    const int length = (int)strlen(text);
    for (int i = 0; i < length; i++)
        if (e->n - length < from || e->tokens[e->n - length + i] != text[i])
            return false;
    return true;
}

static struct expected expect(int prompt, int answer, const struct budget_settings *s) {
    struct expected e = {.finish = FINISH_LENGTH};
    const bool budgeted = s->think_tokens > 0;
    int begin = budgeted ? -1 : 0, from = 0;
    e.thinking = budgeted ? -1 : 0;
    for (int last = 'p'; e.n < s->max_new_tokens; last = e.tokens[e.n - 1]) {
        if (begin < 0 && e.n == s->think_tokens) {
            e.thinking = e.n;
            for (const char *c = closing; *c != '\0'; c++) {
                e.tokens[e.n] = *c;
                e.forced[e.n++] = 1;
            }
            begin = from = e.n;
            continue;
        }
        const double u = random_uniform(SEED, RANDOM_SAMPLE, STEP, (uint32_t)(7 + prompt),
                                        (uint32_t)answer, (uint32_t)e.n);
        e.tokens[e.n] = draw_by_table(last, u, &e.logprob[e.n]);
        e.n++;
        if (e.tokens[e.n - 1] == STOP)
            e.finish = FINISH_STOP;
        for (int i = 0; i < STOP_TEXTS && e.finish == FINISH_LENGTH; i++)
            if (ends_with(&e, from, stop_texts[i]))
                e.finish = FINISH_STOP_TEXT;
        if (e.finish != FINISH_LENGTH)
            return e;
        if (begin < 0 && ends_with(&e, 0, "</t>")) {
            begin = e.thinking = e.n;
            e.closes = true;
        }
        if (budgeted && begin >= 0 && s->answer_tokens > 0 && e.n == begin + s->answer_tokens)
            return e;
    }
    return e;
}

/* --- what comes out --- */

static struct rollout rollout;

static void draw(struct model *model, const struct budget_settings *budgets, int64_t in_flight,
                 int64_t steps_ahead, struct generate_report *report) {
    static int32_t prompt[3];
    const struct generate_settings how = {.sampling = {.temperature = 1.0f, .top_p = 1.0f},
                                          .budgets = *budgets,
                                          .answers_in_flight = in_flight,
                                          .steps_ahead = steps_ahead,
                                          .stop_ids = stop_ids,
                                          .stop_id_count = 1,
                                          .stop_texts = stop_texts,
                                          .stop_text_count = STOP_TEXTS,
                                          .seed = SEED,
                                          .step = STEP};
    struct generate_request requests[PROMPTS];
    CHECK_OK(rollout_init(&rollout, PROMPTS, ANSWERS));
    for (int p = 0; p < PROMPTS; p++) {
        struct rollout_group *group = &rollout.groups[p];
        for (int i = 0; i < 3; i++)
            prompt[i] = (int32_t)id_of('p');
        group->prompt_length = 3 - p;
        CHECK_OK(memory_new(&group->prompt, 3 - p, "prompt"));
        memcpy(group->prompt, prompt, (size_t)(3 - p) * sizeof *prompt);
        requests[p] = (struct generate_request){.prompt = group->prompt,
                                                .prompt_length = group->prompt_length,
                                                .prompt_index = (uint32_t)(7 + p),
                                                .answers = rollout_group_answers(&rollout, p),
                                                .answer_count = ANSWERS};
    }
    CHECK_OK(generate_answers(model, tokenizer, &how, requests, PROMPTS,
                              (struct rollout_columns){.sampler = true}, report));
}

/* How often each of the things that may happen did. */
struct seen {
    int forced, closes, stop, stop_text, length, closes_at_budget;
};

static void check_answer(const struct expected *e, const struct rollout_answer *answer,
                         const char *what) {
    const int64_t length = rollout_answer_id_count(answer);
    int own = 0, wrong = 0;
    if (length != e->n || answer->finish != e->finish || answer->forced != (answer->n < e->n)) {
        CHECK_FAILED("%s: %d tokens, finish %d, forced %d; expected %d, %d, %d", what, (int)length,
                     (int)answer->finish, answer->forced, e->n, (int)e->finish, answer->n < e->n);
        return;
    }
    for (int t = 0; t < e->n; t++) {
        wrong += rollout_answer_ids(answer)[t] != id_of(e->tokens[t]);
        if (e->forced[t])
            continue;
        wrong += own >= answer->n || answer->tokens[own] != id_of(e->tokens[t]) ||
                 !(fabs((double)answer->logprob_sampler[own] - e->logprob[t]) <
                   2e-4) || /* the norm's epsilon */
                 !isfinite(answer->entropy[own]);
        own++;
    }
    if (wrong != 0 || own != answer->n)
        CHECK_FAILED("%s: %d wrong tokens or numbers, %d own ones, expected %d", what, wrong,
                     (int)answer->n, own);
    CHECK_EQ(rollout_answer_finish(answer), answer->forced ? FINISH_FORCED : e->finish);
    CHECK_EQ(answer->thinking, e->thinking < 0 ? e->n : e->thinking);
}

static void count_seen(struct seen *seen, const struct expected *e,
                       const struct rollout_answer *answer, int64_t think_tokens) {
    seen->forced += answer->forced;
    seen->closes += e->closes;
    seen->stop += e->finish == FINISH_STOP;
    seen->stop_text += e->finish == FINISH_STOP_TEXT;
    seen->length += e->finish == FINISH_LENGTH;
    for (int64_t t = think_tokens - 4; e->closes && t == think_tokens - 4 && t >= 0; t++)
        seen->closes_at_budget += e->n >= think_tokens && e->tokens[t] == '<' &&
                                  e->tokens[t + 1] == '/' && e->tokens[t + 2] == 't' &&
                                  e->tokens[t + 3] == '>';
}

static void check_draws(struct model *model, const struct budget_settings *budgets,
                        int64_t in_flight, int64_t steps_ahead, struct seen *seen) {
    struct generate_report report;
    int64_t tokens = 0;
    char what[96];
    draw(model, budgets, in_flight, steps_ahead, &report);
    for (int k = 0; k < PROMPTS * ANSWERS; k++) {
        const struct expected e = expect(k / ANSWERS, k % ANSWERS, budgets);
        snprintf(what, sizeof what, "think %d, answer %d, in flight %d, ahead %d: answer %d",
                 (int)budgets->think_tokens, (int)budgets->answer_tokens, (int)in_flight,
                 (int)steps_ahead, k);
        check_answer(&e, &rollout.answers[k], what);
        count_seen(seen, &e, &rollout.answers[k], budgets->think_tokens);
        tokens += rollout.answers[k].n;
    }
    CHECK_EQ(report.tokens, tokens);
    rollout_release(&rollout);
}

static struct budget_settings budgets_of(int64_t think_tokens, int64_t answer_tokens) {
    return (struct budget_settings){.group = "rollout",
                                    .max_new_tokens = MOST,
                                    .think_tokens = think_tokens,
                                    .answer_tokens = answer_tokens,
                                    .think_tag = "t",
                                    .think_close = closing};
}

/* Budgets from one token to more than there can be. */
static void test_budgets(struct model *model) {
    static const int thinks[] = {0, 1, 4, 6, 7, 12, 34, 39, 40, 60};
    static const int answers[] = {0, 1, 6, 100};
    struct seen all = {.forced = 0};
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 4; k++) {
            const struct budget_settings budgets = budgets_of(thinks[i], answers[k]);
            struct seen seen = {.forced = 0};
            if (thinks[i] > 34 && thinks[i] < MOST) /* no room: below */
                continue;
            check_draws(model, &budgets, 0, 1, &seen);
            check_draws(model, &budgets, 1, 1, &all);
            check_draws(model, &budgets, 7, 5, &all);
            check_draws(model, &budgets, 0, 32, &all);
            CHECK(thinks[i] != 1 || seen.forced > PROMPTS * ANSWERS / 2);
            CHECK(thinks[i] > 0 || seen.forced == 0);
            CHECK(thinks[i] < MOST || seen.forced == 0);
            CHECK(thinks[i] != 6 || (seen.forced > 0 && seen.closes > 0));
        }
    CHECK(all.stop > 0 && all.stop_text > 0 && all.length > 0 && all.closes_at_budget > 0);
}

/* A forced token where a stop id was due does not end the answer (checked above by the loop);
 * closing texts that could not do their work are refused. */
static void test_refusals(void) {
    struct budgets budgets;
    struct budget_settings s = budgets_of(36, 0);
    CHECK_STATUS(budgets_init(&budgets, &s, tokenizer, stop_ids, 1), STATUS_INPUT,
                 "leaves no room for an answer behind rollout.think_tokens = 36 and the 5 tokens");
    budgets_release(&budgets);
    s.think_tokens = 34;
    CHECK_OK(budgets_init(&budgets, &s, tokenizer, stop_ids, 1));
    budgets_release(&budgets);
    const int32_t newline = (int32_t)id_of('\n');
    CHECK_STATUS(budgets_init(&budgets, &s, tokenizer, &newline, 1), STATUS_INPUT,
                 "rollout.think_close holds token");
    budgets_release(&budgets);
}

/* --- the trainer --- */

/* The gradient of Σ d log π, with d different at each target of the answers' own tokens. */
static void backward(struct model *model, const struct batch *batch, const float *d,
                     struct tiny_gradient *gradient, float *logprob) {
    float *entropy;
    const struct gradient_sink sink = tiny_gradient_sink(gradient);
    CHECK_OK(memory_new(&entropy, batch->target_count, "entropies"));
    CHECK_OK(model_forward(model, batch, 1.0f, true, logprob, entropy));
    CHECK_OK(model_backward(model, batch, 1.0f, d, NULL, &sink));
    memory_release(&entropy);
}

static float factor(int64_t k, int64_t own) {
    return 0.5f + 0.01f * (float)k - 0.03f * (float)own;
}

/* The answers as ordinary ones, forced tokens being targets like others, but with derivative 0. */
static void append_plain(struct batch *batch, float *d) {
    int64_t target = 0;
    for (int64_t g = 0; g < PROMPTS; g++) {
        const struct rollout_group *group = &rollout.groups[g];
        int32_t segment;
        CHECK_OK(batch_append_prompt(batch, group->prompt, group->prompt_length, &segment));
        for (int64_t i = 0; i < ANSWERS; i++) {
            const struct rollout_answer *a = &rollout_group_answers(&rollout, g)[i];
            int64_t own = 0;
            CHECK_OK(batch_append_answer(batch, segment, rollout_answer_ids(a),
                                         rollout_answer_id_count(a)));
            for (int64_t t = 0; t < rollout_answer_id_count(a); t++) {
                const bool forced = a->forced && t >= a->turn_ends[0] && t < a->turn_begins[1];
                d[target++] = forced ? 0.0f : factor(g * ANSWERS + i, own);
                own += !forced;
            }
        }
    }
}

static void test_training(struct model *model) {
    const struct budget_settings budgets = budgets_of(6, 9);
    const struct tile tile = {.begin = 0, .end = PROMPTS};
    struct microbatch packed = MICROBATCH_EMPTY;
    struct batch plain = BATCH_EMPTY;
    struct tiny_gradient have, want;
    struct generate_report report;
    float *d, *logprob;
    double worst = 0, most = 0;
    int64_t forced = 0;
    draw(model, &budgets, 0, 0, &report);
    CHECK_OK(tiny_gradient_create(&have, model, &backend));
    CHECK_OK(tiny_gradient_create(&want, model, &backend));
    CHECK_OK(memory_new(&d, PROMPTS * ANSWERS * MOST, "derivatives"));
    CHECK_OK(memory_new(&logprob, PROMPTS * ANSWERS * MOST, "log-probabilities"));
    microbatch_begin(&packed, &tile);
    CHECK_OK(microbatch_next(&packed, &rollout, &tile, 100000));
    CHECK_EQ(packed.answer_count, PROMPTS * ANSWERS);
    for (int64_t k = 0; k < packed.answer_count; k++)
        for (int64_t t = 0; t < rollout.answers[k].n; t++)
            d[packed.answers[k].target + t] = factor(k, t);
    backward(model, &packed.batch, d, &have, logprob);
    for (int64_t k = 0; k < packed.answer_count; k++) {
        forced += rollout.answers[k].forced;
        CHECK_EQ(memcmp(logprob + packed.answers[k].target, rollout.answers[k].logprob_sampler,
                        (size_t)rollout.answers[k].n * sizeof *logprob),
                 0);
    }
    CHECK(forced > 0 && forced < packed.answer_count);
    append_plain(&plain, d);
    CHECK_EQ(plain.T, packed.batch.T);
    CHECK(plain.target_count > packed.batch.target_count);
    backward(model, &plain, d, &want, logprob);
    for (int64_t i = 0; i < have.elements; i++) {
        worst = fmax(worst, fabs((double)have.values[i] - (double)want.values[i]));
        most = fmax(most, fabs((double)want.values[i]));
    }
    CHECK(most > 0);
    CHECK_NEAR(worst, 0, 1e-6 * most);
    microbatch_release(&packed);
    batch_release(&plain);
    tiny_gradient_release(&have);
    tiny_gradient_release(&want);
    memory_release(&d);
    memory_release(&logprob);
    rollout_release(&rollout);
}

int main(void) {
    struct model *model;
    folder_make();
    CHECK_OK(tokenizer_write_bytes(folder_file("tokenizer.json"), NULL, 0));
    CHECK_OK(tokenizer_open(&tokenizer, folder_path));
    CHECK_OK(backend_open(&backend, "cpu", 1));
    open_chain(&model);
    test_budgets(model);
    test_refusals();
    test_training(model);
    tiny_close(&model);
    CHECK_OK(tiny_open(&model, &backend, tiny_names[0], false, NULL));
    test_training(model);
    tiny_close(&model);
    backend_close(&backend);
    tokenizer_destroy(&tokenizer);
    folder_remove();
    return CHECK_END();
}
