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

/* What the settings say to the rules. */
struct rules {
    struct extract_tags think;
    struct answer_rules answer;
};

static enum status make_tags(const char *parameter, const char *name, struct extract_tags *tags) {
    char quoted[STATUS_QUOTE_MAX];
    if (extract_tags_make(name, tags))
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s: '%s' is no name of a tag, which has 1 to %d characters and no < > / or white "
                "space among them",
                parameter, status_quote(quoted, name, SIZE_MAX), EXTRACT_NAME_MOST);
}

static enum status rules_of(const struct settings_reward *reward, struct rules *out) {
    if (answer_rules_read(reward->math_places, reward->math_places_count, reward->math_tolerance,
                          &out->answer) != STATUS_OK)
        return FAIL(STATUS_INPUT, "reward.math_places: %s", status_sentence());
    TRY(make_tags("reward.think_tag", reward->think_tag, &out->think));
    TRY(make_tags("reward.answer_tag", reward->answer_tag, &out->answer.block));
    if (strcmp(reward->think_tag, reward->answer_tag) == 0)
        return FAIL(STATUS_INPUT, "reward.think_tag and reward.answer_tag are both '%s'",
                    reward->think_tag);
    return STATUS_OK;
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
    struct rules rules;
    TRY(rules_of(reward, &rules));
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

enum status rewards_check_rules(const struct settings *settings) {
    struct rules rules;
    return rules_of(&settings->reward, &rules);
}

/* What the rules are asked; `rules` is filled and lives as long. */
static struct reward_input input_of(const struct settings *settings,
                                    const struct rewards_case *answer, struct rules *rules) {
    const enum status known = rules_of(&settings->reward, rules);
    ASSERT(known == STATUS_OK); /* rewards_check */
    return (struct reward_input){.text = answer->text,
                                 .length = answer->length,
                                 .reference = answer->reference,
                                 .reference_length = answer->reference_length,
                                 .tokens = answer->tokens,
                                 .max_new_tokens = settings->rollout.max_new_tokens,
                                 .overlong_from = settings->reward.overlong_from,
                                 .overlong_to = overlong_end(settings),
                                 .think = &rules->think,
                                 .answer = &rules->answer.block,
                                 .rules = &rules->answer};
}

bool rewards_verdict(const struct settings *settings, const struct reward_rule *rule,
                     const struct rewards_case *answer, struct span *extracted) {
    struct rules rules;
    const struct reward_input input = input_of(settings, answer, &rules);
    if (!rule->extract(&input, extracted))
        *extracted = (struct span){answer->text, 0};
    return rule->score(&input) > 0.0;
}

void rewards_of_answer(const struct settings *settings, const char *reference,
                       size_t reference_length, struct rollout_answer *answer) {
    struct rules rules;
    const struct rewards_case asked = {.text = strbuf_text(&answer->text),
                                       .length = answer->text.length,
                                       .reference = reference,
                                       .reference_length = reference_length,
                                       .tokens = answer->n};
    const struct reward_input input = input_of(settings, &asked, &rules);
    answer->reward = 0.0;
    for (int64_t p = 0; p < settings->reward.parts_count; p++) {
        answer->parts[p] = part_value(&settings->reward.parts[p], &input);
        answer->reward += settings->reward.parts[p].weight * answer->parts[p];
    }
    answer->reward_penalised = answer->reward;
}
