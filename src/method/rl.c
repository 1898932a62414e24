/* SPDX-License-Identifier: Apache-2.0 */
#include "method/rl.h"

#include "base/clock.h"
#include "base/memory.h"
#include "method/draw.h"
#include "method/policy.h"
#include "method/rewards.h"

static int64_t group_size(const struct settings *settings) {
    return settings->rollout.group_size;
}

static enum status check(const struct settings *settings) {
    TRY(draw_check(settings, "nothing can be learned from a group"));
    return rewards_check(settings);
}

/* One round of drawing, rewarding and sharing for the marked groups. */
static enum status answer_round(const struct method_context *context, int64_t step, int round,
                                const bool *marked, struct rollout *rollout,
                                struct collect_report *report) {
    const double start_s = clock_now_s();
    const struct draw_call call = {
        .step = step, .round = round, .marked = marked, .columns = policy_columns(context)};
    TRY(comm_agree(context->comm, draw_answers(context, &call, rollout, report)));
    const double drawn_s = clock_now_s();
    TRY(comm_agree(context->comm, policy_reward(context, step, marked, rollout)));
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

/* Over a baseline that goes along, equal rewards teach as others do. */
static int64_t resamples(const struct settings *settings) {
    return settings->objective.advantage == SETTING_ADVANTAGE_EMA ? 0 : settings->rollout.resample;
}

/* Answers the marked groups; those of equal rewards teach nothing and give way to the next prompts,
 * as often as the settings allow. */
static enum status answer_marked(const struct method_context *context, int64_t step,
                                 struct rollout *rollout, struct collect_report *report,
                                 bool *marked) {
    for (int round = 0;; round++) {
        TRY(comm_agree(context->comm, take_prompts(context, marked, rollout)));
        TRY(answer_round(context, step, round, marked, rollout, report));
        report->flat_groups = policy_flat_groups(rollout, marked);
        if (report->flat_groups == 0 || round >= resamples(context->settings))
            return STATUS_OK;
        report->resampled += report->flat_groups;
    }
}

static enum status answer_all(const struct method_context *context, int64_t step,
                              struct rollout *rollout, struct collect_report *report) {
    bool *marked = NULL;
    enum status status =
        comm_agree(context->comm, memory_new(&marked, rollout->group_count, "groups to answer"));
    for (int64_t g = 0; status == STATUS_OK && g < rollout->group_count; g++)
        marked[g] = true;
    if (status == STATUS_OK)
        status = answer_marked(context, step, rollout, report, marked);
    memory_release(&marked);
    return status;
}

static enum status collect(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) {
    TRY(answer_all(context, step, rollout, report));
    return policy_prepare(context, step, rollout, report);
}

const struct method method_rl = {
    .name = "rl",
    .text = "reinforcement learning on the model's own answers, by rewards",
    .likelihood = false,
    .group_size = group_size,
    .check = check,
    .collect = collect};
