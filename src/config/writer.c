/* SPDX-License-Identifier: Apache-2.0
 *
 * From struct settings back to text: the dump settings.cfg, input/reference.cfg, and the pages of
 * `gradus params`. Reals are written with as many digits as it takes to read the same number back
 * (at most 17) and always with a point or an exponent, which is how libconfig knows them.
 */
#include "config/parameter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/advice.h"
#include "config/scan.h"

/* --- values --- */

/* The fewest digits that give the number back, and no exponent where it can be read without. */
static enum status append_real(double value, struct strbuf *out) {
    if (value == floor(value) && fabs(value) < 1e15)
        return strbuf_append_format(out, "%.1f", value);
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return strbuf_append_format(out, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

/* A line break or tab before a letter that would be taken for the name of a LaTeX command, and all
 * other control characters, are written by their number. */
static enum status append_quoted(const char *text, struct strbuf *out) {
    TRY(strbuf_append_text(out, "\""));
    for (const char *c = text; *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (*c == '"' || *c == '\\')
            TRY(strbuf_append_format(out, "\\%c", *c));
        else if (*c == '\n' && !scan_is_command('n', c + 1))
            TRY(strbuf_append_text(out, "\\n"));
        else if (byte < 0x20 || byte == 0x7f)
            TRY(strbuf_append_format(out, "\\x%02x", byte));
        else
            TRY(strbuf_append(out, c, 1));
    }
    return strbuf_append_text(out, "\"");
}

static enum status append_texts(char *const *texts, int64_t count, struct strbuf *out) {
    TRY(strbuf_append_text(out, count > 0 ? "[ " : "()"));
    for (int64_t i = 0; i < count; i++) {
        TRY(append_quoted(texts[i], out));
        TRY(strbuf_append_text(out, i + 1 < count ? ", " : " ]"));
    }
    return STATUS_OK;
}

static enum status append_integers(const int64_t *values, int64_t count, struct strbuf *out) {
    TRY(strbuf_append_text(out, count > 0 ? "[ " : "()"));
    for (int64_t i = 0; i < count; i++)
        TRY(strbuf_append_format(out, "%lld%s", (long long)values[i], i + 1 < count ? ", " : " ]"));
    return STATUS_OK;
}

static enum status append_pair(const double *pair, struct strbuf *out) {
    TRY(strbuf_append_text(out, "[ "));
    TRY(append_real(pair[0], out));
    TRY(strbuf_append_text(out, ", "));
    TRY(append_real(pair[1], out));
    return strbuf_append_text(out, " ]");
}

static enum status append_records(const struct parameter *parameter, const void *base,
                                  struct strbuf *out) {
    const int64_t count = parameter_count_const(parameter, base);
    TRY(strbuf_append_text(out, count > 0 ? "( " : "()"));
    for (int64_t i = 0; i < count; i++) {
        TRY(strbuf_append_text(out, "{ "));
        for (int f = 0; f < parameter->field_count; f++) {
            TRY(strbuf_append_format(out, "%s = ", parameter->fields[f].name));
            TRY(parameter_append_value(&parameter->fields[f], parameter_record(parameter, base, i),
                                       out));
            TRY(strbuf_append_text(out, "; "));
        }
        TRY(strbuf_append_text(out, i + 1 < count ? "}, " : "} )"));
    }
    return STATUS_OK;
}

static bool is_absent(const struct parameter *parameter, const void *base) {
    return parameter->kind == PARAMETER_TEXT &&
           *(char *const *)parameter_value_const(parameter, base) == NULL;
}

enum status parameter_append_value(const struct parameter *parameter, const void *base,
                                   struct strbuf *out) {
    const void *const value = parameter_value_const(parameter, base);
    switch (parameter->kind) {
    case PARAMETER_INT:
        return strbuf_append_format(out, "%lld", (long long)*(const int64_t *)value);
    case PARAMETER_REAL:
        return append_real(*(const double *)value, out);
    case PARAMETER_PAIR:
        return append_pair(value, out);
    case PARAMETER_BOOL:
        return strbuf_append_text(out, *(const bool *)value ? "true" : "false");
    case PARAMETER_TEXT:
        return is_absent(parameter, base) ? STATUS_OK : append_quoted(*(char *const *)value, out);
    case PARAMETER_CHOICE:
        return strbuf_append_format(out, "\"%s\"", parameter->words[*(const int *)value]);
    case PARAMETER_TEXTS:
        return append_texts(*(char **const *)value, parameter_count_const(parameter, base), out);
    case PARAMETER_INTS:
        return append_integers(*(int64_t *const *)value, parameter_count_const(parameter, base),
                               out);
    case PARAMETER_RECORDS:
        return append_records(parameter, base, out);
    }
    return STATUS_OK;
}

/* --- descriptions --- */

static const char *kind_words(const struct parameter *parameter) {
    switch (parameter->kind) {
    case PARAMETER_INT:
        return "integer";
    case PARAMETER_REAL:
        return "real";
    case PARAMETER_PAIR:
        return "two reals, the lower first";
    case PARAMETER_BOOL:
        return "true or false";
    case PARAMETER_TEXT:
        return (parameter->flags & PARAMETER_PATH) != 0 ? "path, relative to the input file"
                                                        : "text";
    case PARAMETER_CHOICE:
        return "one of";
    case PARAMETER_TEXTS:
        return "list of texts";
    case PARAMETER_INTS:
        return "list of integers";
    case PARAMETER_RECORDS:
        return "list of records with the fields";
    }
    return "";
}

static enum status append_field_names(const struct parameter *parameter, struct strbuf *out) {
    for (int f = 0; f < parameter->field_count; f++)
        TRY(strbuf_append_format(out, "%s%s", f > 0 ? ", " : " ", parameter->fields[f].name));
    return STATUS_OK;
}

/* "real, 0.0 to 1.0, [tokens]" */
static enum status append_type(const struct parameter *parameter, struct strbuf *out) {
    TRY(strbuf_append_text(out, kind_words(parameter)));
    if (parameter->kind == PARAMETER_INT || parameter->kind == PARAMETER_INTS)
        TRY(strbuf_append_format(out, ", %lld to %lld", (long long)parameter->integer_least,
                                 (long long)parameter->integer_most));
    if (parameter->kind == PARAMETER_REAL || parameter->kind == PARAMETER_PAIR) {
        TRY(strbuf_append_text(out, ", "));
        TRY(append_real(parameter->real_least, out));
        TRY(strbuf_append_text(out, " to "));
        TRY(append_real(parameter->real_most, out));
    }
    for (int i = 0; i < parameter->word_count; i++)
        TRY(strbuf_append_format(out, "%s%s", i > 0 ? ", " : " ", parameter->words[i]));
    TRY(append_field_names(parameter, out));
    if (parameter->unit[0] != '\0' && strcmp(parameter->unit, "1") != 0)
        TRY(strbuf_append_format(out, " [%s]", parameter->unit));
    return STATUS_OK;
}

static const char *must_words(const struct parameter *parameter) {
    if ((parameter->flags & PARAMETER_ALWAYS) != 0)
        return "must be given";
    const bool training = (parameter->flags & PARAMETER_TRAINING) != 0,
               evaluation = (parameter->flags & PARAMETER_EVALUATION) != 0;
    return training && evaluation ? "must be given for training and eval"
           : training             ? "must be given for training"
           : evaluation           ? "must be given for eval"
                                  : NULL;
}

/* "must be given", "absent unless given" or "default VALUE"; `base` holds the defaults. */
static enum status append_default(const struct parameter *parameter, const void *base,
                                  struct strbuf *out) {
    const char *const must = must_words(parameter);
    if (must != NULL)
        return strbuf_append_text(out, must);
    if (is_absent(parameter, base))
        return strbuf_append_text(out, "absent unless given");
    TRY(strbuf_append_text(out, "default "));
    return parameter_append_value(parameter, base, out);
}

/* Whether a run that goes on may have another value: of every parameter that may. */
static enum status append_freedom(const struct parameter *parameter, struct strbuf *out) {
    return strbuf_append_text(
        out, (parameter->flags & PARAMETER_FREE) != 0 ? "; may change when a run goes on" : "");
}

/* The fields of a record, one per line after `indent`. */
static enum status append_fields(const struct parameter *parameter, const char *indent,
                                 struct strbuf *out) {
    for (int f = 0; f < parameter->field_count; f++) {
        const struct parameter *const field = &parameter->fields[f];
        TRY(strbuf_append_format(out, "%s%s: %s; ", indent, field->name, field->sentence));
        TRY(append_type(field, out));
        TRY(strbuf_append_text(out, "; "));
        if (must_words(field) != NULL)
            TRY(strbuf_append_text(out, must_words(field)));
        else if (field->kind == PARAMETER_TEXT)
            TRY(strbuf_append_format(out, "default \"%s\"", field->text));
        else if (field->kind == PARAMETER_INT)
            TRY(strbuf_append_format(out, "default %lld", (long long)field->integer));
        else {
            TRY(strbuf_append_text(out, "default "));
            TRY(append_real(field->real, out));
        }
        TRY(append_freedom(field, out));
        TRY(strbuf_append_text(out, "\n"));
    }
    return STATUS_OK;
}

enum status parameter_append_condition(const struct parameter_condition *condition,
                                       struct strbuf *out) {
    char full[PARAMETER_NAME_MAX];
    const struct parameter *const other = &parameter_table[condition->other];
    TRY(strbuf_append_format(out, "%s is ", parameter_full_name(other, full)));
    if (other->kind != PARAMETER_CHOICE)
        return strbuf_append_text(out, condition->words);
    for (const char *word = condition->words; *word != '\0';) {
        const size_t length = strcspn(word, " ");
        const char *const next = word + length + (word[length] == ' ');
        const bool last = *next == '\0' || strchr(next, ' ') == NULL;
        TRY(strbuf_append(out, word, length));
        TRY(strbuf_append_text(out, *next == '\0' ? "" : last ? " or " : ", "));
        word = next;
    }
    return STATUS_OK;
}

/* "; only where … and …", which a parameter without conditions has not. */
static enum status append_conditions(const struct parameter *parameter, struct strbuf *out) {
    const char *before = "; only where ";
    for (int i = 0; i < parameter_condition_count; i++) {
        if (&parameter_table[parameter_conditions[i].parameter] != parameter)
            continue;
        TRY(strbuf_append_text(out, before));
        TRY(parameter_append_condition(&parameter_conditions[i], out));
        before = " and ";
    }
    return STATUS_OK;
}

/* --- settings.cfg --- */

static enum status dump_parameter(const struct settings *settings,
                                  const struct parameter *parameter, struct strbuf *out) {
    const char *const origin = settings->origins[parameter_id(parameter)];
    const bool missing =
        is_absent(parameter, settings) || (must_words(parameter) != NULL && origin == NULL);
    TRY(strbuf_append_format(out,
                             missing ? "    # %s is not given" : "    %s = ", parameter->name));
    if (!missing) {
        TRY(parameter_append_value(parameter, settings, out));
        TRY(strbuf_append_text(out, ";"));
    }
    const bool unit = parameter->unit[0] != '\0' && strcmp(parameter->unit, "1") != 0;
    return strbuf_append_format(out, "  # %s; %s%s%s%s\n", origin == NULL ? "default" : origin,
                                parameter->sentence, unit ? " [" : "", unit ? parameter->unit : "",
                                unit ? "]" : "");
}

enum status settings_dump(const struct settings *settings, struct strbuf *out) {
    const struct parameter *parameter = parameter_table;
    const struct parameter *const end = parameter + SETTINGS_COUNT;
    TRY(strbuf_append_text(out, "# All settings of a run, each with its origin. This is an input "
                                "file: it gives the same run again.\n"));
    for (const struct parameter_group *group = parameter_groups; group->name != NULL; group++) {
        TRY(strbuf_append_format(out, "\n%s : {  # %s\n", group->name, group->sentence));
        for (; parameter < end && strcmp(parameter->group, group->name) == 0; parameter++)
            TRY(dump_parameter(settings, parameter, out));
        TRY(strbuf_append_text(out, "};\n"));
    }
    return STATUS_OK;
}

/* --- input/reference.cfg --- */

static enum status refer_parameter(const struct settings *defaults,
                                   const struct parameter *parameter, struct strbuf *out) {
    const bool missing = must_words(parameter) != NULL || is_absent(parameter, defaults);
    TRY(strbuf_append_format(out, "    # %s\n    # ", parameter->sentence));
    TRY(append_type(parameter, out));
    TRY(strbuf_append_text(out, "; "));
    TRY(append_default(parameter, defaults, out));
    TRY(append_conditions(parameter, out));
    TRY(append_freedom(parameter, out));
    TRY(strbuf_append_text(out, "\n"));
    TRY(append_fields(parameter, "    #   ", out));
    if (missing)
        return strbuf_append_format(out, "    # %s = …;\n", parameter->name);
    TRY(strbuf_append_format(out, "    %s = ", parameter->name));
    TRY(parameter_append_value(parameter, defaults, out));
    return strbuf_append_text(out, ";\n");
}

static enum status refer_all(const struct settings *defaults, struct strbuf *out) {
    const struct parameter *parameter = parameter_table;
    const struct parameter *const end = parameter + SETTINGS_COUNT;
    TRY(strbuf_append_text(
        out,
        "# Every parameter of an input file: what it is, what it takes, its default.\n"
        "# A run that goes on (`gradus train` again) has the values that it began with, but for\n"
        "# those that may change. Made by `gradus params --reference`.\n"));
    for (const struct parameter_group *group = parameter_groups; group->name != NULL; group++) {
        TRY(strbuf_append_format(out, "\n# %s\n%s : {\n", group->sentence, group->name));
        for (bool first = true; parameter < end && strcmp(parameter->group, group->name) == 0;
             parameter++, first = false) {
            TRY(strbuf_append_text(out, first ? "" : "\n"));
            TRY(refer_parameter(defaults, parameter, out));
        }
        TRY(strbuf_append_text(out, "};\n"));
    }
    return STATUS_OK;
}

/* --- gradus params --- */

enum status settings_value(const struct settings *settings, const char *name, struct strbuf *out) {
    char quoted[STATUS_QUOTE_MAX];
    const struct parameter *const parameter = parameter_find_full(name, strlen(name));
    if (parameter == NULL)
        return FAIL(STATUS_USAGE, "there is no parameter %s", status_quote(quoted, name, SIZE_MAX));
    if (is_absent(parameter, settings))
        return STATUS_OK;
    if (parameter->kind == PARAMETER_TEXT)
        return strbuf_append_text(out, *(char *const *)parameter_value_const(parameter, settings));
    return parameter_append_value(parameter, settings, out);
}

static enum status help_page(const struct settings *defaults, const struct parameter *parameter,
                             struct strbuf *out) {
    TRY(strbuf_append_format(out, "%s.%s\n    %s\n    ", parameter->group, parameter->name,
                             parameter->sentence));
    TRY(append_type(parameter, out));
    TRY(strbuf_append_text(out, "; "));
    TRY(append_default(parameter, defaults, out));
    TRY(append_conditions(parameter, out));
    TRY(append_freedom(parameter, out));
    TRY(strbuf_append_text(out, "\n"));
    return append_fields(parameter, "        ", out);
}

static enum status help_group(const struct settings *defaults, const struct parameter_group *group,
                              struct strbuf *out) {
    TRY(strbuf_append_format(out, "%s: %s\n", group->name, group->sentence));
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (strcmp(parameter_table[i].group, group->name) == 0)
            TRY(help_page(defaults, &parameter_table[i], out));
    return STATUS_OK;
}

static enum status help_list(const struct settings *defaults, struct strbuf *out) {
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        char full[PARAMETER_NAME_MAX];
        TRY(strbuf_append_format(out, "%-28s ", parameter_full_name(&parameter_table[i], full)));
        TRY(append_default(&parameter_table[i], defaults, out));
        TRY(strbuf_append_text(out, "\n"));
    }
    return strbuf_append_text(out, "\n`gradus params GROUP` and `gradus params GROUP.NAME` tell "
                                   "what they are.\n");
}

static enum status help_any(const struct settings *defaults, const char *name, struct strbuf *out) {
    if (name == NULL)
        return help_list(defaults, out);
    const size_t length = strlen(name);
    const struct parameter_group *const group = parameter_group_find(name, length);
    const struct parameter *const parameter = parameter_find_full(name, length);
    if (group != NULL)
        return help_group(defaults, group, out);
    if (parameter != NULL)
        return help_page(defaults, parameter, out);
    char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    const char *const dot = strchr(name, '.');
    if (dot == NULL)
        return FAIL(STATUS_USAGE, "there is no group %s%s", status_quote(quoted, name, length),
                    advice_on_group(name, length, advice));
    return FAIL(STATUS_USAGE, "there is no parameter %s%s", status_quote(quoted, name, length),
                advice_on_parameter(name, (size_t)(dot - name), dot + 1, strlen(dot + 1), advice));
}

/* Both need the defaults as a struct, which they print. */
enum status settings_reference(struct strbuf *out) {
    struct settings defaults = {.origins = {NULL}};
    enum status status = settings_set_defaults(&defaults);
    if (status == STATUS_OK)
        status = refer_all(&defaults, out);
    settings_release(&defaults);
    return status;
}

enum status settings_help(const char *name, struct strbuf *out) {
    struct settings defaults = {.origins = {NULL}};
    enum status status = settings_set_defaults(&defaults);
    if (status == STATUS_OK)
        status = help_any(&defaults, name, out);
    settings_release(&defaults);
    return status;
}
