/* SPDX-License-Identifier: Apache-2.0 */
#include "method/method.h"

#include <string.h>

#include "base/memory.h"
#include "method/adversarial.h"
#include "method/groups.h"
#include "method/opsd.h"
#include "method/rl.h"
#include "method/sft.h"

static const struct method *const methods[] = {&method_rl, &method_sft, &method_opsd,
                                               &method_adversarial};
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

/* The microbatches of one tile. */
static enum status tile_microbatches(const struct method_context *context,
                                     const struct rollout *rollout, const struct tile *tile,
                                     struct microbatch *microbatch, method_work *work, void *with) {
    microbatch_begin(microbatch, tile);
    for (;;) {
        TRY(pulse_beat(context->pulse));
        TRY(microbatch_next(microbatch, rollout, tile,
                            context->settings->parallel.tokens_per_pass));
        if (microbatch->answer_count == 0)
            return STATUS_OK;
        TRY(work(with, microbatch));
    }
}

enum status method_microbatches(const struct method_context *context, const struct rollout *rollout,
                                method_work *work, void *with) {
    struct microbatch microbatch = MICROBATCH_EMPTY;
    enum status status = STATUS_OK;
    for (int64_t t = 0; status == STATUS_OK && t < context->tiles->count; t++) {
        const struct tile *tile = &context->tiles->tiles[t];
        if (tile->owner == context->comm->rank)
            status = tile_microbatches(context, rollout, tile, &microbatch, work, with);
    }
    microbatch_release(&microbatch);
    return status;
}

/* A scoring, and room for the numbers of one microbatch. */
struct scoring {
    struct model *model;
    const struct rollout *rollout;
    float temperature;
    method_visit *visit;
    float *logprob, *entropy;
};

static enum status score_microbatch(void *scoring, const struct microbatch *microbatch) {
    struct scoring *at = scoring;
    const struct batch *batch = &microbatch->batch;
    TRY(memory_grow(&at->logprob, batch->target_count, "log-probabilities"));
    TRY(memory_grow(&at->entropy, batch->target_count, "entropies"));
    TRY(model_forward(at->model, batch, at->temperature, false, at->logprob, at->entropy));
    for (int64_t i = 0; i < microbatch->answer_count; i++) {
        const struct microbatch_answer *of = &microbatch->answers[i];
        at->visit(&rollout_group_answers(at->rollout, of->group)[of->answer],
                  at->logprob + of->target, at->entropy + of->target);
    }
    return STATUS_OK;
}

enum status method_score(const struct method_context *context, struct model *model,
                         const struct rollout *rollout, float temperature, method_visit *visit) {
    struct scoring scoring = {
        .model = model, .rollout = rollout, .temperature = temperature, .visit = visit};
    const enum status status = method_microbatches(context, rollout, score_microbatch, &scoring);
    memory_release(&scoring.logprob);
    memory_release(&scoring.entropy);
    return status;
}

/* What travels of an answer. */
struct summary {
    int64_t n, between, thinking, finish, forced;
    double parts[REWARD_PARTS_MAX], reward, reward_penalised;
};

static void pack_answer(const struct rollout_answer *answer, struct summary *summary) {
    *summary = (struct summary){.n = answer->n,
                                .between = answer->between,
                                .thinking = answer->thinking,
                                .finish = answer->finish,
                                .forced = answer->forced,
                                .reward = answer->reward,
                                .reward_penalised = answer->reward_penalised};
    memcpy(summary->parts, answer->parts, sizeof summary->parts);
}

static void unpack_answer(const struct summary *summary, struct rollout_answer *answer) {
    answer->n = summary->n;
    answer->between = summary->between;
    answer->thinking = summary->thinking;
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
