/* SPDX-License-Identifier: Apache-2.0 */
#include "method/draw.h"

#include "base/memory.h"
#include "method/groups.h"

enum status draw_answers(const struct method_context *context, const struct draw_call *call,
                         struct rollout *rollout, struct collect_report *report) {
    struct generate_settings how = generate_settings_of(context->settings, context->stop_ids,
                                                        context->stop_id_count, call->step);
    how.pulse = context->pulse;
    struct generate_request *requests;
    TRY(memory_new(&requests, rollout->group_count, "prompts to answer"));
    int64_t count = 0;
    for (int64_t g = 0; g < rollout->group_count; g++)
        if ((call->marked == NULL || call->marked[g]) &&
            groups_own(context->tiles, context->comm, g))
            requests[count++] = (struct generate_request){
                .prompt = rollout->groups[g].prompt,
                .prompt_length = rollout->groups[g].prompt_length,
                .prompt_index = (uint32_t)(g + call->round * rollout->group_count),
                .answers = rollout_group_answers(rollout, g),
                .answer_count = rollout->group_size};
    struct generate_report drawn;
    const enum status status = generate_answers(context->model, context->tokenizer, &how, requests,
                                                count, call->columns, &drawn);
    report->tokens += drawn.tokens;
    report->positions += drawn.positions;
    memory_release(&requests);
    return status;
}

enum status draw_check(const struct settings *settings, const char *consequence) {
    if (settings->rollout.temperature > 0.0)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "rollout.temperature = 0 draws the same answer every time, so %s: set it above 0",
                consequence);
}
