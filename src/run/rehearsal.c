/* SPDX-License-Identifier: Apache-2.0 */
#include "run/rehearsal.h"

#include "base/memory.h"
#include "eval/draw.h"
#include "rollout/generate.h"
#include "run/rule.h"
#include "run/run.h"
#include "run/saving.h"

/* --- the batch: rows as long as they may get --- */

static int64_t answer_tokens(const struct run *run) {
    return run->longest.answer;
}

static int64_t prompt_tokens(const struct run *run) {
    return run->longest.both - run->longest.answer;
}

static bool is_own(const struct run *run, int64_t group) {
    return tiles_of_group(&run->tiles, group)->owner == run->comm->rank;
}

static struct rollout_columns columns_of(const struct run *run) {
    const bool drawn = !run->method->likelihood;
    return (struct rollout_columns){.sampler = drawn,
                                    .reference = run->reference != NULL,
                                    .gate = method_rewards(run->method),
                                    .teacher = run->method->distils};
}

/* What an answer of a group holds besides where its thinking is closed by force. */
static enum status reserve_turns(const struct run *run, struct rollout_answer *answers) {
    if (run->method->likelihood || run->settings->rollout.think_tokens == 0)
        return STATUS_OK;
    for (int64_t i = 0; i < run->step.rollout.group_size; i++)
        TRY(memory_new(&answers[i].sequence, answer_tokens(run), "turns of an answer"));
    return STATUS_OK;
}

static enum status draw_answers(struct run *run) {
    struct rollout *rollout = &run->step.rollout;
    struct generate_settings how = generate_settings_of(run->settings, NULL, 0, 1);
    struct generate_request *requests;
    struct generate_report report;
    how.stop_text_count = 0;
    how.budgets.think_tokens = 0; /* the longest answers, all of their tokens drawn */
    TRY(memory_new(&requests, rollout->group_count, "prompts to answer"));
    int64_t count = 0;
    for (int64_t g = 0; g < rollout->group_count; g++)
        if (is_own(run, g))
            requests[count++] =
                (struct generate_request){.prompt = rollout->groups[g].prompt,
                                          .prompt_length = rollout->groups[g].prompt_length,
                                          .answers = rollout_group_answers(rollout, g),
                                          .answer_count = rollout->group_size};
    enum status status = generate_answers(run->lm.model, run->lm.tokenizer, &how, requests, count,
                                          columns_of(run), &report);
    for (int64_t g = 0; g < rollout->group_count && status == STATUS_OK; g++)
        if (is_own(run, g))
            status = reserve_turns(run, rollout_group_answers(rollout, g));
    memory_release(&requests);
    return status;
}

/* The answers of a group, given or gathered from its owner. */
static enum status take_answers(struct run *run, int64_t group) {
    struct rollout *rollout = &run->step.rollout;
    for (int64_t i = 0; i < rollout->group_size; i++)
        TRY(rollout_answer_reserve(&rollout_group_answers(rollout, group)[i], answer_tokens(run),
                                   columns_of(run)));
    return reserve_turns(run, rollout_group_answers(rollout, group));
}

static enum status book_once(int64_t bytes, const char *label) {
    char *block;
    TRY(memory_pretend(&block, (size_t)bytes, 1, label));
    memory_release(&block);
    return STATUS_OK;
}

/* Requests for the samples that are decoded at once, each of one problem. */
struct sampling {
    int64_t samples, requests_n;
    struct rollout_answer *answers;    /* (samples) */
    struct generate_request *requests; /* (requests_n) */
    int32_t *prompt;                   /* of all */
};

static void sampling_release(struct sampling *s) {
    for (int64_t i = 0; s->answers != NULL && i < s->samples; i++)
        rollout_answer_release(&s->answers[i]);
    memory_release(&s->answers);
    memory_release(&s->requests);
    memory_release(&s->prompt);
}

static enum status sampling_init(struct sampling *s, const struct evaluation *problems,
                                 const struct comm *comm) {
    const int64_t at_once = evaluation_in_flight(problems, comm),
                  share = evaluation_share(problems, comm), each = problems->samples;
    s->samples = at_once < share ? at_once : share;
    s->requests_n = (s->samples + each - 1) / each;
    TRY(memory_new(&s->answers, s->samples, "answers"));
    TRY(memory_new(&s->requests, s->requests_n, "problems to answer"));
    TRY(memory_new(&s->prompt, problems->longest_prompt, "token ids"));
    for (int64_t i = 0; i < s->requests_n; i++) {
        const int64_t left = s->samples - i * each;
        s->requests[i] = (struct generate_request){.prompt = s->prompt,
                                                   .prompt_length = problems->longest_prompt,
                                                   .answers = s->answers + i * each,
                                                   .answer_count = left < each ? left : each};
    }
    return STATUS_OK;
}

/* At the longest problem and length, and on rank 0 the tokens of all. */
enum status rehearsal_draw_samples(const struct language_model *lm, const struct comm *comm,
                                   const struct evaluation *problems) {
    struct generate_settings how = generate_settings_of(&problems->sampling, NULL, 0, 0);
    struct sampling sampling = {.answers = NULL};
    struct generate_report report;
    int64_t drawn;
    how.stop_text_count = 0;
    how.budgets.think_tokens = 0;
    enum status status = sampling_init(&sampling, problems, comm);
    if (status == STATUS_OK)
        status =
            generate_answers(lm->model, lm->tokenizer, &how, sampling.requests, sampling.requests_n,
                             (struct rollout_columns){.sampler = false}, &report);
    sampling_release(&sampling);
    TRY(status);
    return book_once(evaluation_total(problems, &drawn) * how.budgets.max_new_tokens *
                         (int64_t)sizeof(int32_t),
                     "answer tokens");
}

/* What the discriminator reads of a group. */
static enum status take_judged(struct run *run, int64_t group) {
    const struct rollout *texts = &run->step.judged.texts;
    struct rollout_group *prompt = &texts->groups[group];
    prompt->prompt_length = run->longest.judged;
    TRY(memory_new(&prompt->prompt, prompt->prompt_length, "tokens for the discriminator"));
    for (int64_t i = 0; i < texts->group_size; i++) {
        struct rollout_answer *text = &rollout_group_answers(texts, group)[i];
        text->n =
            judged_is_real(i) ? run->settings->adversarial.completion_tokens : answer_tokens(run);
        run->step.judged.completions[text - texts->answers] = text->n;
        if (judged_is_real(i) || is_own(run, group))
            TRY(memory_new(&text->tokens, text->n, "tokens for the discriminator"));
    }
    return STATUS_OK;
}

/* Tokens that are read of a completion with the question behind it, and what closes the reasoning. */
static int64_t reason_between(const struct run *run, int64_t completion) {
    return completion + run->longest.reasoned - run->settings->adversarial.reason_tokens;
}

/* A reasoning as long as it gets, drawn or gathered: the sequence in which it stands. */
static enum status take_reason(const struct run *run, int64_t k) {
    const struct judged *judged = &run->step.judged;
    struct rollout_answer *reason = &judged->reasons.answers[k];
    const int64_t n = run->settings->adversarial.reason_tokens;
    if (reason->logprob == NULL)
        TRY(rollout_answer_reserve(reason, n, (struct rollout_columns){.sampler = true}));
    TRY(memory_new(&reason->sequence, reason_between(run, judged->completions[k]) + n,
                   "turns of an answer"));
    TRY(memory_new(&reason->turn_begins, 1, "turns of an answer"));
    return memory_new(&reason->turn_ends, 1, "turns of an answer");
}

/* Where each reasoning stands, known to all ranks; its tokens to its owner. */
static enum status place_reasons(struct run *run) {
    const struct judged *judged = &run->step.judged;
    const struct rollout *reasons = &judged->reasons;
    const int64_t n = run->settings->adversarial.reason_tokens;
    for (int64_t k = 0; k < reasons->group_count * reasons->group_size; k++) {
        struct rollout_answer *reason = &reasons->answers[k];
        const bool own = is_own(run, k / reasons->group_size);
        if (own)
            TRY(take_reason(run, k));
        reason->n = n;
        reason->between = reason_between(run, judged->completions[k]);
        if (!own)
            continue;
        reason->turn_count = 1;
        reason->turn_begins[0] = (int32_t)reason->between;
        reason->turn_ends[0] = (int32_t)(reason->between + n);
    }
    return STATUS_OK;
}

/* Tokens that stand before a reasoning. */
static int64_t question_tokens(const struct run *run, int64_t k) {
    return run->longest.judged + run->step.judged.completions[k] + run->reasoning.behind.count;
}

/* Each question stands in memory while all are answered. */
static enum status draw_reasons(struct run *run) {
    const struct rollout *reasons = &run->step.judged.reasons;
    const int64_t rows = reasons->group_count * reasons->group_size, real = question_tokens(run, 0),
                  written = question_tokens(run, 1),
                  room = rows / run->comm->size * (real > written ? real : written);
    struct generate_settings how = generate_settings_of(run->settings, NULL, 0, 1);
    struct generate_request *requests = NULL;
    struct generate_report report;
    int32_t *questions = NULL;
    int64_t count = 0;
    enum status status;
    how.stop_text_count = 0;
    how.budgets = (struct budget_settings){
        .group = "adversarial", .max_new_tokens = run->settings->adversarial.reason_tokens};
    TRY_ELSE(status, done, memory_new(&questions, room, "questions"));
    TRY_ELSE(status, done, memory_new(&requests, rows, "questions"));
    for (int64_t k = 0; k < rows; k++) {
        rollout_answer_release(&reasons->answers[k]);
        if (is_own(run, k / reasons->group_size))
            requests[count++] = (struct generate_request){.prompt = questions,
                                                          .prompt_length = question_tokens(run, k),
                                                          .answers = &reasons->answers[k],
                                                          .answer_count = 1};
    }
    status = generate_answers(run->lm.model, run->lm.tokenizer, &how, requests, count,
                              (struct rollout_columns){.sampler = true}, &report);
done:
    memory_release(&questions);
    memory_release(&requests);
    return status == STATUS_OK ? place_reasons(run) : status;
}

enum status rehearsal_rollout(struct run *run) {
    struct rollout *rollout = &run->step.rollout;
    const int64_t group_size = run->method->group_size(run->settings);
    TRY(run_clear_batch(run));
    for (int64_t g = 0; g < rollout->group_count; g++) {
        struct rollout_group *group = &rollout->groups[g];
        group->prompt_length = prompt_tokens(run);
        TRY(memory_new(&group->prompt, group->prompt_length, "token ids"));
        if (run->method->distils) {
            group->teacher_length = run->longest.teacher;
            TRY(memory_new(&group->teacher, group->teacher_length, "token ids"));
        }
        if (run->method->discriminates)
            TRY(take_judged(run, g));
        if (is_own(run, g) && run->method->likelihood)
            TRY(take_answers(run, g));
    }
    if (!run->method->likelihood)
        TRY(draw_answers(run));
    if (run->step.judged.reasons.group_count > 0)
        TRY(draw_reasons(run));
    for (int64_t k = 0; k < rollout->group_count * group_size; k++)
        rollout->answers[k].n = answer_tokens(run);
    return run->evaluation.on
               ? rehearsal_draw_samples(&run->lm, run->comm, &run->evaluation.problems)
               : STATUS_OK;
}

/* --- training --- */

/* Shortens one answer of the tile so that its first microbatch has exactly tokens_per_pass tokens,
 * which answers of some lengths will reach where those of full length leave a gap. */
static void fill_microbatch(struct run *run, const struct tile *tile) {
    const struct rollout *rollout = &run->step.rollout;
    const int64_t times = run->method->distils ? 2 : 1; /* that an answer is computed */
    int64_t room = run->settings->parallel.tokens_per_pass;
    for (int64_t g = tile->begin; g < tile->end; g++) {
        room -= rollout->groups[g].prompt_length + rollout->groups[g].teacher_length;
        for (int64_t i = 0; i < rollout->group_size; i++) {
            struct rollout_answer *answer = &rollout_group_answers(rollout, g)[i];
            const bool first = g == tile->begin && i == 0;
            if (!first && room < times * answer->n) {
                answer->n = room >= times ? room / times : answer->n;
                return;
            }
            room -= times * answer->n;
        }
    }
}

static void ignore(struct rollout_answer *answer, const float *logprob, const float *entropy) {
    (void)answer, (void)logprob, (void)entropy;
}

enum status rehearsal_training(struct run *run) {
    const struct method_context context = {.settings = run->settings,
                                           .comm = run->comm,
                                           .model = run->lm.model,
                                           .reference = run->reference,
                                           .tiles = &run->tiles};
    for (int64_t t = 0; t < run->tiles.count; t++)
        if (run->tiles.tiles[t].owner == run->comm->rank)
            fill_microbatch(run, &run->tiles.tiles[t]);
    if (run->reference != NULL)
        TRY(method_score(&context, run->reference, &run->step.rollout, 1.0f, ignore));
    TRY(run_rehearse_gradient(run));
    return mauve_watch_rehearse(run);
}

/* --- writing --- */

/* The reasonings of a group, gathered from its owner. */
static enum status take_reasons(struct run *run, int64_t group) {
    const int64_t size = run->step.judged.reasons.group_size;
    for (int64_t i = 0; i < size; i++)
        TRY(take_reason(run, group * size + i));
    return STATUS_OK;
}

/* The answers of a batch that other ranks have come in one block, then each into its own. */
static enum status gather_answers(struct run *run, const struct rollout *rollout,
                                  enum status (*take)(struct run *run, int64_t group)) {
    struct strbuf group = STRBUF_EMPTY;
    char *block = NULL;
    int64_t others = 0, own = 0;
    for (int64_t g = 0; g < rollout->group_count; g++)
        if (is_own(run, g))
            own = g;
        else
            others++;
    if (others == 0)
        return STATUS_OK;
    enum status status;
    TRY_ELSE(status, done, rollout_pack_group(rollout, own, &group));
    TRY_ELSE(status, done, memory_pretend(&block, (size_t)others, group.length, "gathered blocks"));
    for (int64_t g = 0; g < rollout->group_count; g++)
        if (!is_own(run, g))
            TRY_ELSE(status, done, take(run, g));
done:
    strbuf_release(&group);
    memory_release(&block);
    return status;
}

enum status rehearsal_saving(struct run *run) {
    const struct rollout *rollout = &run->step.rollout;
    const int64_t f = (int64_t)sizeof(float);
    const struct parameter_set *trained = language_model_trained(&run->lm);
    int64_t largest = 0;
    if (run->settings->output.rollouts_every > 0) {
        TRY(gather_answers(run, rollout, take_answers));
        if (run->step.judged.reasons.group_count > 0)
            TRY(gather_answers(run, &run->step.judged.reasons, take_reasons));
        TRY(book_once(rollout->group_count * rollout->group_size * answer_tokens(run) * f,
                      "numbers per token"));
    }
    TRY(book_once(saving_bytes(run), "checkpoint in the making"));
    for (int64_t i = 0; i < trained->count; i++) {
        const int64_t n = trained->items[i].rows * trained->items[i].columns;
        largest = n > largest ? n : largest;
    }
    return book_once(largest * f, "one tensor");
}

/* --- a run before its first step --- */

/* Until its own sums begin no rank waits for another. */
static enum status rehearse_own(struct run *run) {
    TRY(rehearsal_rollout(run));
    return rehearsal_training(run);
}

enum status run_rehearse(struct run *run) {
    struct backend *backend = &run->lm.backend;
    const bool overlaps = run->gradient->overlaps;
    const int64_t before = run->teacher.moves;
    enum status status = STATUS_OK;
    if (backend->ops->rehearse == NULL)
        return STATUS_OK;
    backend->ops->rehearse(backend, true);
    run->gradient->overlaps = false;
    for (int moves = 0; status == STATUS_OK && moves < 2; moves++) {
        run->teacher.moves = moves;
        status = rehearse_own(run);
    }
    run->teacher.moves = before;
    run->gradient->overlaps = overlaps;
    backend->ops->rehearse(backend, false);
    TRY(status);
    TRY(rule_rehearse(run));
    return run_clear_batch(run);
}
