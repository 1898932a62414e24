/* SPDX-License-Identifier: Apache-2.0
 *
 * From the text of an input file, parsed by libconfig, to struct settings. The only file that knows
 * libconfig.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "config/parameter.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

#include "base/file_kind.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "config/advice.h"
#include "config/scan.h"

enum { INPUT_BYTES_MAX = 1 << 20, LABEL_MAX = 2 * PARAMETER_NAME_MAX };

/* Where values come from, for sentences, origins and relative paths. */
struct source {
    char where[STATUS_QUOTE_MAX + 8]; /* the file as sentences name it, or "command line" */
    bool has_lines;
    char folder[PATH_MAX]; /* what relative paths are relative to, absolute */
};

/* A value and what to call it. */
struct item {
    const struct source *source;
    const config_setting_t *setting;
    const char *label; /* "rollout.top_p", "data.train[0].path" */
};

#define PLACE_MAX (STATUS_QUOTE_MAX + 40)

static const char *source_place(const struct source *source, const config_setting_t *setting,
                                char out[PLACE_MAX]) {
    if (source->has_lines)
        snprintf(out, PLACE_MAX, "%s:%d", source->where, (int)config_setting_source_line(setting));
    else
        snprintf(out, PLACE_MAX, "%s", source->where);
    return out;
}

/* Wrong value of an item: STATUS_INPUT with "place: label …". */
#define WRONG(item, format, ...)                                                                   \
    FAIL(STATUS_INPUT, "%s: %s " format,                                                           \
         source_place((item)->source, (item)->setting, (char[PLACE_MAX]){0}), (item)->label,       \
         __VA_ARGS__)

/* The folder of the file, or the working directory for NULL. */
static enum status source_init(struct source *source, const char *path) {
    *source = (struct source){.has_lines = path != NULL};
    if (path == NULL) {
        snprintf(source->where, sizeof source->where, "command line");
        return realpath(".", source->folder) != NULL
                   ? STATUS_OK
                   : FAIL(STATUS_IO, "the working directory cannot be found: %s", strerror(errno));
    }
    const size_t length = strlen(path);
    const char *tail = length > 80 ? path + length - 77 : path;
    char quoted[STATUS_QUOTE_MAX];
    for (int i = 0; i < 3 && tail > path && ((unsigned char)*tail & 0xc0) == 0x80; i++)
        tail++; /* to the beginning of a character */
    snprintf(source->where, sizeof source->where, "%s%s", tail == path ? "" : "...",
             status_quote(quoted, tail, SIZE_MAX));
    const char *const slash = strrchr(path, '/');
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    if (realpath(folder, source->folder) == NULL)
        return FAIL(STATUS_INPUT, "%s: the folder of this input file cannot be found: %s",
                    source->where, strerror(errno));
    return STATUS_OK;
}

/* --- values --- */

static const char *type_words(const config_setting_t *setting) {
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "an integer";
    case CONFIG_TYPE_FLOAT:
        return "a real";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    default:
        return "a list";
    }
}

static bool is_integer(const config_setting_t *setting) {
    const int type = config_setting_type(setting);
    return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
}

static bool is_list(const config_setting_t *setting) {
    const int type = config_setting_type(setting);
    return type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY;
}

static enum status check_integer(const struct item *item, const struct parameter *parameter,
                                 int64_t given) {
    if (given < parameter->integer_least)
        return WRONG(item, "= %lld is too small; the least is %lld", (long long)given,
                     (long long)parameter->integer_least);
    if (given > parameter->integer_most)
        return WRONG(item, "= %lld is too large; the most is %lld", (long long)given,
                     (long long)parameter->integer_most);
    return STATUS_OK;
}

static enum status read_integer(const struct item *item, const struct parameter *parameter,
                                int64_t *value) {
    if (!is_integer(item->setting))
        return WRONG(item, "is %s; it takes an integer", type_words(item->setting));
    *value = config_setting_get_int64(item->setting);
    return check_integer(item, parameter, *value);
}

static enum status read_integers(const struct item *item, const struct parameter *parameter,
                                 int64_t **values, int64_t *count) {
    if (!is_list(item->setting))
        return WRONG(item, "is %s; it takes a list of integers, as [ 1, 4 ]",
                     type_words(item->setting));
    const int length = config_setting_length(item->setting);
    TRY(memory_new(values, length, "a list of integers of the settings"));
    for (*count = 0; *count < length; ++*count) {
        const config_setting_t *const element =
            config_setting_get_elem(item->setting, (unsigned)*count);
        if (!is_integer(element))
            return WRONG(item, "holds %s; each of its elements is an integer", type_words(element));
        (*values)[*count] = config_setting_get_int64(element);
        TRY(check_integer(item, parameter, (*values)[*count]));
    }
    return STATUS_OK;
}

static bool is_number(const config_setting_t *setting) {
    return is_integer(setting) || config_setting_type(setting) == CONFIG_TYPE_FLOAT;
}

static double number_of(const config_setting_t *setting) {
    return is_integer(setting) ? (double)config_setting_get_int64(setting)
                               : config_setting_get_float(setting);
}

static enum status check_real(const struct item *item, const struct parameter *parameter,
                              double given) {
    if (!isfinite(given))
        return WRONG(item, "is %s", "beyond the range of numbers; it takes a finite real");
    if (given < parameter->real_least)
        return WRONG(item, "= %.9g is too small; the least is %.9g", given, parameter->real_least);
    if (given > parameter->real_most)
        return WRONG(item, "= %.9g is too large; the most is %.9g", given, parameter->real_most);
    return STATUS_OK;
}

static enum status read_real(const struct item *item, const struct parameter *parameter,
                             double *value) {
    if (!is_number(item->setting))
        return WRONG(item, "is %s; it takes a real", type_words(item->setting));
    *value = number_of(item->setting);
    return check_real(item, parameter, *value);
}

static enum status read_pair(const struct item *item, const struct parameter *parameter,
                             double pair[2]) {
    if (!is_list(item->setting) || config_setting_length(item->setting) != 2)
        return WRONG(item, "is %s; it takes two reals, as [ 0.5, 2.0 ]",
                     is_list(item->setting) ? "a list of another length"
                                            : type_words(item->setting));
    for (unsigned i = 0; i < 2; i++) {
        const config_setting_t *const element = config_setting_get_elem(item->setting, i);
        if (!is_number(element))
            return WRONG(item, "holds %s; its two elements are reals", type_words(element));
        pair[i] = number_of(element);
        TRY(check_real(item, parameter, pair[i]));
    }
    return pair[0] <= pair[1]
               ? STATUS_OK
               : WRONG(item, "= [ %.9g, %.9g ] is no range: the lower bound is first", pair[0],
                       pair[1]);
}

static enum status read_bool(const struct item *item, bool *value) {
    if (config_setting_type(item->setting) != CONFIG_TYPE_BOOL)
        return WRONG(item, "is %s; it takes true or false", type_words(item->setting));
    *value = config_setting_get_bool(item->setting);
    return STATUS_OK;
}

/* An absolute path; folder is physical, so that a leading .. can be taken away. */
static enum status set_path(const struct item *item, const char *path, char **value) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", item->source->folder);
    if (path[0] == '/')
        return parameter_set_text(value, path, strlen(path));
    for (bool more = true; more;) {
        const bool up = strncmp(path, "../", 3) == 0 || strcmp(path, "..") == 0;
        const bool here = strncmp(path, "./", 2) == 0 || strcmp(path, ".") == 0;
        more = up || here;
        if (up && strrchr(folder, '/') != NULL)
            *strrchr(folder, '/') = '\0';
        path += up ? 2 : here ? 1 : 0;
        while (more && *path == '/')
            path++;
    }
    struct strbuf whole = STRBUF_EMPTY;
    const bool root = folder[0] == '\0' || strcmp(folder, "/") == 0;
    enum status status = strbuf_append_format(&whole, "%s%s%s", root ? "" : folder,
                                              *path != '\0' || root ? "/" : "", path);
    if (status == STATUS_OK)
        status = parameter_set_text(value, strbuf_text(&whole), whole.length);
    strbuf_release(&whole);
    return status;
}

static enum status read_text(const struct item *item, const struct parameter *parameter,
                             char **value) {
    if (config_setting_type(item->setting) != CONFIG_TYPE_STRING)
        return WRONG(item, "is %s; it takes a text in quotes", type_words(item->setting));
    const char *const given = config_setting_get_string(item->setting);
    if ((parameter->flags & PARAMETER_FILLED) != 0 && given[0] == '\0')
        return WRONG(item, "is empty; it is %s", parameter->sentence);
    if ((parameter->flags & PARAMETER_PATH) != 0 && given[0] != '\0')
        return set_path(item, given, value);
    if (!utf8_is_valid(given, strlen(given)))
        return WRONG(item, "is %s", "not UTF-8");
    return parameter_set_text(value, given, strlen(given));
}

static enum status read_choice(const struct item *item, const struct parameter *parameter,
                               int *value) {
    if (config_setting_type(item->setting) != CONFIG_TYPE_STRING)
        return WRONG(item, "is %s; it takes a word in quotes, such as \"%s\"",
                     type_words(item->setting), parameter->words[0]);
    const char *const given = config_setting_get_string(item->setting);
    const int index = parameter_word_find(parameter, given);
    char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    if (index < 0)
        return WRONG(item, "= \"%s\" is not known%s", status_quote(quoted, given, SIZE_MAX),
                     advice_on_word(parameter, given, advice));
    *value = index;
    return STATUS_OK;
}

static enum status read_texts(const struct item *item, char ***texts, int64_t *count) {
    if (!is_list(item->setting))
        return WRONG(item, "is %s; it takes a list of texts, as [ \"a\", \"b\" ]",
                     type_words(item->setting));
    const int length = config_setting_length(item->setting);
    TRY(memory_new(texts, length, "a list of texts of the settings"));
    for (*count = 0; *count < length; ++*count) {
        const config_setting_t *const element =
            config_setting_get_elem(item->setting, (unsigned)*count);
        if (config_setting_type(element) != CONFIG_TYPE_STRING ||
            config_setting_get_string(element)[0] == '\0')
            return WRONG(item, "holds %s; each of its elements is a text that is not empty",
                         config_setting_type(element) == CONFIG_TYPE_STRING ? "an empty text"
                                                                            : type_words(element));
        const char *const text = config_setting_get_string(element);
        if (!utf8_is_valid(text, strlen(text)))
            return WRONG(item, "holds %s", "a text that is not UTF-8");
        TRY(parameter_set_text(&(*texts)[*count], text, strlen(text)));
    }
    return STATUS_OK;
}

static enum status read_records(const struct item *item, const struct parameter *parameter,
                                void *base);

/* Puts the value of the item into `base`, in place of what stands there. */
static enum status read_value(const struct item *item, const struct parameter *parameter,
                              void *base) {
    void *const value = parameter_value(parameter, base);
    parameter_clear(parameter, base);
    switch (parameter->kind) {
    case PARAMETER_INT:
        return read_integer(item, parameter, value);
    case PARAMETER_REAL:
        return read_real(item, parameter, value);
    case PARAMETER_PAIR:
        return read_pair(item, parameter, value);
    case PARAMETER_BOOL:
        return read_bool(item, value);
    case PARAMETER_TEXT:
        return read_text(item, parameter, value);
    case PARAMETER_CHOICE:
        return read_choice(item, parameter, value);
    case PARAMETER_TEXTS:
        return read_texts(item, value, parameter_count(parameter, base));
    case PARAMETER_INTS:
        return read_integers(item, parameter, value, parameter_count(parameter, base));
    case PARAMETER_RECORDS:
        return read_records(item, parameter, base);
    }
    return STATUS_OK;
}

/* --- records --- */

static enum status set_default(const struct parameter *parameter, void *base);

static const struct parameter *field_find(const struct parameter *parameter, const char *name) {
    for (int f = 0; f < parameter->field_count; f++)
        if (strcmp(parameter->fields[f].name, name) == 0)
            return &parameter->fields[f];
    return NULL;
}

/* A field that is not there takes its default, or is missed. */
static enum status complete_record(const struct item *item, const struct parameter *parameter,
                                   void *record) {
    for (int f = 0; f < parameter->field_count; f++) {
        const struct parameter *const field = &parameter->fields[f];
        if (config_setting_get_member(item->setting, field->name) != NULL)
            continue;
        if ((field->flags & PARAMETER_ALWAYS) != 0)
            return WRONG(item, "lacks %s, %s", field->name, field->sentence);
        TRY(set_default(field, record));
    }
    return STATUS_OK;
}

static enum status read_record(const struct item *item, const struct parameter *parameter,
                               void *record) {
    if (config_setting_type(item->setting) != CONFIG_TYPE_GROUP)
        return WRONG(item, "is %s; it takes fields in braces, as { %s = …; }",
                     type_words(item->setting), parameter->fields[0].name);
    for (int i = 0; i < config_setting_length(item->setting); i++) {
        const config_setting_t *const member = config_setting_get_elem(item->setting, (unsigned)i);
        const char *const name = config_setting_name(member);
        const struct parameter *const field = field_find(parameter, name);
        char quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
        if (field == NULL)
            return WRONG(item, "has no field %s%s", status_quote(quoted, name, SIZE_MAX),
                         advice_on_field(parameter, name, advice));
        char label[LABEL_MAX];
        snprintf(label, sizeof label, "%.120s.%.60s", item->label, name);
        TRY(read_value(&(struct item){item->source, member, label}, field, record));
    }
    return complete_record(item, parameter, record);
}

static enum status read_records(const struct item *item, const struct parameter *parameter,
                                void *base) {
    char *records = NULL;
    if (!is_list(item->setting))
        return WRONG(item, "is %s; it takes a list of records, as ( { %s = …; }, { %s = …; } )",
                     type_words(item->setting), parameter->fields[0].name,
                     parameter->fields[0].name);
    const int length = config_setting_length(item->setting);
    TRY(memory_allocate(&records, (size_t)length, parameter->record_size,
                        "a list of records of the settings"));
    memcpy(parameter_value(parameter, base), &records, sizeof records);
    *parameter_count(parameter, base) = length;
    for (int i = 0; i < length; i++) {
        char label[LABEL_MAX];
        snprintf(label, sizeof label, "%.120s[%d]", item->label, i);
        const config_setting_t *const element = config_setting_get_elem(item->setting, (unsigned)i);
        TRY(read_record(&(struct item){item->source, element, label}, parameter,
                        parameter_record(parameter, base, i)));
    }
    return STATUS_OK;
}

/* --- texts that libconfig parses --- */

/* The last line of text before `at` that holds more than spaces and a comment; `text` when there is
 * none. */
static const char *line_before(const char *text, const char *at) {
    while (at > text) {
        for (at--; at > text && at[-1] != '\n'; at--)
            ;
        const char *const first = at + strspn(at, " \t\r");
        if (*first != '\n' && *first != '#' && strncmp(first, "//", 2) != 0)
            return first;
    }
    return text;
}

/* What libconfig could not read: the line, quoted, for a file. A line with nothing on it is the end
 * of the file. */
static enum status syntax_error(const struct source *source, const char *where,
                                const config_t *config, const char *text) {
    const int line = config_error_line(config);
    char quoted[STATUS_QUOTE_MAX];
    if (!source->has_lines)
        return FAIL(STATUS_INPUT, "%s: %s: %s", where, config_error_text(config),
                    status_quote(quoted, text, SIZE_MAX));
    const char *at = text;
    for (int i = 1; i < line && strchr(at, '\n') != NULL; i++)
        at = strchr(at, '\n') + 1;
    at += strspn(at, " \t\r");
    if (strcmp(config_error_text(config), "duplicate setting name") == 0)
        return FAIL(STATUS_INPUT, "%s:%d: this name is given twice: %s", where, line,
                    status_quote(quoted, at, strcspn(at, "\r\n")));
    if (*at != '\0' && *at != '\n')
        return FAIL(STATUS_INPUT, "%s:%d: %s in or before: %s", where, line,
                    config_error_text(config), status_quote(quoted, at, strcspn(at, "\r\n")));
    at = line_before(text, at);
    return FAIL(
        STATUS_INPUT,
        "%s:%d: the file ends in the middle of a group, list or value; the last line is: %s", where,
        line, status_quote(quoted, at, strcspn(at, "\r\n")));
}

/* Parses into *config, which the caller destroys in any case. */
static enum status parse(const struct source *source, const char *where, const char *text,
                         size_t length, config_t *config) {
    struct strbuf clean = STRBUF_EMPTY;
    config_init(config);
    enum status status = scan_text(where, source->has_lines, text, length, &clean);
    if (status == STATUS_OK && config_read_string(config, strbuf_text(&clean)) != CONFIG_TRUE)
        status = syntax_error(source, where, config, text);
    strbuf_release(&clean);
    return status;
}

/* Parses "v = TEXT;", one value, and puts it into `base`. */
static enum status read_value_line(const struct source *source, const char *label,
                                   const struct strbuf *line, const struct parameter *parameter,
                                   void *base) {
    config_t config;
    char where[STATUS_QUOTE_MAX + 8 + LABEL_MAX];
    snprintf(where, sizeof where, "%s: %.120s", source->where, label);
    enum status status = parse(source, where, line->text, line->length, &config);
    const config_setting_t *const root = config_root_setting(&config);
    char quoted[STATUS_QUOTE_MAX];
    if (status == STATUS_OK && config_setting_length(root) != 1)
        status = FAIL(STATUS_INPUT, "%s: %s takes one value, not: %s", source->where, label,
                      status_quote(quoted, line->text, line->length));
    if (status == STATUS_OK)
        status = read_value(&(struct item){source, config_setting_get_elem(root, 0), label},
                            parameter, base);
    config_destroy(&config);
    return status;
}

static enum status read_value_text(const struct source *source, const char *label, const char *text,
                                   const struct parameter *parameter, void *base) {
    struct strbuf line = STRBUF_EMPTY;
    enum status status = strbuf_append_format(&line, "%s = %s", parameter->name, text);
    if (status == STATUS_OK)
        status = read_value_line(source, label, &line, parameter, base);
    strbuf_release(&line);
    return status;
}

/* --- defaults --- */

static enum status set_default(const struct parameter *parameter, void *base) {
    void *const value = parameter_value(parameter, base);
    char full[PARAMETER_NAME_MAX];
    switch (parameter->kind) {
    case PARAMETER_INT:
        *(int64_t *)value = parameter->integer;
        return STATUS_OK;
    case PARAMETER_REAL:
        *(double *)value = parameter->real;
        return STATUS_OK;
    case PARAMETER_PAIR:
        ((double *)value)[0] = parameter->real;
        ((double *)value)[1] = parameter->second;
        return STATUS_OK;
    case PARAMETER_BOOL:
        *(bool *)value = parameter->integer != 0;
        return STATUS_OK;
    case PARAMETER_CHOICE:
        *(int *)value = (int)parameter->integer;
        return STATUS_OK;
    case PARAMETER_TEXT:
        return parameter->text == NULL
                   ? STATUS_OK
                   : parameter_set_text(value, parameter->text, strlen(parameter->text));
    case PARAMETER_TEXTS:
        return STATUS_OK;
    case PARAMETER_INTS:
    case PARAMETER_RECORDS:
        return read_value_text(&(struct source){.where = "default"},
                               parameter_full_name(parameter, full), parameter->text, parameter,
                               base);
    }
    return STATUS_OK;
}

enum status settings_set_defaults(struct settings *settings) {
    for (int i = 0; i < SETTINGS_COUNT; i++)
        TRY(set_default(&parameter_table[i], settings));
    return STATUS_OK;
}

/* --- the file --- */

static enum status set_origin(struct settings *settings, const struct parameter *parameter,
                              const char *origin) {
    char **const place = &settings->origins[parameter_id(parameter)];
    memory_release(place);
    return parameter_set_text(place, origin, strlen(origin));
}

static enum status unknown_parameter(const char *place, const char *group, size_t group_length,
                                     const char *name, size_t length) {
    char of[STATUS_QUOTE_MAX], quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    return FAIL(STATUS_INPUT, "%s: unknown parameter %s.%s%s", place,
                status_quote(of, group, group_length), status_quote(quoted, name, length),
                advice_on_parameter(group, group_length, name, length, advice));
}

static enum status read_member(const struct source *source, const char *group,
                               const config_setting_t *setting, struct settings *settings) {
    const char *const name = config_setting_name(setting);
    const struct parameter *const parameter = parameter_find(group, name);
    char place[PLACE_MAX], full[PARAMETER_NAME_MAX];
    source_place(source, setting, place);
    if (parameter == NULL)
        return unknown_parameter(place, group, strlen(group), name, strlen(name));
    TRY(read_value(&(struct item){source, setting, parameter_full_name(parameter, full)}, parameter,
                   settings));
    return set_origin(settings, parameter, place);
}

static enum status read_group(const struct source *source, const config_setting_t *setting,
                              struct settings *settings) {
    const char *const name = config_setting_name(setting);
    const size_t length = strlen(name);
    char place[PLACE_MAX], quoted[STATUS_QUOTE_MAX], advice[SETTINGS_ADVICE_MAX];
    source_place(source, setting, place);
    if (parameter_group_find(name, length) == NULL)
        return FAIL(STATUS_INPUT, "%s: unknown group %s%s", place,
                    status_quote(quoted, name, length), advice_on_group(name, length, advice));
    if (config_setting_type(setting) != CONFIG_TYPE_GROUP)
        return FAIL(STATUS_INPUT, "%s: %s is %s; it takes parameters in braces, as %s : { … };",
                    place, name, type_words(setting), name);
    for (int i = 0; i < config_setting_length(setting); i++)
        TRY(read_member(source, name, config_setting_get_elem(setting, (unsigned)i), settings));
    return STATUS_OK;
}

static enum status read_all(const struct source *source, const char *text, size_t length,
                            struct settings *settings) {
    config_t config;
    enum status status = parse(source, source->where, text, length, &config);
    const config_setting_t *const root = config_root_setting(&config);
    for (int i = 0; status == STATUS_OK && i < config_setting_length(root); i++)
        status = read_group(source, config_setting_get_elem(root, (unsigned)i), settings);
    config_destroy(&config);
    return status;
}

/* --- the command line --- */

/* Texts may come without quotes. */
static bool is_bare(const struct parameter *parameter, const char *value) {
    return (parameter->kind == PARAMETER_TEXT || parameter->kind == PARAMETER_CHOICE) &&
           value[0] != '"';
}

static enum status quote_text(const char *text, struct strbuf *out) {
    TRY(strbuf_append_text(out, "\""));
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            TRY(strbuf_append_text(out, "\\"));
        TRY(strbuf_append(out, c, 1));
    }
    return strbuf_append_text(out, "\"");
}

static enum status apply_override(const struct source *source, const char *override,
                                  struct settings *settings) {
    const size_t length = strcspn(override, "=");
    const char *const dot = memchr(override, '.', length);
    char quoted[STATUS_QUOTE_MAX], full[PARAMETER_NAME_MAX];
    if (override[length] == '\0' || dot == NULL)
        return FAIL(STATUS_USAGE, "%s: \"%s\" is not of the form group.name=value", source->where,
                    status_quote(quoted, override, SIZE_MAX));
    const struct parameter *const parameter = parameter_find_full(override, length);
    const size_t group = (size_t)(dot - override);
    if (parameter == NULL)
        return unknown_parameter(source->where, override, group, dot + 1, length - group - 1);
    const char *const value = override + length + 1;
    if (value[strspn(value, " \t")] == '\0' && parameter->kind != PARAMETER_TEXT)
        return FAIL(STATUS_INPUT, "%s: %s= has no value behind it", source->where,
                    parameter_full_name(parameter, full));
    struct strbuf text = STRBUF_EMPTY;
    enum status status =
        is_bare(parameter, value) ? quote_text(value, &text) : strbuf_append_text(&text, value);
    if (status == STATUS_OK)
        status = read_value_text(source, parameter_full_name(parameter, full), strbuf_text(&text),
                                 parameter, settings);
    strbuf_release(&text);
    return status == STATUS_OK ? set_origin(settings, parameter, source->where) : status;
}

static enum status apply_overrides(char *const *overrides, int count, struct settings *settings) {
    struct source line;
    if (count > 0)
        TRY(source_init(&line, NULL));
    for (int i = 0; i < count; i++)
        TRY(apply_override(&line, overrides[i], settings));
    return STATUS_OK;
}

/* --- all of it --- */

static enum status read_everything(const struct source *source, const char *text, size_t length,
                                   char *const *overrides, int override_count,
                                   enum settings_purpose purpose, struct settings *settings) {
    TRY(settings_set_defaults(settings));
    TRY(read_all(source, text, length, settings));
    TRY(apply_overrides(overrides, override_count, settings));
    return settings_validate(settings, purpose, source->where);
}

enum status settings_read_text(const char *path, const char *text, size_t length,
                               char *const *overrides, int override_count,
                               enum settings_purpose purpose, struct settings *settings) {
    struct source source;
    *settings = (struct settings){.origins = {NULL}};
    TRY(source_init(&source, path));
    const enum status status =
        read_everything(&source, text, length, overrides, override_count, purpose, settings);
    if (status != STATUS_OK)
        settings_release(settings);
    return status;
}

static enum status read_whole(FILE *file, const char *path, struct strbuf *text) {
    char piece[4096], quoted[STATUS_QUOTE_MAX];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, file)) > 0) {
        TRY(strbuf_append(text, piece, n));
        if (text->length > INPUT_BYTES_MAX)
            return FAIL(STATUS_INPUT, "%s is longer than 1 MiB; this is no input file",
                        status_quote(quoted, path, SIZE_MAX));
    }
    if (ferror(file))
        return FAIL(STATUS_INPUT, "the input file %s cannot be read: %s",
                    status_quote(quoted, path, SIZE_MAX), strerror(errno));
    const char *const what = file_kind(strbuf_text(text), text->length);
    if (what != NULL)
        return FAIL(STATUS_INPUT, "the input file %s is %s", status_quote(quoted, path, SIZE_MAX),
                    what);
    return STATUS_OK;
}

enum status settings_read(const char *path, char *const *overrides, int override_count,
                          enum settings_purpose purpose, struct settings *settings) {
    *settings = (struct settings){.origins = {NULL}};
    FILE *const file = fopen(path, "rb");
    char quoted[STATUS_QUOTE_MAX];
    if (file == NULL)
        return FAIL(STATUS_INPUT, "the input file %s cannot be opened: %s",
                    status_quote(quoted, path, SIZE_MAX), strerror(errno));
    struct strbuf text = STRBUF_EMPTY;
    enum status status = read_whole(file, path, &text);
    fclose(file);
    if (status == STATUS_OK)
        status = settings_read_text(path, strbuf_text(&text), text.length, overrides,
                                    override_count, purpose, settings);
    strbuf_release(&text);
    return status;
}
