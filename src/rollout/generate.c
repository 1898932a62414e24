/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/generate.h"

#include <string.h>

#include "base/memory.h"
#include "model/decoder.h"

/* An answer on its way, beside its row of the decoder. */
struct live_answer {
    int64_t request, answer;
    int64_t n;      /* tokens that were looked at */
    int64_t budget; /* most tokens as far as is known: more may be when thinking ends */
    int64_t begin;  /* tokens before the answer behind its thinking; −1: it still thinks */
    bool forced;    /* the tokens before `begin` are the forced text */
};

struct generation {
    struct decoder *decoder;
    struct tokenizer *tokenizer;
    const struct generate_settings *settings;
    const struct generate_request *requests;
    struct rollout_columns columns;
    struct generate_report *report;
    struct budgets budgets;
    struct decoder_answer *answers; /* of a request */
    struct live_answer *live;       /* (rows of the decoder) */
    bool *done;                     /* the same */
    int32_t *tokens;                /* the last tokens of an answer */
};

struct generate_settings generate_settings_of(const struct settings *settings,
                                              const int32_t *stop_ids, int64_t stop_id_count,
                                              int64_t step) {
    const struct settings_rollout *rollout = &settings->rollout;
    return (struct generate_settings){
        .sampling = {.temperature = (float)rollout->temperature,
                     .top_p = (float)rollout->top_p,
                     .min_p = (float)rollout->min_p,
                     .presence_penalty = (float)rollout->presence_penalty,
                     .top_k = (int32_t)rollout->top_k},
        .budgets = budget_settings_of(settings),
        .answers_in_flight = rollout->answers_in_flight,
        .stop_ids = stop_ids,
        .stop_id_count = stop_id_count,
        .stop_texts = (const char *const *)rollout->stop,
        .stop_text_count = rollout->stop_count,
        .seed = (uint64_t)settings->run.seed,
        .step = (uint32_t)step};
}

/* --- texts in an answer as it grows --- */

/* What is looked for. */
struct wanted {
    const char *const *texts; /* (count) */
    int64_t count;
    int32_t id; /* a token that counts as one of them; −1: none */
};

static int64_t longest_of(const struct wanted *wanted) {
    size_t longest = 0;
    for (int64_t i = 0; i < wanted->count; i++)
        longest = strlen(wanted->texts[i]) > longest ? strlen(wanted->texts[i]) : longest;
    return (int64_t)longest;
}

/* Tokens of which a text must end in the last one: a text of n bytes spans at most n tokens; the
 * others make whole characters of those that begin before it. */
static int64_t window_of(const struct wanted *wanted) {
    return longest_of(wanted) + 4;
}

/* Whether the text of these tokens contains one of the texts. */
static enum status contains(const struct generation *g, const struct wanted *wanted,
                            const int32_t *tokens, int64_t n, bool *found) {
    struct strbuf text = STRBUF_EMPTY;
    const enum status status = tokenizer_decode(g->tokenizer, tokens, n, false, &text);
    *found = false;
    for (int64_t i = 0; status == STATUS_OK && i < wanted->count; i++)
        *found = *found || strstr(strbuf_text(&text), wanted->texts[i]) != NULL;
    for (int64_t i = 0; i < n && wanted->id >= 0; i++)
        *found = *found || tokens[i] == wanted->id;
    strbuf_release(&text);
    return status;
}

/* Tokens [low, count) of an answer, of which those before `before` have been looked at. */
struct stretch {
    int64_t low, before, count;
};

/* Looks for a text behind each new token, as if they had come one by one: *end is the number of the
 * answer's tokens up to the first that ends one, 0 where none does. */
static enum status find_text(struct generation *g, int64_t row, const struct wanted *wanted,
                             struct stretch where, int64_t *end) {
    const int64_t window = window_of(wanted), first = where.before + 1 - window,
                  begin = first > where.low ? first : where.low;
    bool found;
    *end = 0;
    if (longest_of(wanted) == 0 || where.count <= where.before)
        return STATUS_OK;
    TRY(decoder_read(g->decoder, row, begin, where.count,
                     &(struct decoder_numbers){.tokens = g->tokens}));
    TRY(contains(g, wanted, g->tokens, where.count - begin, &found));
    for (int64_t t = where.before + 1; found && *end == 0 && t <= where.count; t++) {
        const int64_t from = t - window > where.low ? t - window : where.low;
        bool here;
        TRY(contains(g, wanted, g->tokens + (from - begin), t - from, &here));
        *end = here ? t : 0;
    }
    return STATUS_OK;
}

static struct wanted stop_texts_of(const struct generate_settings *settings) {
    return (struct wanted){
        .texts = settings->stop_texts, .count = settings->stop_text_count, .id = -1};
}

/* *n becomes the number of tokens up to the end of a stop text, where there is one: behind a forced
 * text, which contains none, they are looked for anew. A stop id as the last token has the word
 * before it. */
static enum status find_stop_text(struct generation *g, int64_t row, int64_t *n, bool *found) {
    const struct wanted wanted = stop_texts_of(g->settings);
    const struct live_answer *live = &g->live[row];
    const int64_t low = live->forced ? live->begin : 0;
    const bool stopped =
        *n == decoder_count(g->decoder, row) && decoder_end(g->decoder, row) == DECODE_STOP;
    const struct stretch where = {
        .low = low, .before = live->n > low ? live->n : low, .count = *n - (stopped ? 1 : 0)};
    int64_t end;
    TRY(find_text(g, row, &wanted, where, &end));
    *found = end > 0;
    *n = *found ? end : *n;
    return STATUS_OK;
}

/* --- thinking --- */

static bool is_thinking(const struct live_answer *live) {
    return live->begin < 0;
}

/* The answer begins behind that many tokens. */
static void begin_answer(const struct generation *g, struct live_answer *live, int64_t begin) {
    live->begin = begin;
    live->budget = budgets_answer(&g->budgets, begin);
}

/* Looks for the end of the thinking; *n tokens are cut to the budget of the answer behind it. */
static enum status find_answer(struct generation *g, int64_t row, int64_t *n) {
    const char *const tag = g->budgets.tag;
    const struct wanted wanted = {.texts = &tag, .count = 1, .id = g->budgets.tag_id};
    struct live_answer *live = &g->live[row];
    int64_t end;
    if (!is_thinking(live))
        return STATUS_OK;
    TRY(find_text(g, row, &wanted, (struct stretch){.before = live->n, .count = *n}, &end));
    if (end == 0)
        return STATUS_OK;
    begin_answer(g, live, end);
    *n = *n < live->budget ? *n : live->budget;
    return STATUS_OK;
}

/* Of the tokens [from, to) of a row, those that nobody drew. */
static int64_t forced_among(const struct generation *g, const struct live_answer *live,
                            int64_t from, int64_t to) {
    const int64_t begin = live->begin - g->budgets.close.count;
    from = from > begin ? from : begin;
    to = to < live->begin ? to : live->begin;
    return live->forced && to > from ? to - from : 0;
}

/* Of the first n tokens of a row, those that it drew before its answer. */
static int64_t thinking_of(const struct generation *g, const struct live_answer *live, int64_t n) {
    if (is_thinking(live))
        return n;
    return live->forced ? live->begin - g->budgets.close.count : live->begin;
}

/* --- answers --- */

/* Where an answer's arrays go on behind `at` numbers. */
static struct decoder_numbers numbers_behind(const struct generation *g,
                                             struct rollout_answer *answer, int64_t at) {
    return (struct decoder_numbers){.tokens = answer->tokens + at,
                                    .logprob =
                                        g->columns.sampler ? answer->logprob_sampler + at : NULL,
                                    .entropy = answer->entropy + at};
}

/* The first n tokens of a row whose thinking was closed by force: what was drawn are two turns. */
static enum status take_turns(struct generation *g, int64_t row, int64_t n,
                              struct rollout_answer *answer) {
    const int64_t begin = g->live[row].begin, end = begin - g->budgets.close.count;
    const struct decoder_numbers thinking = numbers_behind(g, answer, 0),
                                 rest = numbers_behind(g, answer, end);
    const int32_t begins[] = {0, (int32_t)begin}, ends[] = {(int32_t)end, (int32_t)n};
    int32_t *sequence;
    TRY(decoder_read(g->decoder, row, 0, end, &thinking));
    TRY(decoder_read(g->decoder, row, begin, n, &rest));
    TRY(memory_new(&sequence, n, "turns of an answer"));
    enum status status =
        decoder_read(g->decoder, row, 0, n, &(struct decoder_numbers){.tokens = sequence});
    if (status == STATUS_OK)
        status = rollout_answer_set_turns(answer, sequence, n, begins, ends, 2);
    memory_release(&sequence);
    answer->forced = true;
    return status;
}

static enum status take_whole(struct generation *g, int64_t row, int64_t n,
                              struct rollout_answer *answer) {
    const struct decoder_numbers all = numbers_behind(g, answer, 0);
    return decoder_read(g->decoder, row, 0, n, &all);
}

/* Hands the first n tokens of a row over to the rollout. */
static enum status finish(struct generation *g, int64_t row, int64_t n, enum finish_reason reason) {
    const struct live_answer *live = &g->live[row];
    struct rollout_answer *answer = &g->requests[live->request].answers[live->answer];
    TRY(rollout_answer_reserve(answer, n - forced_among(g, live, 0, n), g->columns));
    answer->finish = reason;
    answer->thinking = thinking_of(g, live, n);
    TRY(live->forced ? take_turns(g, row, n, answer) : take_whole(g, row, n, answer));
    if (g->tokenizer != NULL)
        TRY(tokenizer_decode(g->tokenizer, rollout_answer_ids(answer),
                             rollout_answer_id_count(answer), false, &answer->text));
    const struct generate_listener *listener = &g->settings->listener;
    return listener->finished != NULL
               ? listener->finished(listener->context, live->request, live->answer)
               : STATUS_OK;
}

static void count_tokens(struct generation *g, struct live_answer *live, int64_t n) {
    g->report->tokens += n - live->n - forced_among(g, live, live->n, n);
    g->report->positions +=
        n - (live->n > 0 ? live->n : 1); /* the first is drawn from the prompt */
    live->n = n;
}

/* A row that has n tokens and goes on, with another budget where its thinking ends. */
static void go_on(struct generation *g, int64_t row, bool was_thinking) {
    struct live_answer *live = &g->live[row];
    const bool force = is_thinking(live) && budgets_force(&g->budgets, live->n);
    if (force) {
        begin_answer(g, live, live->n + g->budgets.close.count);
        live->forced = true;
    }
    if (was_thinking && !is_thinking(live))
        decoder_reopen(g->decoder, row, live->budget, force);
}

/* What a row has become since the last look. */
static enum status look_at(struct generation *g, int64_t row) {
    struct live_answer *live = &g->live[row];
    const bool thinking = is_thinking(live);
    int64_t n = decoder_count(g->decoder, row);
    bool stop_text;
    TRY(find_answer(g, row, &n));
    TRY(find_stop_text(g, row, &n, &stop_text));
    const bool stopped =
        n == decoder_count(g->decoder, row) && decoder_end(g->decoder, row) == DECODE_STOP;
    const bool full = n == live->budget && !(is_thinking(live) && budgets_force(&g->budgets, n));
    count_tokens(g, live, n);
    g->done[row] = stop_text || stopped || full;
    if (g->done[row])
        return finish(g, row, n,
                      stop_text ? FINISH_STOP_TEXT
                      : stopped ? FINISH_STOP
                                : FINISH_LENGTH);
    go_on(g, row, thinking);
    return STATUS_OK;
}

/* Looks at the rows from `first` on and takes the finished ones out; the others keep their order, so
 * that a group stays together. */
static enum status sweep(struct generation *g, int64_t first) {
    const int64_t rows = decoder_rows(g->decoder);
    int64_t kept = first;
    memset(g->done, 0, (size_t)rows * sizeof *g->done);
    for (int64_t row = first; row < rows; row++)
        TRY(look_at(g, row));
    for (int64_t row = first; row < rows; row++)
        if (!g->done[row])
            g->live[kept++] = g->live[row];
    decoder_drop(g->decoder, g->done);
    return STATUS_OK;
}

/* Computes a prompt and draws the first token of all its answers. */
static enum status begin(struct generation *g, int64_t index) {
    const struct generate_request *request = &g->requests[index];
    const int64_t first = decoder_rows(g->decoder);
    const int64_t budget = budgets_thinking(&g->budgets);
    for (int64_t i = 0; i < request->answer_count; i++) {
        g->live[first + i] =
            (struct live_answer){.request = index,
                                 .answer = i,
                                 .budget = budget,
                                 .begin = g->budgets.settings.think_tokens > 0 ? -1 : 0};
        g->answers[i] = (struct decoder_answer){
            .index = request->answer_indices != NULL ? request->answer_indices[i] : (uint32_t)i,
            .budget = budget};
    }
    TRY(decoder_begin(g->decoder, &(struct decoder_prompt){.tokens = request->prompt,
                                                           .n = request->prompt_length,
                                                           .index = request->prompt_index,
                                                           .answers = g->answers,
                                                           .answer_count = request->answer_count}));
    g->report->positions += request->prompt_length;
    return sweep(g, first);
}

/* Some tokens more for the first B rows. */
static enum status advance(struct generation *g, int64_t B, int64_t steps) {
    TRY(decoder_advance(g->decoder, B, steps));
    return sweep(g, 0);
}

/* Sizes of the requests together. */
struct demand {
    int64_t answers, largest_group, longest_prompt;
};

static struct demand demand_of(const struct generate_request *requests, int64_t count) {
    struct demand d = {.answers = 0, .largest_group = 1, .longest_prompt = 1};
    for (int64_t i = 0; i < count; i++) {
        const struct generate_request *r = &requests[i];
        d.answers += r->answer_count;
        d.largest_group = r->answer_count > d.largest_group ? r->answer_count : d.largest_group;
        d.longest_prompt =
            r->prompt_length > d.longest_prompt ? r->prompt_length : d.longest_prompt;
    }
    return d;
}

static enum status open_generation(struct generation *g, struct model *model,
                                   const struct demand *demand, int64_t in_flight, int64_t steps) {
    const struct generate_settings *s = g->settings;
    const struct wanted stops = stop_texts_of(s);
    TRY(budgets_init(&g->budgets, &s->budgets, g->tokenizer, s->stop_ids, s->stop_id_count));
    const struct decoder_settings how = {.sampling = s->sampling,
                                         .most_rows = in_flight + demand->largest_group,
                                         .most_advanced = in_flight,
                                         .most_tokens = s->budgets.max_new_tokens,
                                         .most_prompt = demand->longest_prompt,
                                         .stop_ids = s->stop_ids,
                                         .stop_id_count = s->stop_id_count,
                                         .forced = g->budgets.close.ids,
                                         .forced_count = g->budgets.close.count,
                                         .seed = s->seed,
                                         .step = s->step};
    TRY(memory_new(&g->answers, demand->largest_group, "live answers"));
    TRY(memory_new(&g->live, how.most_rows, "live answers"));
    TRY(memory_new(&g->done, how.most_rows, "live answers"));
    TRY(memory_new(&g->tokens, window_of(&stops) + BUDGET_TAG_BYTES + steps,
                   "last tokens of an answer"));
    return decoder_create(&g->decoder, model, &how);
}

static void close_generation(struct generation *g) {
    decoder_destroy(&g->decoder);
    budgets_release(&g->budgets);
    memory_release(&g->answers);
    memory_release(&g->live);
    memory_release(&g->done);
    memory_release(&g->tokens);
}

enum status generate_answers(struct model *model, struct tokenizer *tokenizer,
                             const struct generate_settings *settings,
                             const struct generate_request *requests, int64_t request_count,
                             struct rollout_columns columns, struct generate_report *report) {
    struct generation g = {.tokenizer = tokenizer,
                           .settings = settings,
                           .requests = requests,
                           .columns = columns,
                           .report = report};
    const struct demand demand = demand_of(requests, request_count);
    const int64_t total = demand.answers, wanted = settings->answers_in_flight,
                  in_flight = wanted > 0 && wanted < total ? wanted : (total > 0 ? total : 1),
                  steps = settings->steps_ahead > 0 ? settings->steps_ahead
                                                    : model_backend(model)->ops->steps_ahead;
    enum status status;
    int64_t begun = 0, live = 0;
    *report = (struct generate_report){.tokens = 0};
    TRY_ELSE(status, done, open_generation(&g, model, &demand, in_flight, steps));
    for (int64_t next = 0; next < request_count || live > 0;) {
        TRY_ELSE(status, done, pulse_beat(settings->pulse));
        if (next < request_count && live < in_flight) {
            begun += requests[next].answer_count;
            TRY_ELSE(status, done, begin(&g, next++));
        } else {
            TRY_ELSE(status, done, advance(&g, live < in_flight ? live : in_flight, steps));
        }
        live = decoder_rows(g.decoder);
        if (settings->listener.hear != NULL)
            settings->listener.hear(settings->listener.context, begun - live, report->tokens);
    }
done:
    close_generation(&g);
    return status;
}
