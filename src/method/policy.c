/* SPDX-License-Identifier: Apache-2.0 */
#include "method/policy.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/statistics.h"
#include "method/groups.h"
#include "method/rewards.h"
#include "objective/advantage.h"

struct rollout_columns policy_columns(const struct method_context *context) {
    return (struct rollout_columns){
        .sampler = true, .reference = context->reference != NULL, .gate = true};
}

/* --- rewards --- */

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

enum status policy_reward(const struct method_context *context, int64_t step, const bool *marked,
                          struct rollout *rollout) {
    struct rewards_item *items;
    int64_t count = 0;
    TRY(memory_new(&items, rollout->group_count * rollout->group_size, "answers to reward"));
    for (int64_t g = 0; g < rollout->group_count; g++)
        if ((marked == NULL || marked[g]) && groups_own(context->tiles, context->comm, g))
            for (int64_t i = 0; i < rollout->group_size; i++)
                items[count++] = item_of(rollout, step, g, i);
    const enum status status = rewards_grade(context->rewards, items, count, context->pulse);
    memory_release(&items);
    return status;
}

int64_t policy_flat_groups(const struct rollout *rollout, bool *marked) {
    int64_t count = 0;
    for (int64_t g = 0; g < rollout->group_count; g++) {
        const struct rollout_answer *answers = rollout_group_answers(rollout, g);
        bool flat = true;
        for (int64_t i = 1; i < rollout->group_size; i++)
            flat = flat && answers[i].reward == answers[0].reward;
        count += flat;
        if (marked != NULL)
            marked[g] = flat;
    }
    return count;
}

/* --- from rewards to advantages --- */

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

enum status policy_prepare(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) {
    const struct settings *settings = context->settings;
    const float temperature = (float)settings->rollout.temperature;
    const bool penalty =
        context->reference != NULL && settings->objective.kl_in == SETTING_KL_IN_REWARD;
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
