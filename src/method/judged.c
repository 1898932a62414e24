/* SPDX-License-Identifier: Apache-2.0 */
#include "method/judged.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "method/groups.h"
#include "method/method.h"

/* Probabilities go no nearer to 0 and 1 before a logarithm. */
#define PROBABILITY_LEAST 1e-6

/* --- the sequences --- */

enum status judged_init(struct judged *judged, const struct settings *settings, int64_t groups,
                        int64_t written) {
    *judged = (struct judged){.verdicts = NULL};
    const bool reasons = settings->adversarial.reason_tokens > 0,
               mean = settings->adversarial.pooling == SETTING_POOLING_MEAN;
    TRY(rollout_init(&judged->texts, groups, 1 + written));
    judged->reasons = reasons ? judged->texts : (struct rollout){.group_count = 0};
    judged->texts.targets = reasons ? ROLLOUT_END_STATES
                            : mean  ? ROLLOUT_STATES
                                    : ROLLOUT_LAST_STATE;
    TRY(memory_new(&judged->completions, groups * (1 + written), "completions"));
    return memory_new(&judged->verdicts, groups * (1 + written), "verdicts");
}

void judged_release(struct judged *judged) {
    rollout_release(&judged->texts);
    judged->reasons = (struct rollout){.group_count = 0};
    memory_release(&judged->completions);
    memory_release(&judged->verdicts);
}

int64_t judged_prompt_tokens(const struct settings *settings, int64_t prompt) {
    const struct settings_adversarial *adversarial = &settings->adversarial;
    return adversarial->input == SETTING_INPUT_PROMPT
               ? prompt
               : adversarial->window_tokens - adversarial->completion_tokens;
}

static enum status copy_ids(int32_t **out, const int32_t *ids, int64_t n) {
    memory_release(out);
    TRY(memory_new(out, n, "tokens for the discriminator"));
    if (n > 0)
        memcpy(*out, ids, (size_t)n * sizeof **out);
    return STATUS_OK;
}

enum status judged_take_window(struct judged *judged, const struct corpus *corpus,
                               const struct settings *settings, const struct rollout_group *group,
                               int64_t index) {
    const struct corpus_settings *of = &corpus->settings;
    const int32_t *window = corpus_tokens(corpus);
    const int64_t prefix = of->window_tokens - of->completion_tokens;
    struct rollout_group *into = &judged->texts.groups[index];
    struct rollout_answer *real = rollout_group_answers(&judged->texts, index);
    into->prompt_length = judged_prompt_tokens(settings, group->prompt_length);
    TRY(copy_ids(&into->prompt,
                 settings->adversarial.input == SETTING_INPUT_PROMPT ? group->prompt : window,
                 into->prompt_length));
    real->n = judged->completions[index * judged->texts.group_size] = of->completion_tokens;
    return copy_ids(&real->tokens, window + prefix, real->n);
}

enum status judged_take_answers(struct judged *judged, const struct rollout *rollout) {
    for (int64_t g = 0; g < rollout->group_count; g++)
        for (int64_t i = 0; i < rollout->group_size; i++) {
            const struct rollout_answer *answer = &rollout_group_answers(rollout, g)[i];
            struct rollout_answer *into = &rollout_group_answers(&judged->texts, g)[1 + i];
            const int64_t rest = answer->n - answer->thinking;
            into->n = rest - (rest > 0 && answer->finish == FINISH_STOP ? 1 : 0);
            judged->completions[into - judged->texts.answers] = into->n;
            if (answer->tokens != NULL)
                TRY(copy_ids(&into->tokens, answer->tokens + answer->thinking, into->n));
        }
    return STATUS_OK;
}

/* Behind a reasoning its last state, and before it that of the value. */
static struct discriminator_sequence sequence_of(const struct rollout *texts,
                                                 const struct microbatch_answer *at) {
    const int64_t n = rollout_group_answers(texts, at->group)[at->answer].n;
    const bool ends = texts->targets == ROLLOUT_END_STATES,
               all = texts->targets == ROLLOUT_STATES && n > 0;
    const int64_t begin = at->target + (ends ? 1 : 0);
    return (struct discriminator_sequence){.begin = begin,
                                           .end = begin + (all ? n : 1),
                                           .value_apart = ends,
                                           .value_row = at->target,
                                           .label = judged_is_real(at->answer)};
}

void judged_sequences(const struct judged *judged, const struct microbatch *microbatch,
                      struct discriminator_sequence *sequences) {
    for (int64_t i = 0; i < microbatch->answer_count; i++)
        sequences[i] = sequence_of(&judged->texts, &microbatch->answers[i]);
}

struct loss_scope judged_scope(const struct judged *judged, int64_t begin, int64_t end) {
    struct loss_scope scope = {.answers = (end - begin) * judged->texts.group_size};
    for (int64_t g = begin; g < end && judged->reasons.group_count > 0; g++)
        for (int64_t i = 0; i < judged->texts.group_size; i++)
            scope.tokens += rollout_group_answers(&judged->reasons, g)[i].n;
    return scope;
}

/* --- the verdicts --- */

/* Room for one microbatch. */
struct judging {
    const struct method_context *context;
    struct judged *judged;
    float *states; /* (rows, C) */
    struct discriminator_sequence *sequences;
};

static enum status judge_microbatch(void *judging, const struct microbatch *microbatch) {
    struct judging *at = judging;
    const struct method_context *context = at->context;
    const struct rollout *texts = &at->judged->texts;
    const int64_t C = model_hparams(context->model)->C;
    TRY(memory_grow(&at->states, microbatch->batch.target_count * C, "hidden states"));
    TRY(memory_grow(&at->sequences, microbatch->answer_count, "sequences of the discriminator"));
    TRY(model_states(context->model, &microbatch->batch, false, at->states));
    judged_sequences(at->judged, microbatch, at->sequences);
    discriminator_forward(context->discriminator, at->states, at->sequences,
                          microbatch->answer_count);
    for (int64_t i = 0; i < microbatch->answer_count; i++) {
        const struct microbatch_answer *of = &microbatch->answers[i];
        const struct discriminator_sequence *found = &at->sequences[i];
        at->judged->verdicts[of->group * texts->group_size + of->answer] =
            (struct verdict){.logits = {found->logits[0], found->logits[1]},
                             .probability = found->probability,
                             .value = found->value};
    }
    return STATUS_OK;
}

enum status judged_judge(const struct method_context *context, struct judged *judged) {
    const struct rollout *texts = &judged->texts;
    struct judging judging = {.context = context, .judged = judged};
    const enum status status = method_microbatches(context, texts, judge_microbatch, &judging);
    memory_release(&judging.states);
    memory_release(&judging.sequences);
    TRY(comm_agree(context->comm, status));
    return groups_share(context->tiles, context->comm, 0, texts->group_count, judged->verdicts,
                        (size_t)texts->group_size * sizeof *judged->verdicts);
}

/* --- the reward --- */

static double length_factor(const struct settings_adversarial *adversarial, int64_t n) {
    const double wanted = (double)adversarial->completion_tokens;
    switch (adversarial->length_rule) {
    case SETTING_LENGTH_RULE_EXACT:
        return n == adversarial->completion_tokens ? 1.0 : 0.0;
    case SETTING_LENGTH_RULE_PENALTY:
        return fmax(0.0, 1.0 - fabs((double)n - wanted) / wanted);
    default:
        return 1.0;
    }
}

static double clamp(double probability) {
    return fmin(fmax(probability, PROBABILITY_LEAST), 1.0 - PROBABILITY_LEAST);
}

double judged_reward(const struct settings *settings, const struct verdict *verdict, int64_t n) {
    const struct settings_adversarial *adversarial = &settings->adversarial;
    const double factor = length_factor(adversarial, n), p = factor * verdict->probability;
    const double scale =
        adversarial->d_scale_in == SETTING_D_SCALE_IN_REWARD ? adversarial->d_scale : 1.0;
    switch (adversarial->reward) {
    case SETTING_JUDGED_REWARD_LOG_PROBABILITY:
        return scale * log(clamp(p));
    case SETTING_JUDGED_REWARD_LOGIT:
        return scale * (log(clamp(p)) - log1p(-clamp(p)));
    case SETTING_JUDGED_REWARD_VALUE:
        return verdict->value > adversarial->value_threshold
                   ? scale * factor * (1.0 - verdict->value)
                   : 0.0;
    default:
        return scale * p;
    }
}
