/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host does between steps: rows, their pages, and looking at what has become of them.
 */
#include "model/decoder_state.h"

#include "base/memory.h"

#include <inttypes.h>
#include <string.h>

static int64_t pages_of(int64_t positions) {
    return (positions + CACHE_PAGE - 1) / CACHE_PAGE;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* --- its life --- */

static enum status create_host(struct decoder *d) {
    const int64_t rows = d->settings.most_rows;
    TRY(memory_new(&d->host, ROW_COLUMNS * rows, "rows being decoded"));
    TRY(memory_new(&d->page_list, d->page_number_count, "numbers of cache pages"));
    TRY(memory_new(&d->answers, rows, "answers being decoded"));
    TRY(memory_new(&d->prompts, rows, "prompts being decoded"));
    TRY(memory_new(&d->free_answers, rows, "answers being decoded"));
    for (int64_t i = 0; i < rows; i++)
        d->free_answers[d->free_count++] = (int32_t)(rows - 1 - i);
    return STATUS_OK;
}

static enum status create_device(struct decoder *d) {
    struct backend *b = d->model->backend;
    const struct decoder_settings *s = &d->settings;
    const int64_t n = s->most_rows * s->most_tokens;
    TRY(backend_new(b, &d->rows, ROW_COLUMNS * s->most_rows, "rows being decoded"));
    TRY(backend_new(b, &d->page_numbers, d->page_number_count, "numbers of cache pages"));
    TRY(backend_new(b, &d->tokens, n, "answer tokens"));
    TRY(backend_new(b, &d->logprobs, n, "numbers per token"));
    TRY(backend_new(b, &d->entropies, n, "numbers per token"));
    TRY(backend_new(b, &d->stop_ids, s->stop_id_count, "stop ids"));
    TRY(backend_new(b, &d->forced, s->forced_count, "forced tokens"));
    TRY(backend_new(b, &d->seed, 1, "a seed"));
    TRY(backend_new(b, &d->hidden, s->most_rows * d->model->hparams.C,
                    "hidden states of the decode rows"));
    TRY(b->ops->upload(b, d->seed, &s->seed, sizeof s->seed));
    TRY(b->ops->upload(b, d->forced, s->forced, (size_t)s->forced_count * sizeof *s->forced));
    return b->ops->upload(b, d->stop_ids, s->stop_ids,
                          (size_t)s->stop_id_count * sizeof *s->stop_ids);
}

static enum status create_parts(struct decoder *d) {
    const int64_t rows = d->settings.most_rows;
    d->own_width = pages_of(d->settings.most_tokens);
    d->prompt_width = pages_of(d->settings.most_prompt);
    d->page_number_count = rows * (d->own_width + d->prompt_width);
    TRY(create_host(d));
    TRY(create_device(d));
    return cache_create(&d->cache, d->model->backend, &d->model->hparams, d->model->activations,
                        d->page_number_count);
}

enum status decoder_create(struct decoder **out, struct model *model,
                           const struct decoder_settings *settings) {
    struct decoder *d = NULL;
    ASSERT(settings->most_rows > 0 && settings->most_tokens > 0 && settings->most_prompt > 0);
    TRY(memory_new(&d, 1, "a decoder"));
    d->model = model;
    d->settings = *settings;
    const enum status status = create_parts(d);
    if (status != STATUS_OK)
        decoder_destroy(&d);
    *out = d;
    return status;
}

void decoder_destroy(struct decoder **pointer) {
    struct decoder *d = *pointer;
    if (d == NULL)
        return;
    struct backend *b = d->model->backend;
    if (d->plan.state != NULL)
        b->ops->decode_discard(b, &d->plan);
    cache_destroy(&d->cache);
    backend_release(b, &d->rows);
    backend_release(b, &d->page_numbers);
    backend_release(b, &d->tokens);
    backend_release(b, &d->logprobs);
    backend_release(b, &d->entropies);
    backend_release(b, &d->stop_ids);
    backend_release(b, &d->forced);
    backend_release(b, &d->seed);
    backend_release(b, &d->hidden);
    memory_release(&d->host);
    memory_release(&d->page_list);
    memory_release(&d->answers);
    memory_release(&d->prompts);
    memory_release(&d->free_answers);
    memory_release(pointer);
}

/* --- pages --- */

/* Where the numbers of a prompt's pages begin. */
static int64_t prompt_begin(const struct decoder *d, int64_t prompt) {
    return d->settings.most_rows * d->own_width + prompt * d->prompt_width;
}

/* Pages for `positions` positions in all; `begin` is where their numbers stand. */
static enum status take_pages(struct decoder *d, struct decoder_sequence *sequence, int64_t begin,
                              int64_t positions) {
    for (; sequence->pages < pages_of(positions); sequence->pages++)
        TRY(cache_take(d->cache, &d->page_list[begin + sequence->pages]));
    return STATUS_OK;
}

static void give_pages(struct decoder *d, struct decoder_sequence *sequence, int64_t begin) {
    for (int64_t i = 0; i < sequence->pages; i++)
        cache_give(d->cache, d->page_list[begin + i]);
    sequence->pages = 0;
}

/* --- between the host and the backend --- */

static enum status upload_rows(struct decoder *d) {
    struct backend *b = d->model->backend;
    const size_t rows = (size_t)(ROW_COLUMNS * d->settings.most_rows) * sizeof *d->host;
    TRY(b->ops->upload(b, d->rows, d->host, rows));
    return b->ops->upload(b, d->page_numbers, d->page_list,
                          (size_t)d->page_number_count * sizeof *d->page_list);
}

/* What rows first … first + B − 1 have become after so many draws. Before the host looks it expects
 * that none has stopped: where nothing is computed (backend_plan) it finds what it expects. */
static enum status look(struct decoder *d, int64_t first, int64_t B, int64_t draws, bool stepped) {
    struct backend *b = d->model->backend;
    for (int64_t i = first; i < first + B; i++) {
        int32_t *count = host_column(d, ROW_COUNT, i), *end = host_column(d, ROW_END, i);
        const int32_t budget = *host_column(d, ROW_BUDGET, i);
        if (*end != DECODE_OPEN)
            continue;
        *count = (int32_t)least(*count + draws, budget);
        *end = *count == budget ? DECODE_FULL : DECODE_OPEN;
    }
    TRY(b->ops->download(b, d->host, d->rows,
                         (size_t)(ROW_ADVANCED * d->settings.most_rows) * sizeof *d->host));
    for (int64_t i = first; i < first + B; i++)
        if (*host_column(d, ROW_END, i) == DECODE_NOT_FINITE)
            return decoder_explain(d, first, B, stepped);
    return STATUS_OK;
}

/* --- rows --- */

int64_t decoder_rows(const struct decoder *d) {
    return d->row_count;
}

int64_t decoder_count(const struct decoder *d, int64_t row) {
    return *host_column(d, ROW_COUNT, row);
}

enum decode_end decoder_end(const struct decoder *d, int64_t row) {
    return (enum decode_end) * host_column(d, ROW_END, row);
}

int64_t decoder_cache_bytes(const struct decoder *d) {
    return cache_bytes(d->cache);
}

static int64_t find_prompt(const struct decoder *d) {
    for (int64_t i = 0; i < d->settings.most_rows; i++)
        if (d->prompts[i].open_rows == 0)
            return i;
    ASSERT(false);
    return -1;
}

/* But for its counters. */
static void clear_row(struct decoder *d, int64_t row) {
    for (enum row_column column = 0; column < ROW_COLUMNS; column++)
        if (column < ROW_COUNTERS || column >= ROW_ADVANCED)
            *host_column(d, column, row) = 0;
}

static void add_row(struct decoder *d, const struct decoder_prompt *prompt, int64_t number,
                    const struct decoder_answer *answer) {
    const int64_t row = d->row_count++;
    const int32_t place = d->free_answers[--d->free_count];
    int32_t *counters = host_column(d, ROW_COUNTERS, row);
    clear_row(d, row);
    *host_column(d, ROW_END, row) = DECODE_OPEN;
    counters[0] = (int32_t)d->settings.step;
    counters[1] = (int32_t)prompt->index;
    counters[2] = (int32_t)answer->index;
    counters[3] = 0;
    *host_column(d, ROW_PROMPT_BEGIN, row) = (int32_t)prompt_begin(d, number);
    *host_column(d, ROW_PROMPT_LENGTH, row) = (int32_t)prompt->n;
    *host_column(d, ROW_OWN_BEGIN, row) = (int32_t)(place * d->own_width);
    *host_column(d, ROW_BUDGET, row) = (int32_t)answer->budget;
    *host_column(d, ROW_FORCED, row) = -1;
    *host_column(d, ROW_ANSWER, row) = place;
    d->prompts[number].open_rows++;
}

static enum status too_long(const struct decoder *d) {
    return FAIL(STATUS_INPUT,
                "a sequence is longer than the %" PRId64 " positions the model was opened for",
                d->model->settings.max_positions);
}

enum status decoder_begin(struct decoder *d, const struct decoder_prompt *prompt) {
    const int64_t first = d->row_count, number = find_prompt(d);
    if (prompt->n < 1)
        return FAIL(STATUS_INPUT, "a prompt has no tokens; at least one is needed to begin from");
    if (prompt->n > d->model->settings.max_positions)
        return too_long(d);
    ASSERT(prompt->n <= d->settings.most_prompt && prompt->answer_count > 0 &&
           first + prompt->answer_count <= d->settings.most_rows);
    TRY(take_pages(d, &d->prompts[number], prompt_begin(d, number), prompt->n));
    for (int64_t i = 0; i < prompt->answer_count; i++) {
        ASSERT(prompt->answers[i].budget > 0 &&
               prompt->answers[i].budget <= d->settings.most_tokens);
        add_row(d, prompt, number, &prompt->answers[i]);
    }
    TRY(upload_rows(d));
    TRY(decoder_prefill(d, prompt->tokens, prompt->n, number));
    TRY(decoder_draw(d, first, prompt->answer_count));
    return look(d, first, prompt->answer_count, 1, false);
}

/* Pages for what a row will store in so many steps; where its next position goes. */
static enum status open_row(struct decoder *d, int64_t row, int64_t steps) {
    const int64_t own = *host_column(d, ROW_OWN_BEGIN, row), count = decoder_count(d, row),
                  budget = *host_column(d, ROW_BUDGET, row), at = count - 1,
                  stored = least(at + steps, budget - 1);
    if (decoder_end(d, row) != DECODE_OPEN)
        return STATUS_OK;
    if (*host_column(d, ROW_PROMPT_LENGTH, row) + stored > d->model->settings.max_positions)
        return too_long(d);
    TRY(take_pages(d, &d->answers[*host_column(d, ROW_ANSWER, row)], own, stored));
    *host_column(d, ROW_PAGE, row) = d->page_list[own + at / CACHE_PAGE];
    *host_column(d, ROW_SLOT, row) = (int32_t)(at % CACHE_PAGE);
    return STATUS_OK;
}

static int64_t longest_of(const struct decoder *d, int64_t B, int64_t steps) {
    int64_t longest = 0;
    for (int64_t b = 0; b < B; b++) {
        const int64_t own = least(decoder_count(d, b) + steps - 1, *host_column(d, ROW_BUDGET, b)),
                      keys = *host_column(d, ROW_PROMPT_LENGTH, b) + own;
        longest = keys > longest ? keys : longest;
    }
    return longest;
}

/* A row that is not there: one that has ended, with a key to look at, of whichever page. */
static void set_aside(struct decoder *d, int64_t row) {
    clear_row(d, row);
    *host_column(d, ROW_COUNT, row) = 1;
    *host_column(d, ROW_SLOT, row) = -1;
    *host_column(d, ROW_END, row) = DECODE_FULL;
    *host_column(d, ROW_FORCED, row) = -1;
}

static int64_t most_advanced(const struct decoder *d) {
    const int64_t most = d->settings.most_advanced;
    return most > 0 ? most : d->settings.most_rows;
}

/* Of a step of B rows: others may be set aside behind the last that is live. */
static int64_t width_of(const struct decoder *d, int64_t B) {
    const struct backend *backend = d->model->backend;
    return B < d->row_count ? B : backend->ops->decode_rows(backend, B, most_advanced(d));
}

static enum status prepare(struct decoder *d, int64_t B, int64_t width, int64_t steps) {
    struct backend *backend = d->model->backend;
    const struct hparams *h = &d->model->hparams;
    d->plan.B = B;
    d->plan.H = h->H;
    d->plan.K = h->K;
    d->plan.D = h->D;
    d->plan.rows = width;
    d->plan.most = most_advanced(d);
    d->plan.prompts = host_column(d, ROW_PROMPT_BEGIN, 0);
    d->plan.longest = longest_of(d, B, steps);
    return backend->ops->decode_prepare(backend, &d->plan);
}

enum status decoder_advance(struct decoder *d, int64_t B, int64_t steps) {
    ASSERT(B <= d->row_count && steps > 0);
    if (B == 0)
        return STATUS_OK;
    const int64_t width = width_of(d, B);
    for (int64_t b = 0; b < B; b++)
        TRY(open_row(d, b, steps));
    for (int64_t b = B; b < width; b++)
        set_aside(d, b);
    for (int64_t b = 0; b < width; b++)
        *host_column(d, ROW_SOURCE, b) = (int32_t)b;
    TRY(upload_rows(d));
    TRY(prepare(d, B, width, steps));
    TRY(decoder_steps(d, B, width, steps));
    return look(d, 0, B, steps, true);
}

void decoder_reopen(struct decoder *d, int64_t row, int64_t budget, bool force) {
    const int64_t count = decoder_count(d, row);
    ASSERT(decoder_end(d, row) == DECODE_OPEN || decoder_end(d, row) == DECODE_FULL);
    ASSERT(budget >= count && budget <= d->settings.most_tokens);
    *host_column(d, ROW_BUDGET, row) = (int32_t)budget;
    *host_column(d, ROW_END, row) = count < budget ? DECODE_OPEN : DECODE_FULL;
    if (force) {
        ASSERT(*host_column(d, ROW_FORCED, row) < 0);
        *host_column(d, ROW_FORCED, row) = (int32_t)count;
    }
}

/* --- what comes out --- */

enum status decoder_read(struct decoder *d, int64_t row, int64_t begin, int64_t end,
                         const struct decoder_numbers *out) {
    struct backend *b = d->model->backend;
    const int64_t at = *host_column(d, ROW_ANSWER, row) * d->settings.most_tokens + begin;
    const size_t bytes = (size_t)(end - begin) * sizeof *d->tokens;
    ASSERT(begin >= 0 && begin <= end && end <= decoder_count(d, row));
    if (out->tokens != NULL)
        TRY(b->ops->download(b, out->tokens, d->tokens + at, bytes));
    if (out->logprob != NULL)
        TRY(b->ops->download(b, out->logprob, d->logprobs + at, bytes));
    if (out->entropy != NULL)
        TRY(b->ops->download(b, out->entropy, d->entropies + at, bytes));
    return STATUS_OK;
}

static void drop_row(struct decoder *d, int64_t row) {
    const int32_t place = *host_column(d, ROW_ANSWER, row),
                  begin = *host_column(d, ROW_PROMPT_BEGIN, row);
    struct decoder_sequence *prompt = &d->prompts[(begin - prompt_begin(d, 0)) / d->prompt_width];
    give_pages(d, &d->answers[place], *host_column(d, ROW_OWN_BEGIN, row));
    d->free_answers[d->free_count++] = place;
    if (--prompt->open_rows == 0)
        give_pages(d, prompt, begin);
}

void decoder_drop(struct decoder *d, const bool *drop) {
    int64_t kept = 0;
    for (int64_t row = 0; row < d->row_count; row++) {
        if (drop[row]) {
            drop_row(d, row);
            continue;
        }
        for (enum row_column column = 0; column < ROW_COLUMNS; column++)
            if (column <= ROW_COUNTERS || column >= ROW_ADVANCED)
                memmove(host_column(d, column, kept), host_column(d, column, row),
                        (column == ROW_COUNTERS ? 4 : 1) * sizeof *d->host);
        kept++;
    }
    d->row_count = kept;
}
