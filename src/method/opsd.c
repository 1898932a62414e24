/* SPDX-License-Identifier: Apache-2.0 */
#include "method/opsd.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "method/draw.h"
#include "method/groups.h"
#include "method/teaching.h"

static int64_t group_size(const struct settings *settings) {
    return settings->rollout.group_size;
}

static enum status check(const struct settings *settings) {
    TRY(draw_check(settings, "the model would learn from its likeliest answers alone"));
    if (settings->objective.kl_coef != 0.0)
        return FAIL(STATUS_INPUT,
                    "objective.kl_coef = %g has no meaning for run.method = \"opsd\", whose loss "
                    "is a divergence: leave it out",
                    settings->objective.kl_coef);
    if (settings->objective.entropy_coef != 0.0)
        return FAIL(
            STATUS_INPUT,
            "objective.entropy_coef = %g has no meaning for run.method = \"opsd\": leave it out",
            settings->objective.entropy_coef);
    return STATUS_OK;
}

static enum status take_prompts(const struct method_context *context, struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++) {
        struct dataset_item item;
        TRY(method_take_prompt(context, rollout, g, &item));
        TRY(teaching_begin(context->teaching, &item, &rollout->groups[g]));
    }
    return STATUS_OK;
}

/* --- what the teacher writes first --- */

/* Draws it for the groups of this rank: one text each, of a stream of its own, in which a stop id
 * ends it and nothing else does. */
static enum status draw_reasons(const struct method_context *context, int64_t step,
                                const struct rollout *rollout, struct rollout_answer *reasons,
                                struct collect_report *report) {
    struct generate_settings how =
        generate_settings_of(context->settings, context->stop_ids, context->stop_id_count, step);
    struct generate_request *requests;
    struct generate_report drawn;
    int64_t count = 0;
    how.pulse = context->pulse;
    how.seed = random_bits(how.seed, RANDOM_REASON, 0, 0, 0, 0);
    how.budgets = (struct budget_settings){
        .group = "distill", .max_new_tokens = context->settings->distill.reason_tokens};
    how.stop_text_count = 0;
    TRY(memory_new(&requests, rollout->group_count, "prompts to answer"));
    for (int64_t g = 0; g < rollout->group_count; g++)
        if (groups_own(context->tiles, context->comm, g))
            requests[count++] =
                (struct generate_request){.prompt = rollout->groups[g].teacher,
                                          .prompt_length = rollout->groups[g].teacher_length,
                                          .prompt_index = (uint32_t)g,
                                          .answers = &reasons[g],
                                          .answer_count = 1};
    const enum status status = generate_answers(context->teacher, NULL, &how, requests, count,
                                                (struct rollout_columns){.sampler = false}, &drawn);
    report->positions += drawn.positions;
    memory_release(&requests);
    return status;
}

/* Reasons as records of one size: the number of tokens, then these. */
static int64_t record_of(const struct method_context *context) {
    return 1 + context->settings->distill.reason_tokens;
}

static void pack_reasons(const struct method_context *context, int64_t groups,
                         const struct rollout_answer *reasons, int32_t *records) {
    for (int64_t g = 0; g < groups; g++) {
        const struct rollout_answer *reason = &reasons[g];
        int32_t *record = records + g * record_of(context);
        if (reason->n == 0)
            continue;
        record[0] = (int32_t)reason->n - (reason->finish == FINISH_STOP);
        memcpy(record + 1, reason->tokens, (size_t)record[0] * sizeof *record);
    }
}

static enum status finish_prompts(const struct method_context *context, const int32_t *records,
                                  struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++) {
        const int32_t *record = records + g * record_of(context);
        TRY(teaching_finish(context->teaching, record + 1, record[0], &rollout->groups[g]));
    }
    return STATUS_OK;
}

/* All ranks know all of them, since they decide how a tile is cut. */
static enum status share_reasons(const struct method_context *context,
                                 const struct rollout_answer *reasons, int32_t *records,
                                 struct rollout *rollout) {
    const int64_t n = rollout->group_count;
    pack_reasons(context, n, reasons, records);
    TRY(groups_share(context->tiles, context->comm, 0, n, records,
                     (size_t)record_of(context) * sizeof *records));
    return comm_agree(context->comm, finish_prompts(context, records, rollout));
}

static enum status reason_first(const struct method_context *context, int64_t step,
                                struct rollout *rollout, struct collect_report *report) {
    const int64_t n = rollout->group_count;
    struct rollout_answer *reasons = NULL;
    int32_t *records = NULL;
    enum status status = memory_new(&reasons, n, "reasons");
    if (status == STATUS_OK)
        status = memory_new(&records, n * record_of(context), "reasons");
    if (status == STATUS_OK)
        status = draw_reasons(context, step, rollout, reasons, report);
    status = comm_agree(context->comm, status);
    if (status == STATUS_OK)
        status = share_reasons(context, reasons, records, rollout);
    for (int64_t g = 0; reasons != NULL && g < n; g++)
        rollout_answer_release(&reasons[g]);
    memory_release(&reasons);
    memory_release(&records);
    return status;
}

/* --- the batch --- */

static enum status collect(const struct method_context *context, int64_t step,
                           struct rollout *rollout, struct collect_report *report) {
    const double start_s = clock_now_s();
    const struct draw_call call = {.step = step, .columns = {.sampler = true, .teacher = true}};
    TRY(comm_agree(context->comm, take_prompts(context, rollout)));
    if (context->settings->distill.reason_first)
        TRY(reason_first(context, step, rollout, report));
    TRY(comm_agree(context->comm, draw_answers(context, &call, rollout, report)));
    TRY(method_share_summaries(context, rollout));
    report->rollout_s = clock_now_s() - start_s;
    return STATUS_OK;
}

const struct method method_opsd = {
    .name = "opsd",
    .text = "on-policy self-distillation: the model with the solution before it teaches each token "
            "of its own answers",
    .distils = true,
    .group_size = group_size,
    .check = check,
    .collect = collect};
