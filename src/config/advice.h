/* SPDX-License-Identifier: Apache-2.0
 *
 * What to say behind a name that is not known: what it is called here, or that it is not there yet
 * and what to do meanwhile (both declared in advice.def), else the nearest known name, else where
 * the known names are listed.
 */
#ifndef CONFIG_ADVICE_H
#define CONFIG_ADVICE_H

#include <stddef.h>

#include "config/parameter.h"

/* The end of a sentence such as "x.cfg:3: unknown parameter optimizer.lr", with its own ": " or
 * "; ". Each returns out. */
const char *advice_on_group(const char *name, size_t length, char out[SETTINGS_ADVICE_MAX]);
const char *advice_on_parameter(const char *group, size_t group_length, const char *name,
                                size_t length, char out[SETTINGS_ADVICE_MAX]);
const char *advice_on_word(const struct parameter *choice, const char *word,
                           char out[SETTINGS_ADVICE_MAX]);
const char *advice_on_field(const struct parameter *records, const char *name,
                            char out[SETTINGS_ADVICE_MAX]);

/* The rows of advice.def. */
enum advice_kind { ADVICE_CALLED, ADVICE_INSTEAD, ADVICE_PLANNED };
struct advice {
    enum advice_kind kind;
    const char *place, *word, *says;
};
extern const struct advice advice_table[];
extern const int advice_count;

#endif
