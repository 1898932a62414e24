/* SPDX-License-Identifier: Apache-2.0 */
#include "method/adversarial.h"

#include "base/clock.h"
#include "method/draw.h"
#include "method/judged.h"
#include "method/policy.h"
#include "method/reasoning.h"
#include "method/rewards.h"

static int64_t group_size(const struct settings *settings) {
    return settings->rollout.group_size;
}

static enum status check(const struct settings *settings) {
    TRY(draw_check(settings, "the discriminator would see the likeliest completions alone"));
    return rewards_check(settings);
}

static enum status take_windows(const struct method_context *context, struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++) {
        struct dataset_item item;
        TRY(method_take_prompt(context, rollout, g, &item));
        TRY(judged_take_window(context->judged, context->corpus, context->settings,
                               &rollout->groups[g], g));
    }
    return STATUS_OK;
}

/* To the parts of reward.parts, which are known, comes what the discriminator gives. */
static void add_rewards(const struct method_context *context, struct rollout *rollout) {
    const struct judged *judged = context->judged;
    for (int64_t k = 0; k < rollout->group_count * rollout->group_size; k++) {
        const int64_t of =
            k / rollout->group_size * judged->texts.group_size + 1 + k % rollout->group_size;
        struct rollout_answer *answer = &rollout->answers[k];
        answer->reward +=
            judged_reward(context->settings, &judged->verdicts[of], judged->completions[of]);
        answer->reward_penalised = answer->reward;
    }
}

static enum status reward(const struct method_context *context, int64_t step,
                          struct rollout *rollout, struct collect_report *report) {
    TRY(comm_agree(context->comm, policy_reward(context, step, NULL, rollout)));
    TRY(method_share_summaries(context, rollout));
    TRY(comm_agree(context->comm, judged_take_answers(context->judged, rollout)));
    if (context->settings->adversarial.reason_tokens > 0)
        TRY(reasoning_draw(context, step, context->judged, report));
    TRY(judged_judge(context, context->judged));
    add_rewards(context, rollout);
    return STATUS_OK;
}

static enum status collect(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) {
    const double start_s = clock_now_s();
    const struct draw_call call = {.step = step, .columns = policy_columns(context)};
    TRY(comm_agree(context->comm, take_windows(context, rollout)));
    TRY(comm_agree(context->comm, draw_answers(context, &call, rollout, report)));
    const double drawn_s = clock_now_s();
    TRY(reward(context, step, rollout, report));
    report->rollout_s = drawn_s - start_s;
    report->reward_s = clock_now_s() - drawn_s;
    report->flat_groups = policy_flat_groups(rollout, NULL);
    return policy_prepare(context, step, rollout, report);
}

const struct method method_adversarial = {
    .name = "adversarial",
    .text =
        "a generator continues texts, and a discriminator on the same model, which learns to tell "
        "its completions from theirs, rewards it",
    .discriminates = true,
    .group_size = group_size,
    .check = check,
    .collect = collect};
