/* SPDX-License-Identifier: Apache-2.0 */
#include "method/rewards.h"

#include <string.h>

#include "base/memory.h"
#include "reward/library.h"
#include "reward/program.h"
#include "reward/reward.h"

static enum status check_name(const char *name) {
    char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    if (reward_find(name) != NULL)
        return STATUS_OK;
    settings_advice("reward.parts.name", name, advice);
    return FAIL(STATUS_INPUT, "reward.parts: no rule is called '%s'%s",
                status_quote(quoted, name, SIZE_MAX),
                advice[0] != '\0'
                    ? advice
                    : "; known are format, answer, math, length, overlong, program, plugin");
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

/* A part from outside names what it is, and no other does. */
static enum status check_outside(const struct reward_part *part) {
    const struct reward_rule *rule = reward_find(part->name);
    const bool program = rule == &reward_outside_program, library = rule == &reward_outside_plugin;
    if (program && part->program[0] == '\0')
        return FAIL(STATUS_INPUT, "reward.parts: the part program lacks program, the file to run");
    if (library && part->library[0] == '\0')
        return FAIL(STATUS_INPUT, "reward.parts: the part plugin lacks library, the shared object");
    if ((!program && part->program[0] != '\0') || (!library && part->library[0] != '\0') ||
        (!program && !library && part->arguments[0] != '\0'))
        return FAIL(
            STATUS_INPUT,
            "reward.parts: program, library and arguments are for parts with the name program "
            "or plugin, and here stand beside %s",
            part->name);
    return program ? reward_program_check(part->program) : STATUS_OK;
}

enum status rewards_check(const struct settings *settings) {
    const struct settings_reward *reward = &settings->reward;
    struct rules rules;
    TRY(rules_of(reward, &rules));
    for (int64_t i = 0; i < reward->parts_count; i++) {
        TRY(check_name(reward->parts[i].name));
        if (reward_find(reward->parts[i].name) == &reward_overlong)
            TRY(check_overlong(settings));
        TRY(check_outside(&reward->parts[i]));
        for (int64_t k = 0; k < i; k++)
            if (strcmp(reward->parts[i].name, reward->parts[k].name) == 0)
                return FAIL(
                    STATUS_INPUT,
                    "reward.parts lists '%s' twice: give it once, with the sum of the weights",
                    reward->parts[i].name);
    }
    if ((reward->parts_count < 1 && settings->run.method != SETTING_METHOD_ADVERSARIAL) ||
        reward->parts_count > REWARD_PARTS_MAX)
        return FAIL(STATUS_INPUT, "reward.parts lists %lld rules; 1 to %d are possible",
                    (long long)reward->parts_count, REWARD_PARTS_MAX);
    return STATUS_OK;
}

/* --- what answers an answer --- */

struct rewards {
    const struct settings *settings; /* borrowed */
    struct rules rules;
    const struct reward_rule *parts[REWARD_PARTS_MAX];
    struct reward_program *program; /* NULL: no part is one; likewise the library */
    struct reward_library *library;
};

static enum status open_part(struct rewards *rewards, const struct reward_part *part, int rank,
                             int ranks) {
    const struct reward_rule *rule = reward_find(part->name);
    if (rule == &reward_outside_plugin)
        return reward_library_open(&rewards->library, part->library, part->arguments);
    if (rule != &reward_outside_program)
        return STATUS_OK;
    const struct reward_program_settings program = {.path = part->program,
                                                    .arguments = part->arguments,
                                                    .deadline_s = part->deadline_s,
                                                    .rank = rank,
                                                    .ranks = ranks};
    return reward_program_open(&rewards->program, &program);
}

static enum status open_parts(struct rewards *rewards, int rank, int ranks) {
    const struct settings_reward *reward = &rewards->settings->reward;
    TRY(rewards_check(rewards->settings));
    TRY(rules_of(reward, &rewards->rules));
    for (int64_t p = 0; p < reward->parts_count; p++) {
        rewards->parts[p] = reward_find(reward->parts[p].name);
        TRY(open_part(rewards, &reward->parts[p], rank, ranks));
    }
    return STATUS_OK;
}

enum status rewards_open(struct rewards **rewards, const struct settings *settings, int rank,
                         int ranks) {
    TRY(memory_new(rewards, 1, "rewards"));
    (*rewards)->settings = settings;
    const enum status status = open_parts(*rewards, rank, ranks);
    if (status != STATUS_OK)
        rewards_close(rewards);
    return status;
}

void rewards_close(struct rewards **rewards) {
    if (*rewards == NULL)
        return;
    reward_program_close(&(*rewards)->program);
    reward_library_close(&(*rewards)->library);
    memory_release(rewards);
}

/* What the rules are asked. */
static struct reward_input input_of(const struct settings *settings, const struct rules *rules,
                                    const struct rewards_case *answer) {
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

/* The same with what only rewards from outside look at. */
static struct reward_input input_of_item(const struct rewards *rewards,
                                         const struct rewards_item *item) {
    const struct rollout_answer *answer = item->answer;
    const struct rewards_case asked = {.text = strbuf_text(&answer->text),
                                       .length = answer->text.length,
                                       .reference = strbuf_text(item->reference),
                                       .reference_length = item->reference->length,
                                       .tokens = answer->n};
    struct reward_input input = input_of(rewards->settings, &rewards->rules, &asked);
    input.prompt = strbuf_text(item->prompt);
    input.prompt_length = item->prompt->length;
    input.finish_reason = finish_reason_word(rollout_answer_finish(answer));
    input.step = item->step;
    input.group = item->group;
    input.answer_index = item->index;
    input.source = item->source;
    input.row = item->row;
    return input;
}

/* What the rule of a part says of each answer: scores (count). */
static enum status score_part(struct rewards *rewards, int64_t part,
                              const struct reward_input *inputs, int64_t count,
                              const struct pulse *pulse, double *scores) {
    const struct reward_rule *rule = rewards->parts[part];
    if (rule == &reward_outside_program)
        return reward_program_grade(rewards->program, inputs, count, pulse, scores);
    for (int64_t i = 0; i < count; i++) {
        if (rule == &reward_outside_plugin) {
            TRY(pulse_beat(pulse));
            TRY(reward_library_grade(rewards->library, &inputs[i], &scores[i]));
        } else {
            scores[i] = rule->score(&inputs[i]);
        }
    }
    return STATUS_OK;
}

/* A score, scaled and cut. */
static double part_value(const struct reward_part *part, double score) {
    const double value = part->scale * score;
    if (part->clip == 0.0)
        return value;
    return value > part->clip ? part->clip : value < -part->clip ? -part->clip : value;
}

static enum status grade_parts(struct rewards *rewards, const struct rewards_item *items,
                               const struct reward_input *inputs, int64_t count,
                               const struct pulse *pulse, double *scores) {
    const struct settings_reward *reward = &rewards->settings->reward;
    for (int64_t i = 0; i < count; i++)
        items[i].answer->reward = 0.0;
    for (int64_t p = 0; p < reward->parts_count; p++) {
        TRY(score_part(rewards, p, inputs, count, pulse, scores));
        for (int64_t i = 0; i < count; i++) {
            struct rollout_answer *answer = items[i].answer;
            answer->parts[p] = part_value(&reward->parts[p], scores[i]);
            answer->reward += reward->parts[p].weight * answer->parts[p];
        }
    }
    for (int64_t i = 0; i < count; i++)
        items[i].answer->reward_penalised = items[i].answer->reward;
    return STATUS_OK;
}

enum status rewards_grade(struct rewards *rewards, const struct rewards_item *items, int64_t count,
                          const struct pulse *pulse) {
    struct reward_input *inputs = NULL;
    double *scores = NULL;
    enum status status = memory_new(&inputs, count, "answers to reward");
    if (status == STATUS_OK)
        status = memory_new(&scores, count, "answers to reward");
    for (int64_t i = 0; status == STATUS_OK && i < count; i++)
        inputs[i] = input_of_item(rewards, &items[i]);
    if (status == STATUS_OK)
        status = grade_parts(rewards, items, inputs, count, pulse, scores);
    memory_release(&inputs);
    memory_release(&scores);
    return status;
}

/* --- a verdict --- */

enum status rewards_check_rules(const struct settings *settings) {
    struct rules rules;
    return rules_of(&settings->reward, &rules);
}

bool rewards_verdict(const struct settings *settings, const struct reward_rule *rule,
                     const struct rewards_case *answer, struct span *extracted) {
    struct rules rules;
    const enum status known = rules_of(&settings->reward, &rules);
    ASSERT(known == STATUS_OK); /* rewards_check_rules */
    const struct reward_input input = input_of(settings, &rules, answer);
    if (!rule->extract(&input, extracted))
        *extracted = (struct span){answer->text, 0};
    return rule->score(&input) > 0.0;
}
