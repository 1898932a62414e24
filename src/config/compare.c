/* SPDX-License-Identifier: Apache-2.0
 *
 * What two settings do not share, and whether a run may go on with the other value.
 */
#include "config/parameter.h"

#include <stdio.h>
#include <string.h>

struct comparison {
    const void *before, *now;
    enum status (*tell)(void *context, const struct settings_difference *difference);
    void *context;
};

/* One value, inside the settings or inside a record. */
static enum status compare_value(const struct comparison *comparison,
                                 const struct parameter *parameter, const char *name) {
    struct strbuf before = STRBUF_EMPTY, now = STRBUF_EMPTY;
    enum status status = parameter_append_value(parameter, comparison->before, &before);
    if (status == STATUS_OK)
        status = parameter_append_value(parameter, comparison->now, &now);
    if (status == STATUS_OK && strcmp(strbuf_text(&before), strbuf_text(&now)) != 0)
        status = comparison->tell(
            comparison->context,
            &(struct settings_difference){.name = name,
                                          .before = strbuf_text(&before),
                                          .now = strbuf_text(&now),
                                          .may_change = (parameter->flags & PARAMETER_FREE) != 0});
    strbuf_release(&before);
    strbuf_release(&now);
    return status;
}

/* Lists of one length field by field; of two lengths as a whole. */
static enum status compare_records(const struct comparison *comparison,
                                   const struct parameter *parameter, const char *name) {
    const int64_t count = parameter_count_const(parameter, comparison->now);
    char field[PARAMETER_NAME_MAX + 64];
    if (count != parameter_count_const(parameter, comparison->before))
        return compare_value(comparison, parameter, name);
    for (int64_t i = 0; i < count; i++) {
        struct comparison records = *comparison;
        records.before = parameter_record(parameter, comparison->before, i);
        records.now = parameter_record(parameter, comparison->now, i);
        for (int f = 0; f < parameter->field_count; f++) {
            snprintf(field, sizeof field, "%s[%lld].%.40s", name, (long long)i,
                     parameter->fields[f].name);
            TRY(compare_value(&records, &parameter->fields[f], field));
        }
    }
    return STATUS_OK;
}

enum status settings_compare(const struct settings *before, const struct settings *now,
                             enum status (*tell)(void *context,
                                                 const struct settings_difference *difference),
                             void *context) {
    const struct comparison comparison = {before, now, tell, context};
    char name[PARAMETER_NAME_MAX];
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        const struct parameter *const parameter = &parameter_table[i];
        parameter_full_name(parameter, name);
        TRY((parameter->kind == PARAMETER_RECORDS ? compare_records
                                                  : compare_value)(&comparison, parameter, name));
    }
    return STATUS_OK;
}
