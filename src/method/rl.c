/* SPDX-License-Identifier: Apache-2.0 */
#include "method/rl.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/statistics.h"
#include "method/draw.h"
#include "method/groups.h"
#include "method/rewards.h"
#include "objective/advantage.h"

static int64_t group_size(const struct settings *settings) {
    return settings->rollout.group_size;
}

static enum status check(const struct settings *settings) {
    TRY(draw_check(settings, "nothing can be learned from a group"));
    return rewards_check(settings);
}

static struct rewards_item item_of(const struct rollout *rollout, int64_t step, int64_t g,
                                   int64_t i) {
    const struct rollout_group *group = &rollout->groups[g];
    return (struct rewards_item){.answer = &rollout_group_answers(rollout, g)[i],
                                 .prompt = &group->text,
                                 .reference = &group->reference,
                                 .step = step,
                                 .group = g,
                                 .index = i,
                                 .source = group->source,
                                 .row = group->row};
}

/* Rewards of this rank's answers to the marked groups. */
static enum status reward_answers(const struct method_context *context, int64_t step,
                                  const bool *marked, struct rollout *rollout) {
    struct rewards_item *items;
    int64_t count = 0;
    TRY(memory_new(&items, rollout->group_count * rollout->group_size, "answers to reward"));
    for (int64_t g = 0; g < rollout->group_count; g++)
        for (int64_t i = 0; marked[g] && i < rollout->group_size; i++)
            if (groups_own(context->tiles, context->comm, g))
                items[count++] = item_of(rollout, step, g, i);
    const enum status status = rewards_grade(context->rewards, items, count, context->pulse);
    memory_release(&items);
    return status;
}

/* Groups to answer, and room for the rewards of one. */
struct marks {
    bool *marked;    /* (group_count) */
    double *rewards; /* (group_size) */
};

/* One round of drawing, rewarding and sharing for the marked groups. */
static enum status answer_round(const struct method_context *context, int64_t step, int round,
                                const bool *marked, struct rollout *rollout,
                                struct collect_report *report) {
    const double start_s = clock_now_s();
    const struct draw_call call = {
        .step = step,
        .round = round,
        .marked = marked,
        .columns = {.sampler = true, .reference = context->reference != NULL, .gate = true}};
    TRY(comm_agree(context->comm, draw_answers(context, &call, rollout, report)));
    const double drawn_s = clock_now_s();
    TRY(comm_agree(context->comm, reward_answers(context, step, marked, rollout)));
    TRY(method_share_summaries(context, rollout));
    report->rollout_s += drawn_s - start_s;
    report->reward_s += clock_now_s() - drawn_s;
    return STATUS_OK;
}

/* The next prompts of the stream for the marked groups, which are emptied. */
static enum status take_prompts(const struct method_context *context, const bool *marked,
                                struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++)
        if (marked[g]) {
            struct dataset_item item;
            rollout_clear_group(rollout, g);
            TRY(method_take_prompt(context, rollout, g, &item));
        }
    return STATUS_OK;
}

/* Marks the groups of equal rewards; returns how many there are. */
static int64_t mark_flat_groups(const struct rollout *rollout, const struct marks *marks) {
    int64_t count = 0;
    for (int64_t g = 0; g < rollout->group_count; g++) {
        for (int64_t i = 0; i < rollout->group_size; i++)
            marks->rewards[i] = rollout_group_answers(rollout, g)[i].reward;
        marks->marked[g] = statistics_flat(marks->rewards, rollout->group_size);
        count += marks->marked[g];
    }
    return count;
}

/* Over a baseline that goes along, equal rewards teach as others do. */
static int64_t resamples(const struct settings *settings) {
    return settings->objective.advantage == SETTING_ADVANTAGE_EMA ? 0 : settings->rollout.resample;
}

/* Answers the marked groups; those of equal rewards teach nothing and give way to the next prompts,
 * as often as the settings allow. */
static enum status answer_marked(const struct method_context *context, int64_t step,
                                 struct rollout *rollout, struct collect_report *report,
                                 const struct marks *marks) {
    for (int round = 0;; round++) {
        TRY(comm_agree(context->comm, take_prompts(context, marks->marked, rollout)));
        TRY(answer_round(context, step, round, marks->marked, rollout, report));
        report->flat_groups = mark_flat_groups(rollout, marks);
        if (report->flat_groups == 0 || round >= resamples(context->settings))
            return STATUS_OK;
        report->resampled += report->flat_groups;
    }
}

static enum status marks_create(struct marks *marks, const struct rollout *rollout) {
    TRY(memory_new(&marks->rewards, rollout->group_size, "rewards of a group"));
    TRY(memory_new(&marks->marked, rollout->group_count, "groups to answer"));
    for (int64_t g = 0; g < rollout->group_count; g++)
        marks->marked[g] = true;
    return STATUS_OK;
}

static enum status answer_all(const struct method_context *context, int64_t step,
                              struct rollout *rollout, struct collect_report *report) {
    struct marks marks = {.marked = NULL};
    enum status status = comm_agree(context->comm, marks_create(&marks, rollout));
    if (status == STATUS_OK)
        status = answer_marked(context, step, rollout, report, &marks);
    memory_release(&marks.marked);
    memory_release(&marks.rewards);
    return status;
}

static void keep_old(struct rollout_answer *answer, const float *logprob, const float *entropy) {
    (void)entropy;
    memcpy(answer->logprob, logprob, (size_t)answer->n * sizeof *logprob);
}

static void keep_reference(struct rollout_answer *answer, const float *logprob,
                           const float *entropy) {
    (void)entropy;
    memcpy(answer->logprob_reference, logprob, (size_t)answer->n * sizeof *logprob);
}

/* R − β Σ k_t (design, section 9), on the owner's answers, then shared. */
static enum status penalise(const struct method_context *context, struct rollout *rollout) {
    const struct settings *settings = context->settings;
    for (int64_t g = 0; g < rollout->group_count; g++) {
        if (!groups_own(context->tiles, context->comm, g))
            continue;
        for (int64_t i = 0; i < rollout->group_size; i++) {
            struct rollout_answer *answer = &rollout_group_answers(rollout, g)[i];
            double sum = 0.0;
            for (int64_t t = 0; t < answer->n; t++) {
                double value, derivative;
                kl_evaluate((enum kl_estimator)settings->objective.kl_estimator, answer->logprob[t],
                            answer->logprob_reference[t], &value, &derivative);
                sum += value;
            }
            answer->reward_penalised = answer->reward - settings->objective.kl_coef * sum;
        }
    }
    return method_share_summaries(context, rollout);
}

static enum status set_advantages(const struct method_context *context, int64_t step,
                                  struct rollout *rollout, struct collect_report *report) {
    const int64_t total = rollout->group_count * rollout->group_size;
    double *rewards = NULL, *advantages = NULL;
    enum status status;
    TRY_ELSE(status, done, memory_new(&rewards, total, "rewards"));
    TRY_ELSE(status, done, memory_new(&advantages, total, "advantages"));
    for (int64_t k = 0; k < total; k++)
        rewards[k] = rollout->answers[k].reward_penalised;
    report->reward_mean = statistics_of(rewards, total).mean;
    report->baseline = step == 1 ? report->reward_mean : context->baseline;
    advantage_compute((enum advantage_kind)context->settings->objective.advantage, report->baseline,
                      rewards, rollout->group_count, rollout->group_size, advantages);
    for (int64_t k = 0; k < total; k++)
        rollout->answers[k].advantage = advantages[k];
done:
    memory_release(&rewards);
    memory_release(&advantages);
    return status;
}

static enum status collect(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) {
    const struct settings *settings = context->settings;
    const float temperature = (float)settings->rollout.temperature;
    const bool penalty =
        context->reference != NULL && settings->objective.kl_in == SETTING_KL_IN_REWARD;
    TRY(answer_all(context, step, rollout, report));
    const double start_s = clock_now_s();
    /* The first pass gives π_old, unless a parameter step or the reward needs it before. */
    rollout->logprob_known = settings->update.mini_batches > 1 || penalty;
    if (rollout->logprob_known)
        TRY(comm_agree(context->comm,
                       method_score(context, context->model, rollout, temperature, keep_old)));
    const double old_s = clock_now_s();
    if (context->reference != NULL)
        TRY(comm_agree(context->comm, method_score(context, context->reference, rollout,
                                                   temperature, keep_reference)));
    report->old_logprob_s = old_s - start_s;
    report->reference_s = clock_now_s() - old_s;
    if (penalty)
        TRY(penalise(context, rollout));
    return comm_agree(context->comm, set_advantages(context, step, rollout, report));
}

const struct method method_rl = {
    .name = "rl",
    .text = "reinforcement learning on the model's own answers, by rewards",
    .likelihood = false,
    .group_size = group_size,
    .check = check,
    .collect = collect};
