/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/evaluation.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "method/rewards.h"
#include "rollout/budgets.h"

/* --- opening --- */

/* As the settings say it of rollouts, with what eval says. Nothing of the copy is its own. */
static struct settings sampling_of(const struct settings *settings) {
    struct settings sampling = *settings;
    const struct settings_eval *eval = &settings->eval;
    struct settings_rollout *rollout = &sampling.rollout;
    sampling.run.seed = eval->seed;
    rollout->temperature = eval->temperature;
    rollout->top_p = eval->top_p;
    rollout->top_k = eval->top_k;
    rollout->min_p = eval->min_p;
    rollout->presence_penalty = eval->presence_penalty;
    rollout->max_new_tokens = eval->max_new_tokens;
    rollout->think_tokens = eval->think_tokens;
    rollout->answer_tokens = eval->answer_tokens;
    rollout->think_close = eval->think_close;
    rollout->stop = eval->stop;
    rollout->stop_count = eval->stop_count;
    rollout->answers_in_flight = eval->answers_in_flight;
    return sampling;
}

struct budget_settings evaluation_budgets(const struct evaluation *evaluation) {
    struct budget_settings budgets = budget_settings_of(&evaluation->sampling);
    budgets.group = "eval";
    return budgets;
}

static enum status find_rule(struct evaluation_set *set) {
    char quoted[STATUS_QUOTE_MAX];
    set->rule = reward_find(set->how->rule);
    if (set->rule != NULL && set->rule->extract != NULL)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "eval.sets: the rule '%s' of %s tells no right answers from wrong ones: take math "
                "or answer",
                status_quote(quoted, set->how->rule, SIZE_MAX), set->how->name);
}

static enum status check_length(const struct evaluation *evaluation,
                                const struct evaluation_set *set,
                                const struct evaluation_problem *problem, int64_t positions) {
    const int64_t answer = evaluation->sampling.rollout.max_new_tokens;
    if (problem->prompt.count + answer <= positions)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s:%lld: the problem takes %lld tokens, and with eval.max_new_tokens = %lld more "
                "than the %lld positions of the model: lower that, or leave such rows out by where",
                set->how->path, (long long)problem->row + 1, (long long)problem->prompt.count,
                (long long)answer, (long long)positions);
}

static enum status read_problem(const struct evaluation_set *set, const struct prompt_form *form,
                                int64_t i, struct evaluation_problem *problem) {
    const struct dataset_item item = dataset_item(&set->dataset, i);
    struct strbuf text = STRBUF_EMPTY;
    problem->row = item.row;
    problem->reference = (struct utf8_span){item.reference, item.reference_length};
    const enum status status = prompt_encode_item(form, &item, &text, &problem->prompt);
    strbuf_release(&text);
    return dataset_place(status, set->how->path, item.row);
}

/* `tokens` in `where`; `form` is a struct prompt_form. */
static enum status count_tokens(void *form, const struct dataset_item *item, int64_t *tokens) {
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    const enum status status = prompt_encode_item(form, item, &text, &ids);
    *tokens = ids.count;
    strbuf_release(&text);
    memory_release(&ids.ids);
    return status;
}

static int by_prompt(const void *a, const void *b) {
    const struct token_list *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return x->count > 0 ? memcmp(x->ids, y->ids, (size_t)x->count * sizeof *x->ids) : 0;
}

/* The error of a mean takes each problem for another one. */
static enum status tell_repeats(const struct evaluation_set *set) {
    struct token_list *prompts; /* of the problems, which keep their ids */
    int64_t repeats = 0;
    TRY(memory_new(&prompts, set->count, "prompts of problems"));
    for (int64_t i = 0; i < set->count; i++)
        prompts[i] = set->problems[i].prompt;
    qsort(prompts, (size_t)set->count, sizeof *prompts, by_prompt);
    for (int64_t i = 1; i < set->count; i++)
        repeats += by_prompt(&prompts[i - 1], &prompts[i]) == 0;
    if (repeats > 0)
        log_info("eval",
                 "%s: warning: %lld of %lld problems repeat an earlier one: errors count them as "
                 "problems of their own, and are too small",
                 set->how->path, (long long)repeats, (long long)set->count);
    memory_release(&prompts);
    return STATUS_OK;
}

static enum status open_set(struct evaluation *evaluation, struct evaluation_set *set,
                            const struct prompt_form *form, int64_t positions) {
    const struct eval_set *how = set->how;
    struct prompt_form own = *form;
    const struct dataset_source source = {.path = how->path,
                                          .prompt = how->prompt,
                                          .answer = how->answer,
                                          .where = how->where,
                                          .answer_after = how->answer_after,
                                          .count_tokens = count_tokens,
                                          .context = &own};
    if (how->template[0] != '\0')
        own.template_text = how->template;
    TRY(find_rule(set));
    TRY(dataset_open(&set->dataset, &source));
    set->count =
        how->limit > 0 && how->limit < set->dataset.count ? how->limit : set->dataset.count;
    TRY(memory_new(&set->problems, set->count, "problems"));
    TRY(memory_new(&set->samples, set->count * evaluation->samples, "samples"));
    for (int64_t i = 0; i < set->count; i++) {
        TRY(read_problem(set, &own, i, &set->problems[i]));
        TRY(check_length(evaluation, set, &set->problems[i], positions));
        if (set->problems[i].prompt.count > evaluation->longest_prompt)
            evaluation->longest_prompt = set->problems[i].prompt.count;
    }
    return tell_repeats(set);
}

enum status evaluation_open(struct evaluation *evaluation, const struct settings *settings,
                            const struct prompt_form *form, int64_t positions) {
    *evaluation =
        (struct evaluation){.sampling = sampling_of(settings), .samples = settings->eval.samples};
    TRY(rewards_check_rules(settings));
    TRY(memory_new(&evaluation->sets, settings->eval.sets_count, "sets of problems"));
    evaluation->set_count = settings->eval.sets_count;
    for (int64_t s = 0; s < evaluation->set_count; s++)
        evaluation->sets[s].how = &settings->eval.sets[s];
    for (int64_t s = 0; s < evaluation->set_count; s++)
        TRY(open_set(evaluation, &evaluation->sets[s], form, positions));
    return STATUS_OK;
}

static void sample_release(struct evaluation_sample *sample) {
    memory_release(&sample->tokens);
    strbuf_release(&sample->text);
    strbuf_release(&sample->extracted);
    *sample = (struct evaluation_sample){.drawn = false};
}

void evaluation_clear(struct evaluation *evaluation) {
    for (int64_t s = 0; s < evaluation->set_count; s++)
        for (int64_t i = 0; evaluation->sets[s].samples != NULL &&
                            i < evaluation->sets[s].count * evaluation->samples;
             i++)
            sample_release(&evaluation->sets[s].samples[i]);
}

void evaluation_close(struct evaluation *evaluation) {
    evaluation_clear(evaluation);
    for (int64_t s = 0; s < evaluation->set_count; s++) {
        struct evaluation_set *set = &evaluation->sets[s];
        for (int64_t i = 0; set->problems != NULL && i < set->count; i++)
            memory_release(&set->problems[i].prompt.ids);
        memory_release(&set->problems);
        memory_release(&set->samples);
        dataset_close(&set->dataset);
    }
    memory_release(&evaluation->sets);
    evaluation->set_count = 0;
}

/* --- samples --- */

int64_t evaluation_total(const struct evaluation *evaluation, int64_t *drawn) {
    int64_t total = 0;
    *drawn = 0;
    for (int64_t s = 0; s < evaluation->set_count; s++) {
        const struct evaluation_set *set = &evaluation->sets[s];
        for (int64_t i = 0; !set->skipped && i < set->count * evaluation->samples; i++) {
            total++;
            *drawn += set->samples[i].drawn;
        }
    }
    return total;
}

enum status evaluation_grade(const struct evaluation *evaluation, const struct evaluation_set *set,
                             int64_t problem, struct evaluation_sample *sample) {
    const struct utf8_span reference = set->problems[problem].reference;
    const struct rewards_case answer = {.text = strbuf_text(&sample->text),
                                        .length = sample->text.length,
                                        .reference = reference.text,
                                        .reference_length = reference.length,
                                        .tokens = sample->length};
    struct span extracted;
    sample->right = rewards_verdict(&evaluation->sampling, set->rule, &answer, &extracted);
    strbuf_clear(&sample->extracted);
    return strbuf_append(&sample->extracted, extracted.text, extracted.length);
}

static struct evaluation_set *find_set(const struct evaluation *evaluation, const char *name) {
    for (int64_t s = 0; s < evaluation->set_count; s++)
        if (strcmp(evaluation->sets[s].how->name, name) == 0)
            return &evaluation->sets[s];
    return NULL;
}

/* Rows ascend. */
static int64_t find_problem(const struct evaluation_set *set, int64_t row) {
    int64_t begin = 0, end = set->count;
    while (begin < end) {
        const int64_t middle = begin + (end - begin) / 2;
        if (set->problems[middle].row < row)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin < set->count && set->problems[begin].row == row ? begin : -1;
}

enum status evaluation_take(struct evaluation *evaluation, struct tokenizer *tokenizer,
                            const struct evaluation_entry *entry) {
    struct evaluation_set *set = find_set(evaluation, entry->set);
    const int64_t problem = set != NULL ? find_problem(set, entry->row) : -1;
    char quoted[STATUS_QUOTE_MAX];
    if (problem < 0 || entry->sample < 0 || entry->sample >= evaluation->samples)
        return FAIL(STATUS_INPUT, "row %lld of %s has no sample %lld in this evaluation",
                    (long long)entry->row, status_quote(quoted, entry->set, SIZE_MAX),
                    (long long)entry->sample);
    struct evaluation_sample *sample = &evaluation_samples(evaluation, set, problem)[entry->sample];
    if (sample->drawn)
        return STATUS_OK;
    TRY(memory_new(&sample->tokens, entry->n, "answer tokens"));
    if (entry->n > 0)
        memcpy(sample->tokens, entry->tokens, (size_t)entry->n * sizeof *entry->tokens);
    sample->n = entry->n;
    sample->length = entry->length;
    sample->finish = entry->finish;
    TRY(tokenizer_decode(tokenizer, sample->tokens, sample->n, false, &sample->text));
    TRY(evaluation_grade(evaluation, set, problem, sample));
    sample->drawn = true;
    return STATUS_OK;
}

/* --- figures --- */

/* A number of each problem, from its samples. */
typedef enum status problem_number(const struct evaluation_sample *samples, int64_t n, int64_t k,
                                   double *out);

static enum status pass_at(const struct evaluation_sample *samples, int64_t n, int64_t k,
                           double *out) {
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++)
        right += samples[i].right;
    *out = k == 1 ? (double)right / (double)n : estimate_pass_at(n, right, k);
    return STATUS_OK;
}

static enum status majority(const struct evaluation_sample *samples, int64_t n, int64_t k,
                            double *out) {
    struct span *answers;
    int64_t chosen;
    (void)n;
    TRY(memory_new(&answers, k, "votes"));
    for (int64_t i = 0; i < k; i++)
        answers[i] = (struct span){strbuf_text(&samples[i].extracted), samples[i].extracted.length};
    const enum status status = estimate_majority(answers, k, &chosen);
    memory_release(&answers);
    TRY(status);
    *out = samples[chosen].right;
    return STATUS_OK;
}

static enum status over_problems(const struct evaluation *evaluation,
                                 const struct evaluation_set *set, problem_number *number,
                                 int64_t k, struct estimate *out) {
    double *values;
    enum status status = STATUS_OK;
    TRY(memory_new(&values, set->count, "figures of problems"));
    for (int64_t p = 0; p < set->count && status == STATUS_OK; p++)
        status = number(evaluation_samples(evaluation, set, p), evaluation->samples, k, &values[p]);
    if (status == STATUS_OK)
        *out = estimate_of(values, set->count);
    memory_release(&values);
    return status;
}

enum status evaluation_pass_at(const struct evaluation *evaluation,
                               const struct evaluation_set *set, int64_t k, struct estimate *out) {
    return over_problems(evaluation, set, pass_at, k, out);
}

enum status evaluation_majority(const struct evaluation *evaluation,
                                const struct evaluation_set *set, int64_t k, struct estimate *out) {
    return over_problems(evaluation, set, majority, k, out);
}

struct evaluation_lengths evaluation_lengths(const struct evaluation *evaluation,
                                             const struct evaluation_set *set) {
    const int64_t total = set->count * evaluation->samples;
    int64_t tokens = 0, cut = 0;
    for (int64_t i = 0; i < total; i++) {
        tokens += set->samples[i].length;
        cut += set->samples[i].finish == FINISH_LENGTH;
    }
    return (struct evaluation_lengths){.mean = (double)tokens / (double)total,
                                       .clipped_ratio = (double)cut / (double)total};
}

/* --- the table --- */

/* "  41.2 ±  1.8": percent. */
static enum status append_estimate(struct strbuf *out, const struct estimate *estimate) {
    return strbuf_append_format(out, "  %6.2f ± %5.2f", 100.0 * estimate->mean,
                                100.0 * estimate->error);
}

static enum status append_head(const struct evaluation *evaluation, struct strbuf *out) {
    const struct settings_eval *eval = &evaluation->sampling.eval;
    TRY(strbuf_append_format(out, "%-16s %8s %8s  %14s", "set", "problems", "samples",
                             "pass@1 [%]"));
    for (int64_t i = 0; i < eval->pass_at_count; i++) {
        const long long k = (long long)eval->pass_at[i];
        if (k > 1)
            TRY(strbuf_append_format(out, "  %*spass@%lld", k < 10 ? 8 : k < 100 ? 7 : 6, "", k));
        if (k > 1)
            TRY(strbuf_append_format(out, "  %*smaj@%lld", k < 10 ? 9 : k < 100 ? 8 : 7, "", k));
    }
    return strbuf_append_format(out, "  %10s  %7s\n", "tokens", "cut [%]");
}

static enum status append_set(const struct evaluation *evaluation, const struct evaluation_set *set,
                              struct strbuf *out) {
    const struct settings_eval *eval = &evaluation->sampling.eval;
    const struct evaluation_lengths lengths = evaluation_lengths(evaluation, set);
    struct estimate estimate;
    TRY(evaluation_pass_at(evaluation, set, 1, &estimate));
    TRY(strbuf_append_format(out, "%-16s %8lld %8lld", set->how->name, (long long)set->count,
                             (long long)evaluation->samples));
    TRY(append_estimate(out, &estimate));
    for (int64_t i = 0; i < eval->pass_at_count; i++) {
        if (eval->pass_at[i] == 1)
            continue;
        TRY(evaluation_pass_at(evaluation, set, eval->pass_at[i], &estimate));
        TRY(append_estimate(out, &estimate));
        TRY(evaluation_majority(evaluation, set, eval->pass_at[i], &estimate));
        TRY(append_estimate(out, &estimate));
    }
    return strbuf_append_format(out, "  %10.1f  %7.2f\n", lengths.mean,
                                100.0 * lengths.clipped_ratio);
}

enum status evaluation_table(const struct evaluation *evaluation, struct strbuf *out) {
    TRY(append_head(evaluation, out));
    for (int64_t s = 0; s < evaluation->set_count; s++)
        TRY(append_set(evaluation, &evaluation->sets[s], out));
    return STATUS_OK;
}
