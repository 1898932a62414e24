/* SPDX-License-Identifier: Apache-2.0 */
#include "method/reasoning.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "method/groups.h"
#include "method/judged.h"
#include "method/method.h"
#include "rollout/generate.h"

/* --- the question --- */

static enum status encode(struct tokenizer *tokenizer, const char *text, const char *end,
                          bool special, struct token_list *out) {
    return tokenizer_encode(tokenizer, text, (size_t)(end - text), special, out);
}

static enum status encode_template(struct reasoning *reasoning, const char *text,
                                   struct tokenizer *tokenizer) {
    const char *const prefix = strstr(text, SETTINGS_PREFIX);
    const char *const completion = strstr(text, SETTINGS_COMPLETION);
    const char *const between = prefix + strlen(SETTINGS_PREFIX);
    const char *const behind = completion + strlen(SETTINGS_COMPLETION);
    TRY(encode(tokenizer, text, prefix, true, &reasoning->before));
    TRY(encode(tokenizer, between, completion, false, &reasoning->between));
    return encode(tokenizer, behind, behind + strlen(behind), false, &reasoning->behind);
}

enum status reasoning_open(struct reasoning *reasoning, const struct settings *settings,
                           struct tokenizer *tokenizer, const int32_t *stop_ids,
                           int64_t stop_id_count) {
    struct budget_settings budget = budget_settings_of(settings);
    *reasoning = (struct reasoning){.tokens = settings->adversarial.reason_tokens};
    budget.think_tokens = budget.max_new_tokens = reasoning->tokens;
    TRY(budgets_init(&reasoning->closing, &budget, tokenizer, stop_ids, stop_id_count));
    TRY(token_list_append(&reasoning->stops, stop_ids, stop_id_count));
    if (reasoning->closing.tag_id >= 0)
        TRY(token_list_append(&reasoning->stops, &reasoning->closing.tag_id, 1));
    return encode_template(reasoning, settings->adversarial.judge_template, tokenizer);
}

void reasoning_release(struct reasoning *reasoning) {
    budgets_release(&reasoning->closing);
    memory_release(&reasoning->before.ids);
    memory_release(&reasoning->between.ids);
    memory_release(&reasoning->behind.ids);
    memory_release(&reasoning->stops.ids);
}

int64_t reasoning_before(const struct reasoning *reasoning) {
    return reasoning->before.count + reasoning->between.count;
}

int64_t reasoning_behind(const struct reasoning *reasoning) {
    return reasoning->behind.count + reasoning->tokens + reasoning->closing.close.count;
}

static enum status append_list(struct token_list *list, const struct token_list *more) {
    return token_list_append(list, more->ids, more->count);
}

/* The prompt of a group becomes that of the question. */
static enum status ask_group(const struct reasoning *reasoning, struct rollout_group *group) {
    struct token_list ids = {.ids = NULL};
    enum status status = append_list(&ids, &reasoning->before);
    if (status == STATUS_OK)
        status = token_list_append(&ids, group->prompt, group->prompt_length);
    if (status == STATUS_OK)
        status = append_list(&ids, &reasoning->between);
    memory_release(&group->prompt);
    group->prompt = ids.ids;
    group->prompt_length = ids.count;
    return status;
}

/* What the model reads of a sequence before it reasons. */
static enum status ask(const struct reasoning *reasoning, const struct rollout *texts, int64_t k,
                       struct token_list *out) {
    const struct rollout_group *group = &texts->groups[k / texts->group_size];
    TRY(token_list_append(out, group->prompt, group->prompt_length));
    TRY(token_list_append(out, texts->answers[k].tokens, texts->answers[k].n));
    return append_list(out, &reasoning->behind);
}

/* --- the reasoning --- */

/* Of this rank's sequences: their questions, and what is drawn. */
struct drawing {
    struct token_list *questions;
    struct generate_request *requests;
    struct rollout_answer *drawn;
    int64_t *sequences; /* which these are of all */
    int64_t count;
};

static void release(struct drawing *drawing) {
    for (int64_t i = 0; i < drawing->count; i++) {
        memory_release(&drawing->questions[i].ids);
        rollout_answer_release(&drawing->drawn[i]);
    }
    memory_release(&drawing->questions);
    memory_release(&drawing->requests);
    memory_release(&drawing->drawn);
    memory_release(&drawing->sequences);
}

static enum status open_drawing(const struct method_context *context, const struct rollout *texts,
                                struct drawing *drawing) {
    const int64_t rows = texts->group_count * texts->group_size;
    *drawing = (struct drawing){.count = 0};
    TRY(memory_new(&drawing->questions, rows, "questions"));
    TRY(memory_new(&drawing->requests, rows, "questions"));
    TRY(memory_new(&drawing->drawn, rows, "reasons"));
    TRY(memory_new(&drawing->sequences, rows, "reasons"));
    for (int64_t k = 0; k < rows; k++) {
        const int64_t i = drawing->count;
        if (!groups_own(context->tiles, context->comm, k / texts->group_size))
            continue;
        drawing->sequences[drawing->count++] = k;
        TRY(ask(context->reasoning, texts, k, &drawing->questions[i]));
        drawing->requests[i] =
            (struct generate_request){.prompt = drawing->questions[i].ids,
                                      .prompt_length = drawing->questions[i].count,
                                      .prompt_index = (uint32_t)k,
                                      .answers = &drawing->drawn[i],
                                      .answer_count = 1};
    }
    return STATUS_OK;
}

/* A closing tag or a stop id ends a reasoning, and nothing else does. */
static enum status draw(const struct method_context *context, int64_t step, struct drawing *drawing,
                        struct collect_report *report) {
    const struct reasoning *reasoning = context->reasoning;
    const char *const tag = reasoning->closing.tag;
    struct generate_settings how =
        generate_settings_of(context->settings, reasoning->stops.ids, reasoning->stops.count, step);
    struct generate_report drawn;
    how.pulse = context->pulse;
    how.seed = random_bits(how.seed, RANDOM_REASON, 0, 0, 0, 0);
    how.budgets =
        (struct budget_settings){.group = "adversarial", .max_new_tokens = reasoning->tokens};
    how.stop_texts = &tag;
    how.stop_text_count = 1;
    const enum status status =
        generate_answers(context->model, context->tokenizer, &how, drawing->requests,
                         drawing->count, (struct rollout_columns){.sampler = true}, &drawn);
    report->positions += drawn.positions;
    return status;
}

static bool closed_itself(const struct reasoning *reasoning, const struct rollout_answer *drawn) {
    return drawn->finish == FINISH_STOP_TEXT ||
           (drawn->finish == FINISH_STOP &&
            drawn->tokens[drawn->n - 1] == reasoning->closing.tag_id);
}

/* The completion becomes the sequence in which it stands; takes what was drawn. */
static enum status take_reason(const struct reasoning *reasoning, struct rollout_answer *text,
                               struct rollout_answer *drawn) {
    struct token_list sequence = {.ids = NULL};
    const bool forced = !closed_itself(reasoning, drawn);
    const int32_t begin = (int32_t)(text->n + reasoning->behind.count),
                  end = begin + (int32_t)drawn->n;
    enum status status = token_list_append(&sequence, text->tokens, text->n);
    if (status == STATUS_OK)
        status = append_list(&sequence, &reasoning->behind);
    if (status == STATUS_OK)
        status = token_list_append(&sequence, drawn->tokens, drawn->n);
    if (status == STATUS_OK && forced)
        status = append_list(&sequence, &reasoning->closing.close);
    if (status == STATUS_OK) {
        rollout_answer_release(text);
        *text = *drawn;
        *drawn = (struct rollout_answer){.n = 0};
        text->forced = forced;
        status = rollout_answer_set_turns(text, sequence.ids, sequence.count, &begin, &end, 1);
    }
    memory_release(&sequence.ids);
    return status;
}

static enum status draw_own(const struct method_context *context, int64_t step,
                            struct rollout *texts, struct collect_report *report) {
    struct drawing drawing;
    for (int64_t g = 0; g < texts->group_count; g++)
        TRY(ask_group(context->reasoning, &texts->groups[g]));
    enum status status = open_drawing(context, texts, &drawing);
    if (status == STATUS_OK)
        status = draw(context, step, &drawing, report);
    for (int64_t i = 0; status == STATUS_OK && i < drawing.count; i++)
        status = take_reason(context->reasoning, &texts->answers[drawing.sequences[i]],
                             &drawing.drawn[i]);
    release(&drawing);
    return status;
}

enum status reasoning_draw(const struct method_context *context, int64_t step,
                           struct judged *judged, struct collect_report *report) {
    struct rollout *texts = &judged->texts;
    TRY(comm_agree(context->comm, draw_own(context, step, texts, report)));
    for (int64_t k = 0; k < texts->group_count * texts->group_size; k++)
        if (!groups_own(context->tiles, context->comm, k / texts->group_size))
            rollout_answer_release(&texts->answers[k]);
    return method_share_summaries(context, texts);
}
