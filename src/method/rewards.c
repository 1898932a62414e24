/* SPDX-License-Identifier: Apache-2.0 */
#include "method/rewards.h"

#include <string.h>

#include "reward/reward.h"

static enum status check_name(const char *name) {
    char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    if (reward_find(name) != NULL)
        return STATUS_OK;
    settings_advice("reward.parts.name", name, advice);
    return FAIL(STATUS_INPUT, "reward.parts: no rule is called '%s'%s",
                status_quote(quoted, name, SIZE_MAX),
                advice[0] != '\0' ? advice : "; known are format, answer, math, length, overlong");
}

static enum status rules_of(const struct settings_reward *reward, struct answer_rules *out) {
    return answer_rules_read(reward->math_places, reward->math_places_count, reward->math_tolerance,
                             out);
}

/* Where overlong ends to fall. */
static int64_t overlong_end(const struct settings *settings) {
    return settings->reward.overlong_to > 0 ? settings->reward.overlong_to
                                            : settings->rollout.max_new_tokens;
}

static enum status check_overlong(const struct settings *settings) {
    const int64_t from = settings->reward.overlong_from, to = overlong_end(settings);
    if (from < to)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "reward.overlong_from = %lld is not below the length %lld at which overlong is -1, "
                "which is reward.overlong_to, or rollout.max_new_tokens where that is 0",
                (long long)from, (long long)to);
}

enum status rewards_check(const struct settings *settings) {
    const struct settings_reward *reward = &settings->reward;
    struct answer_rules rules;
    if (rules_of(reward, &rules) != STATUS_OK)
        return FAIL(STATUS_INPUT, "reward.math_places: %s", status_sentence());
    for (int64_t i = 0; i < reward->parts_count; i++) {
        TRY(check_name(reward->parts[i].name));
        if (reward_find(reward->parts[i].name) == &reward_overlong)
            TRY(check_overlong(settings));
        for (int64_t k = 0; k < i; k++)
            if (strcmp(reward->parts[i].name, reward->parts[k].name) == 0)
                return FAIL(
                    STATUS_INPUT,
                    "reward.parts lists '%s' twice: give it once, with the sum of the weights",
                    reward->parts[i].name);
    }
    if (reward->parts_count < 1 || reward->parts_count > REWARD_PARTS_MAX)
        return FAIL(STATUS_INPUT, "reward.parts lists %lld rules; 1 to %d are possible",
                    (long long)reward->parts_count, REWARD_PARTS_MAX);
    return STATUS_OK;
}

/* What a part says, scaled and cut. */
static double part_value(const struct reward_part *part, const struct reward_input *input) {
    const double value = part->scale * reward_find(part->name)->score(input);
    if (part->clip == 0.0)
        return value;
    return value > part->clip ? part->clip : value < -part->clip ? -part->clip : value;
}

void rewards_of_answer(const struct settings *settings, const char *reference,
                       size_t reference_length, struct rollout_answer *answer) {
    struct answer_rules rules;
    const enum status known = rules_of(&settings->reward, &rules);
    ASSERT(known == STATUS_OK); /* rewards_check */
    const struct reward_input input = {.text = strbuf_text(&answer->text),
                                       .length = answer->text.length,
                                       .reference = reference,
                                       .reference_length = reference_length,
                                       .tokens = answer->n,
                                       .max_new_tokens = settings->rollout.max_new_tokens,
                                       .overlong_from = settings->reward.overlong_from,
                                       .overlong_to = overlong_end(settings),
                                       .rules = &rules};
    answer->reward = 0.0;
    for (int64_t p = 0; p < settings->reward.parts_count; p++) {
        answer->parts[p] = part_value(&settings->reward.parts[p], &input);
        answer->reward += settings->reward.parts[p].weight * answer->parts[p];
    }
    answer->reward_penalised = answer->reward;
}
