/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of rewards.
 */
#include "reward/reward.h"

#include <string.h>

static const struct reward_rule *const rules[] = {
    &reward_format,   &reward_answer,          &reward_math,           &reward_length,
    &reward_overlong, &reward_outside_program, &reward_outside_plugin,
};

const struct reward_rule reward_outside_program = {
    .name = "program",
    .text = "what a program says that is asked by JSON lines",
};

const struct reward_rule reward_outside_plugin = {
    .name = "plugin",
    .text = "what a function in a shared object says",
};

const struct extract_tags *reward_think_tags(const struct reward_input *input) {
    static const struct extract_tags usual = {"<think>", "</think>"};
    return input->think != NULL ? input->think : &usual;
}

const struct extract_tags *reward_answer_tags(const struct reward_input *input) {
    return input->answer != NULL ? input->answer : &answer_rules_usual.block;
}

const struct reward_rule *const *reward_list(int *count) {
    *count = (int)(sizeof rules / sizeof rules[0]);
    return rules;
}

const struct reward_rule *reward_find(const char *name) {
    int count;
    const struct reward_rule *const *list = reward_list(&count);
    for (int i = 0; i < count; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}
