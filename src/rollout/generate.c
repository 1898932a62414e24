/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/generate.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* A prompt whose answers are being decoded. */
struct live_prompt {
    struct cache_sequence sequence;
    int64_t open_answers; /* begun or waiting */
};

/* An answer on its way. The arrays grow to max_new_tokens at once: their size is known and small
 * beside the cache. */
struct live_answer {
    struct cache_sequence sequence;
    int32_t *tokens;
    float *logprob, *entropy;
    int32_t n;
    int64_t request, answer;
};

struct decoder {
    struct model *model;
    struct tokenizer *tokenizer;
    const struct generate_settings *settings;
    const struct generate_request *requests;
    struct rollout_columns columns;
    struct cache *cache;
    struct live_prompt *prompts; /* (request_count) */
    struct live_answer
        *live; /* (capacity): those being decoded come first, then those that wait with one token */
    int64_t live_count, capacity;
    /* One row per answer of a draw. */
    struct decode_row *rows;
    int32_t *source, *drawn, *seen_counts;
    const int32_t **seen;
    double *uniforms;
    float *logprob, *entropy;
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

static enum status reserve_rows(struct decoder *decoder, int64_t rows) {
    TRY(memory_new(&decoder->rows, rows, "decode rows"));
    TRY(memory_new(&decoder->source, rows, "decode rows"));
    TRY(memory_new(&decoder->drawn, rows, "decode rows"));
    TRY(memory_new(&decoder->seen_counts, rows, "decode rows"));
    TRY(memory_new(&decoder->seen, rows, "decode rows"));
    TRY(memory_new(&decoder->uniforms, rows, "decode rows"));
    TRY(memory_new(&decoder->logprob, rows, "decode rows"));
    return memory_new(&decoder->entropy, rows, "decode rows");
}

static void live_release(struct decoder *decoder, struct live_answer *live) {
    cache_sequence_release(decoder->cache, &live->sequence);
    memory_release(&live->tokens);
    memory_release(&live->logprob);
    memory_release(&live->entropy);
}

static void decoder_release(struct decoder *decoder, int64_t request_count) {
    for (int64_t i = 0; i < decoder->live_count; i++)
        live_release(decoder, &decoder->live[i]);
    for (int64_t i = 0; decoder->prompts != NULL && i < request_count; i++)
        cache_sequence_release(decoder->cache, &decoder->prompts[i].sequence);
    memory_release(&decoder->prompts);
    memory_release(&decoder->live);
    memory_release(&decoder->rows);
    memory_release(&decoder->source);
    memory_release(&decoder->drawn);
    memory_release(&decoder->seen_counts);
    memory_release(&decoder->seen);
    memory_release(&decoder->uniforms);
    memory_release(&decoder->logprob);
    memory_release(&decoder->entropy);
    cache_destroy(&decoder->cache);
}

static bool is_stop_id(const struct generate_settings *settings, int32_t token) {
    for (int64_t i = 0; i < settings->stop_id_count; i++)
        if (settings->stop_ids[i] == token)
            return true;
    return false;
}

/* Whether the text of the last tokens contains a stop text. A stop text of n bytes spans at most n
 * tokens. */
static enum status ends_in_stop_text(const struct decoder *decoder, const struct live_answer *live,
                                     bool *ends) {
    const struct generate_settings *settings = decoder->settings;
    *ends = false;
    size_t longest = 0;
    for (int64_t i = 0; i < settings->stop_text_count; i++)
        longest =
            strlen(settings->stop_texts[i]) > longest ? strlen(settings->stop_texts[i]) : longest;
    if (longest == 0)
        return STATUS_OK;
    const int32_t look = live->n < (int32_t)longest + 4 ? live->n : (int32_t)longest + 4;
    struct strbuf text = STRBUF_EMPTY;
    enum status status =
        tokenizer_decode(decoder->tokenizer, live->tokens + live->n - look, look, false, &text);
    for (int64_t i = 0; status == STATUS_OK && i < settings->stop_text_count; i++)
        *ends = *ends || strstr(strbuf_text(&text), settings->stop_texts[i]) != NULL;
    strbuf_release(&text);
    return status;
}

/* Hands a finished answer over to the rollout and frees its place in the cache. */
static enum status finish(struct decoder *decoder, struct live_answer *live,
                          enum finish_reason reason) {
    const struct generate_request *request = &decoder->requests[live->request];
    struct rollout_answer *answer = &request->answers[live->answer];
    TRY(rollout_answer_reserve(answer, live->n, decoder->columns));
    answer->finish = reason;
    memcpy(answer->tokens, live->tokens, (size_t)live->n * sizeof *answer->tokens);
    if (decoder->columns.sampler)
        memcpy(answer->logprob_sampler, live->logprob, (size_t)live->n * sizeof *live->logprob);
    memcpy(answer->entropy, live->entropy, (size_t)live->n * sizeof *live->entropy);
    if (decoder->tokenizer != NULL)
        TRY(tokenizer_decode(decoder->tokenizer, answer->tokens, answer->n, false, &answer->text));
    live_release(decoder, live);
    struct live_prompt *prompt = &decoder->prompts[live->request];
    if (--prompt->open_answers == 0)
        cache_sequence_release(decoder->cache, &prompt->sequence);
    return STATUS_OK;
}

/* Draws the next token of the answers live[first .. first + B) from the decode rows in
 * decoder->source. */
static enum status draw(struct decoder *decoder, int64_t first, int64_t B) {
    const struct generate_settings *settings = decoder->settings;
    for (int64_t b = 0; b < B; b++) {
        const struct live_answer *live = &decoder->live[first + b];
        decoder->uniforms[b] = random_uniform(settings->seed, RANDOM_SAMPLE, settings->step,
                                              decoder->requests[live->request].prompt_index,
                                              (uint32_t)live->answer, (uint32_t)live->n);
        decoder->seen[b] = live->tokens;
        decoder->seen_counts[b] = live->n;
    }
    TRY(model_draw(decoder->model, &(struct draw_args){.source = decoder->source,
                                                       .uniforms = decoder->uniforms,
                                                       .seen = decoder->seen,
                                                       .seen_counts = decoder->seen_counts,
                                                       .B = B,
                                                       .settings = settings->sampling,
                                                       .tokens = decoder->drawn,
                                                       .logprob = decoder->logprob,
                                                       .entropy = decoder->entropy}));
    for (int64_t b = 0; b < B; b++) {
        struct live_answer *live = &decoder->live[first + b];
        live->tokens[live->n] = decoder->drawn[b];
        live->logprob[live->n] = decoder->logprob[b];
        live->entropy[live->n++] = decoder->entropy[b];
    }
    return STATUS_OK;
}

/* Takes the finished answers out of live[first ..]; the others keep their order, so that a group
 * stays together. */
static enum status sweep(struct decoder *decoder, int64_t first) {
    int64_t kept = first;
    enum status status = STATUS_OK;
    for (int64_t i = first; i < decoder->live_count; i++) {
        struct live_answer *live = &decoder->live[i];
        bool stop_text = false;
        const bool stop = is_stop_id(decoder->settings, live->tokens[live->n - 1]);
        if (status == STATUS_OK && !stop)
            status = ends_in_stop_text(decoder, live, &stop_text);
        const bool full = live->n == decoder->settings->max_new_tokens;
        if (status == STATUS_OK && (stop || stop_text || full))
            status = finish(decoder, live,
                            stop        ? FINISH_STOP
                            : stop_text ? FINISH_STOP_TEXT
                                        : FINISH_LENGTH);
        else
            decoder->live[kept++] = *live;
    }
    decoder->live_count = kept;
    return status;
}

/* Computes a prompt and draws the first token of all its answers. */
static enum status begin(struct decoder *decoder, int64_t index, struct generate_report *report) {
    const struct generate_request *request = &decoder->requests[index];
    struct live_prompt *prompt = &decoder->prompts[index];
    TRY(model_prefill(decoder->model, decoder->cache, request->prompt, request->prompt_length,
                      &prompt->sequence, 0));
    const int64_t first = decoder->live_count;
    prompt->open_answers = request->answer_count;
    for (int64_t i = 0; i < request->answer_count; i++) {
        struct live_answer *live = &decoder->live[decoder->live_count++];
        *live = (struct live_answer){.request = index, .answer = i};
        TRY(memory_new(&live->tokens, decoder->settings->max_new_tokens, "answer tokens"));
        TRY(memory_new(&live->logprob, decoder->settings->max_new_tokens, "numbers per token"));
        TRY(memory_new(&live->entropy, decoder->settings->max_new_tokens, "numbers per token"));
        decoder->source[i] = 0;
    }
    report->positions += request->prompt_length;
    report->tokens += request->answer_count;
    TRY(draw(decoder, first, request->answer_count));
    return sweep(decoder, first);
}

/* One token more for the first B live answers. */
static enum status advance(struct decoder *decoder, int64_t B, struct generate_report *report) {
    for (int64_t b = 0; b < B; b++) {
        struct live_answer *live = &decoder->live[b];
        decoder->rows[b] = (struct decode_row){
            .token = live->tokens[live->n - 1],
            .position = (int32_t)decoder->requests[live->request].prompt_length + live->n - 1,
            .prompt = &decoder->prompts[live->request].sequence,
            .own = &live->sequence};
        decoder->source[b] = (int32_t)b;
    }
    TRY(model_decode(decoder->model, decoder->cache, decoder->rows, B));
    report->positions += B;
    report->tokens += B;
    TRY(draw(decoder, 0, B));
    return sweep(decoder, 0);
}

enum status generate_answers(struct model *model, struct tokenizer *tokenizer,
                             const struct generate_settings *settings,
                             const struct generate_request *requests, int64_t request_count,
                             struct rollout_columns columns, struct generate_report *report) {
    struct decoder decoder = {.model = model,
                              .tokenizer = tokenizer,
                              .settings = settings,
                              .requests = requests,
                              .columns = columns};
    enum status status;
    int64_t total = 0, largest = 1, begun = 0;
    *report = (struct generate_report){.tokens = 0};
    for (int64_t i = 0; i < request_count; i++) {
        total += requests[i].answer_count;
        largest = requests[i].answer_count > largest ? requests[i].answer_count : largest;
    }
    const int64_t in_flight = settings->answers_in_flight > 0 && settings->answers_in_flight < total
                                  ? settings->answers_in_flight
                                  : (total > 0 ? total : 1);
    decoder.capacity = in_flight + largest;
    TRY_ELSE(status, done, memory_new(&decoder.prompts, request_count, "live prompts"));
    TRY_ELSE(status, done, memory_new(&decoder.live, decoder.capacity, "live answers"));
    TRY_ELSE(status, done, reserve_rows(&decoder, decoder.capacity));
    TRY_ELSE(status, done,
             cache_create(&decoder.cache, model_backend(model), model_hparams(model)));
    for (int64_t next = 0; next < request_count || decoder.live_count > 0;) {
        TRY_ELSE(status, done, pulse_beat(settings->pulse));
        if (next < request_count && decoder.live_count < in_flight) {
            begun += requests[next].answer_count;
            TRY_ELSE(status, done, begin(&decoder, next++, report));
        } else {
            TRY_ELSE(status, done,
                     advance(&decoder,
                             decoder.live_count < in_flight ? decoder.live_count : in_flight,
                             report));
        }
        if (settings->listener.hear != NULL)
            settings->listener.hear(settings->listener.context, begun - decoder.live_count,
                                    report->tokens);
    }
done:
    decoder_release(&decoder, request_count);
    return status;
}
