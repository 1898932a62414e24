/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of rewards.
 */
#include "reward/reward.h"

#include <string.h>

static const struct reward_rule *const rules[] = {
    &reward_format, &reward_answer, &reward_math, &reward_length, &reward_overlong,
};

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
