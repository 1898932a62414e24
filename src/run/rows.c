/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rows.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "run/run.h"

/* Most tokens of an answer, or of a completion that stands in its place before the discriminator. */
int64_t rows_answer_most(const struct run *run) {
    const int64_t answer = run->settings->rollout.max_new_tokens,
                  completion = run->settings->adversarial.completion_tokens;
    return run->method->likelihood      ? 1
           : run->method->discriminates ? rows_longer(answer, completion)
                                        : answer;
}

/* The longest sequence that the discriminator reads. */
int64_t rows_judged_most(const struct run *run) {
    return run->method->discriminates
               ? run->longest.judged + rows_answer_most(run) + run->longest.reasoned
               : 0;
}

/* For the stream: which rows take part, and a sentence where one that does cannot be used. */
struct row_check {
    struct run *run;
    struct prompt_limit limit;
    const struct dataset *dataset; /* of the source that is asked about */
    int32_t source;
};

/* A row whose teacher's prompt leaves no room for an answer takes no part. */
static enum status check_teacher(struct run *run, const struct dataset *dataset,
                                 const struct dataset_item *item, bool *kept) {
    const int64_t answer = run->settings->rollout.max_new_tokens;
    int64_t tokens;
    TRY(dataset_place(teaching_count(&run->teaching, item, &tokens), dataset->path, item->row));
    *kept = tokens + answer <= run->lm.hparams.max_positions;
    if (*kept)
        run->longest.teacher = rows_longer(run->longest.teacher, tokens);
    return STATUS_OK;
}

static enum status check_row(void *context, const struct dataset *dataset,
                             const struct dataset_item *item, bool *kept) {
    struct row_check *check = context;
    struct run *run = check->run;
    struct row_lengths *longest = &run->longest;
    int64_t answer = run->settings->rollout.max_new_tokens, both = 0;
    struct dataset_item window = *item;
    check->source += check->dataset != dataset;
    check->dataset = dataset;
    if (run->corpus != NULL) {
        TRY(corpus_window(run->corpus, check->source, 0, &window, kept));
        item = &window;
        if (!*kept)
            return STATUS_OK;
    }
    TRY(prompt_is_short(&check->limit, dataset, item, kept));
    if (*kept && run->method->count_tokens != NULL) {
        TRY(dataset_place(run->method->count_tokens(&run->lm.form, item, &answer, &both),
                          dataset->path, item->row));
        *kept = both <= run->lm.hparams.max_positions;
    }
    if (*kept && run->method->distils)
        TRY(check_teacher(run, dataset, item, kept));
    if (!*kept)
        return STATUS_OK;
    longest->prompt = check->limit.longest;
    longest->answer = rows_longer(longest->answer, answer);
    longest->both = rows_longer(longest->both, both > 0 ? both : longest->prompt + answer);
    return STATUS_OK;
}

/* `tokens` in `where`: of the prompt, with the answer where the data give it. */
static enum status count_tokens(void *context, const struct dataset_item *item, int64_t *tokens) {
    const struct run *run = context;
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    int64_t answer;
    if (run->method->count_tokens != NULL)
        return run->method->count_tokens(&run->lm.form, item, &answer, tokens);
    const enum status status = prompt_encode_item(&run->lm.form, item, &text, &ids);
    *tokens = ids.count;
    strbuf_release(&text);
    memory_release(&ids.ids);
    return status;
}

/* Rows come again in the next epoch of their source. */
static void tell_epochs(const struct run *run) {
    const struct settings *settings = run->settings;
    const double needed = (double)settings->run.steps * (double)settings->rollout.prompts_per_step;
    for (int32_t i = 0; i < stream_source_count(run->stream); i++) {
        const double share = needed * stream_share(run->stream, i);
        const int64_t kept = stream_kept(run->stream, i);
        if (share > (double)kept)
            log_info(
                "data", "%s: the run takes %.0f prompts and there are %lld: each comes %.1f times",
                stream_dataset(run->stream, i)->path, share, (long long)kept, share / (double)kept);
    }
}

/* What a row that is left out was too long for. */
static void tell_limit(const struct run *run, int64_t limit, char *out, size_t room) {
    const struct settings *settings = run->settings;
    const long long positions = (long long)run->lm.hparams.max_positions;
    if (run->corpus != NULL)
        snprintf(out, room,
                 "than a prompt of %lld tokens with its window, or the text is too short: below "
                 "%lld tokens (adversarial.window_tokens, more than 2 x completion_tokens)",
                 (long long)limit, (long long)corpus_least_tokens(&run->corpus->settings));
    else if (run->method->likelihood)
        snprintf(out, room,
                 "than prompt.max_tokens = %lld (raise it) or, with the answer, than the %lld "
                 "positions of the model (leave such rows out)",
                 (long long)settings->prompt.max_tokens, positions);
    else if (run->method->distils)
        snprintf(
            out, room,
            "than prompt.max_tokens = %lld (raise it) or, as the teacher reads them with their "
            "solution, than rollout.max_new_tokens = %lld and what the teacher writes first "
            "leave of the model's %lld positions (lower these)",
            (long long)limit, (long long)settings->rollout.max_new_tokens, positions);
    else if (limit == settings->prompt.max_tokens)
        snprintf(out, room, "than prompt.max_tokens = %lld: raise it", (long long)limit);
    else
        snprintf(out, room,
                 "than the %lld tokens that rollout.max_new_tokens = %lld leaves of the model's "
                 "%lld positions: lower it",
                 (long long)limit, (long long)settings->rollout.max_new_tokens, positions);
}

/* What the rows and the settings of the prompt say against each other. */
static void tell_rows(const struct run *run, const struct prompt_limit *rows) {
    const struct settings *settings = run->settings;
    bool messages = false;
    if (run->comm->rank != 0)
        return;
    for (int64_t i = 0; i < settings->data.train_count; i++)
        messages = messages || settings->data.train[i].messages[0] != '\0';
    if (rows->begun_twice > 0)
        log_warning("data",
                    "%lld prompts begin with a begin token twice: their text holds one, and the "
                    "tokenizer or the chat form puts one before it; take it out of prompt.template "
                    "or of the data",
                    (long long)rows->begun_twice);
    if (rows->own_system > 0)
        log_info("data",
                 "%lld conversations begin with a system turn of their own, which stands in place "
                 "of prompt.system",
                 (long long)rows->own_system);
    if (messages && !settings_origin_is_default(settings, "prompt.template"))
        log_info("data", "prompt.template is for rows with a prompt: messages stay as they are");
}

static enum status check_forms(const struct run *run) {
    for (int64_t i = 0; i < run->settings->data.train_count; i++)
        if (run->settings->data.train[i].messages[0] != '\0')
            return prompt_form_check_messages(&run->lm.form);
    return STATUS_OK;
}

/* The texts of data.corpus, windows of which are taken. */
static enum status open_corpus(struct run *run, int64_t limit) {
    const struct settings *settings = run->settings;
    if (settings->data.corpus_count == 0)
        return STATUS_OK;
    TRY(memory_new(&run->corpus, 1, "a corpus"));
    *run->corpus = corpus_of(
        &(struct corpus_settings){.window_tokens = settings->adversarial.window_tokens,
                                  .completion_tokens = settings->adversarial.completion_tokens,
                                  .seed = (uint64_t)settings->run.seed,
                                  .form = &run->lm.form,
                                  .most_prompt = limit});
    return STATUS_OK;
}

static struct stream_source train_source_of(struct run *run, const struct train_source *from) {
    return (struct stream_source){
        .data = {.path = from->path,
                 .prompt = from->prompt,
                 .messages = from->messages,
                 .answer = from->answer,
                 .where = from->where,
                 .answer_after = from->answer_after,
                 .solution = run->method->distils ? from->solution : NULL,
                 .skip_bad = run->settings->data.bad_rows == SETTING_BAD_ROWS_SKIP,
                 .count_tokens = count_tokens,
                 .context = run},
        .weight = from->weight};
}

static struct stream_source corpus_source_of(const struct run *run,
                                             const struct corpus_source *from) {
    return (struct stream_source){
        .data = {.path = from->path,
                 .plain = from->text[0] == '\0',
                 .prompt = from->text,
                 .skip_bad = run->settings->data.bad_rows == SETTING_BAD_ROWS_SKIP},
        .weight = from->weight};
}

enum status rows_open(struct run *run, int64_t limit) {
    const struct settings *settings = run->settings;
    const int64_t count = settings->data.train_count + settings->data.corpus_count;
    struct stream_source *sources;
    char too_long[256];
    TRY(check_forms(run));
    TRY(open_corpus(run, limit));
    tell_limit(run, limit, too_long, sizeof too_long);
    struct row_check check = {
        .run = run, .limit = {.form = &run->lm.form, .max_tokens = limit}, .source = -1};
    TRY(memory_new(&sources, count, "sources"));
    for (int64_t i = 0; i < settings->data.train_count; i++)
        sources[i] = train_source_of(run, &settings->data.train[i]);
    for (int64_t i = 0; i < settings->data.corpus_count; i++)
        sources[i] = corpus_source_of(run, &settings->data.corpus[i]);
    const enum status status =
        stream_create(&run->stream, sources, (int32_t)count,
                      &(struct stream_options){.seed = (uint64_t)settings->run.seed,
                                               .shuffle = settings->data.shuffle,
                                               .keep = check_row,
                                               .context = &check,
                                               .too_long = too_long});
    tell_rows(run, &check.limit);
    memory_release(&sources);
    TRY(status);
    tell_epochs(run);
    return memory_new(&run->position, stream_position_size(run->stream), "data position");
}

/* Rows that cannot be counted are as long as the settings and the model let them get. */
void rows_assume(struct run *run, int64_t prompt_limit) {
    const int64_t answer = run->settings->rollout.max_new_tokens,
                  most = run->lm.hparams.max_positions, both = prompt_limit + answer;
    run->longest = (struct row_lengths){
        .prompt = prompt_limit, .answer = answer, .both = both < most ? both : most};
    if (run->method->distils)
        run->longest.teacher = most - answer;
}

/* What the discriminator reads: no longer than a prompt, which leaves room for a completion; and where
 * it reasons, a question around it. */
enum status rows_measure_judged(struct run *run) {
    const int64_t tokens = run->settings->adversarial.reason_tokens;
    if (!run->method->discriminates)
        return STATUS_OK;
    run->longest.judged = judged_prompt_tokens(run->settings, run->longest.prompt);
    if (tokens > 0) {
        run->longest.judged += reasoning_before(&run->reasoning);
        run->longest.reasoned = rows_longer(tokens, reasoning_behind(&run->reasoning));
    }
    if (tokens > 0 && rows_judged_most(run) > run->lm.hparams.max_positions)
        return FAIL(STATUS_INPUT,
                    "a discriminator that reasons reads sequences of up to %lld tokens: prefix and "
                    "completion, adversarial.judge_template and adversarial.reason_tokens = %lld; "
                    "the model takes %lld (max_position_embeddings): lower "
                    "adversarial.reason_tokens, or adversarial.window_tokens",
                    (long long)rows_judged_most(run), (long long)tokens,
                    (long long)run->lm.hparams.max_positions);
    run->max_positions = rows_longer(run->max_positions, rows_judged_most(run));
    return STATUS_OK;
}
