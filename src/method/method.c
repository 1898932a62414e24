/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

#include <string.h>

#include "base/memory.h"
#include "method/groups.h"
#include "method/opsd.h"
#include "method/rl.h"
#include "method/sft.h"

static const struct method *const methods[] = {&method_rl, &method_sft, &method_opsd};
enum { METHODS = sizeof methods / sizeof *methods };

const struct method *const *method_list(int *count) {
    *count = METHODS;
    return methods;
}

const struct method *method_find(const char *name) {
    for (int i = 0; i < METHODS; i++)
        if (strcmp(methods[i]->name, name) == 0)
            return methods[i];
    return NULL;
}

/* Makes of a text its window of this epoch. */
static enum status take_window(const struct method_context *context, struct stream_item *item) {
    bool found = true;
    if (context->corpus == NULL)
        return STATUS_OK;
    TRY(corpus_window(context->corpus, item->source, item->epoch, &item->data, &found));
    if (found)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s:%lld: no window of this text gives the same tokens again when its beginning is "
                "written into a prompt",
                stream_dataset(context->stream, item->source)->path, (long long)item->data.row + 1);
}

enum status method_take_row(const struct method_context *context, struct rollout *rollout,
                            int64_t group, struct dataset_item *out) {
    struct rollout_group *into = &rollout->groups[group];
    struct stream_item item;
    stream_next(context->stream, &item);
    TRY(take_window(context, &item));
    into->source = item.source;
    into->row = item.data.row;
    into->epoch = item.epoch;
    *out = item.data;
    return strbuf_append(&into->reference, item.data.reference, item.data.reference_length);
}

enum status method_take_prompt(const struct method_context *context, struct rollout *rollout,
                               int64_t group, struct dataset_item *item) {
    struct rollout_group *into = &rollout->groups[group];
    struct token_list ids = {.ids = NULL};
    TRY(method_take_row(context, rollout, group, item));
    const enum status status = prompt_encode_item(context->form, item, &into->text, &ids);
    into->prompt = ids.ids;
    into->prompt_length = ids.count;
    return status;
}

enum status method_score(const struct method_context *context, struct model *model,
                         const struct rollout *rollout, float temperature,
                         void (*visit)(struct rollout_answer *answer, const float *logprob,
                                       const float *entropy)) {
    struct microbatch microbatch = MICROBATCH_EMPTY;
    float *logprob = NULL, *entropy = NULL;
    enum status status = STATUS_OK;
    for (int64_t t = 0; t < context->tiles->count; t++) {
        const struct tile *tile = &context->tiles->tiles[t];
        if (tile->owner != context->comm->rank)
            continue;
        microbatch_begin(&microbatch, tile);
        for (;;) {
            TRY_ELSE(status, done, pulse_beat(context->pulse));
            TRY_ELSE(status, done,
                     microbatch_next(&microbatch, rollout, tile,
                                     context->settings->parallel.tokens_per_pass));
            if (microbatch.answer_count == 0)
                break;
            TRY_ELSE(status, done,
                     memory_grow(&logprob, microbatch.batch.target_count, "log-probabilities"));
            TRY_ELSE(status, done,
                     memory_grow(&entropy, microbatch.batch.target_count, "entropies"));
            TRY_ELSE(status, done,
                     model_forward(model, &microbatch.batch, temperature, false, logprob, entropy));
            for (int64_t i = 0; i < microbatch.answer_count; i++) {
                const struct microbatch_answer *at = &microbatch.answers[i];
                visit(&rollout_group_answers(rollout, at->group)[at->answer], logprob + at->target,
                      entropy + at->target);
            }
        }
    }
done:
    microbatch_release(&microbatch);
    memory_release(&logprob);
    memory_release(&entropy);
    return status;
}

/* What travels of an answer. */
struct summary {
    int64_t n, between, finish, forced;
    double parts[REWARD_PARTS_MAX], reward, reward_penalised;
};

static void pack_answer(const struct rollout_answer *answer, struct summary *summary) {
    *summary = (struct summary){.n = answer->n,
                                .between = answer->between,
                                .finish = answer->finish,
                                .forced = answer->forced,
                                .reward = answer->reward,
                                .reward_penalised = answer->reward_penalised};
    memcpy(summary->parts, answer->parts, sizeof summary->parts);
}

static void unpack_answer(const struct summary *summary, struct rollout_answer *answer) {
    answer->n = summary->n;
    answer->between = summary->between;
    answer->finish = (enum finish_reason)summary->finish;
    answer->forced = summary->forced != 0;
    answer->reward = summary->reward;
    answer->reward_penalised = summary->reward_penalised;
    memcpy(answer->parts, summary->parts, sizeof answer->parts);
}

enum status method_share_summaries(const struct method_context *context, struct rollout *rollout) {
    const int64_t total = rollout->group_count * rollout->group_size;
    struct summary *all = NULL;
    TRY(comm_agree(context->comm, memory_new(&all, total, "summaries of answers")));
    for (int64_t k = 0; k < total; k++)
        pack_answer(&rollout->answers[k], &all[k]);
    const enum status status = groups_share(context->tiles, context->comm, 0, rollout->group_count,
                                            all, (size_t)rollout->group_size * sizeof *all);
    for (int64_t k = 0; status == STATUS_OK && k < total; k++)
        unpack_answer(&all[k], &rollout->answers[k]);
    memory_release(&all);
    return status;
}
