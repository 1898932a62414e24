/* SPDX-License-Identifier: Apache-2.0 */
#include "update/update.h"

#include <stddef.h>
#include <string.h>

static const struct update_rule *const rules[] = {
    &update_single,
};

const struct update_rule *const *update_list(int *count) {
    *count = (int)(sizeof rules / sizeof rules[0]);
    return rules;
}

const struct update_rule *update_find(const char *name) {
    int count;
    const struct update_rule *const *list = update_list(&count);
    for (int i = 0; i < count; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

enum status update_iteration(const struct update_problem *problem, struct update_report *report) {
    for (int i = 0; i < problem->mini_batches; i++) {
        bool finite = false;
        TRY(problem->gradient(problem->context, i, report->backward_passes, &finite));
        report->backward_passes++;
        if (!finite) {
            report->skipped++;
            continue;
        }
        TRY(problem->step(problem->context));
        report->optimizer_steps++;
    }
    return STATUS_OK;
}
