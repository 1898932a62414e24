/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/generate.h"

#include <string.h>

#include "base/memory.h"
#include "model/decoder.h"

/* An answer on its way, beside its row of the decoder. */
struct live_answer {
    int64_t request, answer;
    int64_t n; /* tokens that the report counts */
};

struct generation {
    struct decoder *decoder;
    struct tokenizer *tokenizer;
    const struct generate_settings *settings;
    const struct generate_request *requests;
    struct rollout_columns columns;
    struct generate_report *report;
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
        .max_new_tokens = rollout->max_new_tokens,
        .answers_in_flight = rollout->answers_in_flight,
        .stop_ids = stop_ids,
        .stop_id_count = stop_id_count,
        .stop_texts = (const char *const *)rollout->stop,
        .stop_text_count = rollout->stop_count,
        .seed = (uint64_t)settings->run.seed,
        .step = (uint32_t)step};
}

/* --- stop texts --- */

static int64_t longest_stop_text(const struct generate_settings *settings) {
    size_t longest = 0;
    for (int64_t i = 0; i < settings->stop_text_count; i++)
        longest =
            strlen(settings->stop_texts[i]) > longest ? strlen(settings->stop_texts[i]) : longest;
    return (int64_t)longest;
}

/* Whether the text of these tokens contains a stop text. */
static enum status contains_stop_text(const struct generation *g, const int32_t *tokens, int64_t n,
                                      bool *contains) {
    const struct generate_settings *settings = g->settings;
    struct strbuf text = STRBUF_EMPTY;
    enum status status = tokenizer_decode(g->tokenizer, tokens, n, false, &text);
    *contains = false;
    for (int64_t i = 0; status == STATUS_OK && i < settings->stop_text_count; i++)
        *contains = *contains || strstr(strbuf_text(&text), settings->stop_texts[i]) != NULL;
    strbuf_release(&text);
    return status;
}

/* Looks for a stop text behind each token that has come since the last look, *n in all, as if they
 * had come one by one; *n becomes their number up to where it ends. A stop text of n bytes spans at
 * most n tokens; a stop id as the last token has the word before it. */
static enum status find_stop_text(struct generation *g, int64_t row, int64_t *n, bool *found) {
    const int64_t most = longest_stop_text(g->settings) + 4, before = g->live[row].n,
                  count = *n - (decoder_end(g->decoder, row) == DECODE_STOP ? 1 : 0),
                  begin = before + 1 > most ? before + 1 - most : 0;
    *found = false;
    if (g->settings->stop_text_count == 0 || most == 4 || count <= before)
        return STATUS_OK;
    TRY(decoder_read(g->decoder, row, begin, count,
                     &(struct decoder_numbers){.tokens = g->tokens}));
    for (int64_t t = before + 1; t <= count && !*found; t++) {
        const int64_t look = t < most ? t : most;
        TRY(contains_stop_text(g, g->tokens + (t - look - begin), look, found));
        if (*found)
            *n = t;
    }
    return STATUS_OK;
}

/* --- answers --- */

/* Hands the first n tokens of a row over to the rollout. */
static enum status finish(struct generation *g, int64_t row, int64_t n, enum finish_reason reason) {
    const struct live_answer *live = &g->live[row];
    struct rollout_answer *answer = &g->requests[live->request].answers[live->answer];
    TRY(rollout_answer_reserve(answer, n, g->columns));
    answer->finish = reason;
    TRY(decoder_read(
        g->decoder, row, 0, n,
        &(struct decoder_numbers){.tokens = answer->tokens,
                                  .logprob = g->columns.sampler ? answer->logprob_sampler : NULL,
                                  .entropy = answer->entropy}));
    if (g->tokenizer != NULL)
        TRY(tokenizer_decode(g->tokenizer, answer->tokens, answer->n, false, &answer->text));
    const struct generate_listener *listener = &g->settings->listener;
    return listener->finished != NULL
               ? listener->finished(listener->context, live->request, live->answer)
               : STATUS_OK;
}

/* What a row has become since the last look. */
static enum status look_at(struct generation *g, int64_t row) {
    struct live_answer *live = &g->live[row];
    const enum decode_end end = decoder_end(g->decoder, row);
    int64_t n = decoder_count(g->decoder, row);
    bool stop_text;
    TRY(find_stop_text(g, row, &n, &stop_text));
    g->report->tokens += n - live->n;
    g->report->positions +=
        n - (live->n > 0 ? live->n : 1); /* the first is drawn from the prompt */
    live->n = n;
    g->done[row] = stop_text || end != DECODE_OPEN;
    if (!g->done[row])
        return STATUS_OK;
    return finish(g, row, n,
                  stop_text            ? FINISH_STOP_TEXT
                  : end == DECODE_STOP ? FINISH_STOP
                                       : FINISH_LENGTH);
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
    for (int64_t i = 0; i < request->answer_count; i++) {
        g->live[first + i] = (struct live_answer){.request = index, .answer = i};
        g->answers[i] = (struct decoder_answer){
            .index = request->answer_indices != NULL ? request->answer_indices[i] : (uint32_t)i,
            .budget = g->settings->max_new_tokens};
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
    const struct decoder_settings how = {.sampling = s->sampling,
                                         .most_rows = in_flight + demand->largest_group,
                                         .most_tokens = s->max_new_tokens,
                                         .most_prompt = demand->longest_prompt,
                                         .stop_ids = s->stop_ids,
                                         .stop_id_count = s->stop_id_count,
                                         .seed = s->seed,
                                         .step = s->step};
    TRY(memory_new(&g->answers, demand->largest_group, "live answers"));
    TRY(memory_new(&g->live, how.most_rows, "live answers"));
    TRY(memory_new(&g->done, how.most_rows, "live answers"));
    TRY(memory_new(&g->tokens, longest_stop_text(s) + 4 + steps, "last tokens of an answer"));
    return decoder_create(&g->decoder, model, &how);
}

static void close_generation(struct generation *g) {
    decoder_destroy(&g->decoder);
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
