/* SPDX-License-Identifier: Apache-2.0 */
#include "method/sft.h"

#include "base/clock.h"
#include "data/supervised.h"
#include "method/groups.h"

static int64_t group_size(const struct settings *settings) {
    (void)settings;
    return 1;
}

static enum status check(const struct settings *settings) {
    if (settings->objective.kl_coef != 0.0)
        return FAIL(STATUS_INPUT,
                    "objective.kl_coef = %g has no meaning for run.method = \"sft\": leave it out",
                    settings->objective.kl_coef);
    if (settings->objective.entropy_coef != 0.0)
        return FAIL(
            STATUS_INPUT,
            "objective.entropy_coef = %g has no meaning for run.method = \"sft\": leave it out",
            settings->objective.entropy_coef);
    return STATUS_OK;
}

static enum status count_tokens(const struct prompt_form *form, const struct dataset_item *item,
                                int64_t *answer, int64_t *both) {
    struct supervised row = SUPERVISED_EMPTY;
    const enum status status = supervised_encode(form, item, true, &row);
    *answer = row.taught;
    *both = row.prompt.count + row.sequence.count;
    supervised_release(&row);
    return status;
}

/* The answer that the data give, as if it had been drawn. */
static enum status take_answer(const struct supervised *row, struct rollout_answer *answer) {
    TRY(strbuf_append(&answer->text, strbuf_text(&row->answer_text), row->answer_text.length));
    TRY(rollout_answer_reserve(answer, row->taught, (struct rollout_columns){.sampler = false}));
    answer->finish = FINISH_STOP;
    return rollout_answer_set_turns(answer, row->sequence.ids, row->sequence.count, row->begins.ids,
                                    row->ends.ids, row->begins.count);
}

static enum status take_group(const struct method_context *context, struct rollout *rollout,
                              int64_t g) {
    const bool own = groups_own(context->tiles, context->comm, g);
    struct rollout_group *group = &rollout->groups[g];
    struct supervised row = SUPERVISED_EMPTY;
    struct dataset_item item;
    enum status status;
    TRY_ELSE(status, done, method_take_row(context, rollout, g, &item));
    TRY_ELSE(status, done, supervised_encode(context->form, &item, own, &row));
    TRY_ELSE(status, done,
             strbuf_append(&group->text, strbuf_text(&row.prompt_text), row.prompt_text.length));
    group->prompt = row.prompt.ids;
    group->prompt_length = row.prompt.count;
    row.prompt.ids = NULL;
    if (own)
        TRY_ELSE(status, done, take_answer(&row, rollout_group_answers(rollout, g)));
done:
    supervised_release(&row);
    return status;
}

static enum status take_batch(const struct method_context *context, struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++)
        TRY(take_group(context, rollout, g));
    return STATUS_OK;
}

static enum status collect(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) {
    (void)step;
    const double start_s = clock_now_s();
    TRY(comm_agree(context->comm, take_batch(context, rollout)));
    TRY(method_share_summaries(context, rollout));
    report->rollout_s = clock_now_s() - start_s;
    return STATUS_OK;
}

const struct method method_sft = {.name = "sft",
                                  .text = "supervised fine-tuning on pairs of prompt and answer, "
                                          "or on conversations",
                                  .likelihood = true,
                                  .group_size = group_size,
                                  .check = check,
                                  .count_tokens = count_tokens,
                                  .collect = collect};
