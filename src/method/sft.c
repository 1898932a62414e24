/* SPDX-License-Identifier: Apache-2.0 */
#include "method/sft.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

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
    struct strbuf text = STRBUF_EMPTY;
    struct token_list ids = {.ids = NULL};
    enum status status =
        prompt_encode(form, (struct utf8_span){item->prompt, item->prompt_length}, &text, &ids);
    const int64_t prompt = ids.count;
    if (status == STATUS_OK)
        status = prompt_encode_answer(
            form, (struct utf8_span){item->reference, item->reference_length}, &text, &ids);
    *answer = ids.count - prompt;
    *both = ids.count;
    strbuf_release(&text);
    memory_release(&ids.ids);
    return status;
}

/* The answer that the data give, as the chat form writes it, and what ends it, as if they had been
 * drawn. */
static enum status take_answer(const struct method_context *context, struct rollout *rollout,
                               int64_t group) {
    const struct strbuf *text = &rollout->groups[group].reference;
    struct rollout_answer *answer = rollout_group_answers(rollout, group);
    struct token_list ids = {.ids = NULL};
    enum status status = prompt_encode_answer(
        context->form, (struct utf8_span){strbuf_text(text), text->length}, &answer->text, &ids);
    if (status == STATUS_OK)
        status =
            rollout_answer_reserve(answer, ids.count, (struct rollout_columns){.sampler = false});
    if (status == STATUS_OK)
        memcpy(answer->tokens, ids.ids, (size_t)ids.count * sizeof *ids.ids);
    answer->finish = FINISH_STOP;
    memory_release(&ids.ids);
    return status;
}

static enum status take_batch(const struct method_context *context, struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++) {
        TRY(method_take_prompt(context, rollout, g));
        if (tiles_of_group(context->tiles, g)->owner == context->comm->rank)
            TRY(take_answer(context, rollout, g));
    }
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
                                  .text = "supervised fine-tuning on pairs of prompt and answer",
                                  .likelihood = true,
                                  .group_size = group_size,
                                  .check = check,
                                  .count_tokens = count_tokens,
                                  .collect = collect};
