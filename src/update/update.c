/* SPDX-License-Identifier: Apache-2.0 */
#include "update/update.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const struct update_rule *const rules[] = {
    &update_single,
    &update_sfpo,
    &update_gxpo,
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

struct update_report update_report_empty(void) {
    const double none = (double)NAN;
    return (struct update_report){
        .entropy = none,
        .z = none,
        .ahead = {.norm_0 = none, .norm_1 = none, .norm_slow = none, .product_slow = none}};
}

enum status update_iteration(const struct update_problem *problem, struct update_report *report) {
    double entropy = 0;
    for (int i = 0; i < problem->mini_batches; i++) {
        struct update_found found = {.finite = false};
        TRY(problem->gradient(problem->context, i, report->backward_passes, &found));
        report->backward_passes++;
        entropy += found.entropy;
        if (!found.finite) {
            report->skipped++;
            continue;
        }
        TRY(problem->step(problem->context));
        report->optimizer_steps++;
    }
    report->entropy = entropy / problem->mini_batches;
    return STATUS_OK;
}

enum status update_rest(const struct update_settings *settings,
                        const struct update_problem *problem, struct shutoff *shutoff,
                        struct update_report *report) {
    shutoff_rest(shutoff, &settings->shutoff);
    return update_iteration(problem, report);
}
