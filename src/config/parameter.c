/* SPDX-License-Identifier: Apache-2.0 */
#include "config/parameter.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* The names of the flags in settings.def. */
#define ALWAYS     PARAMETER_ALWAYS
#define TRAINING   PARAMETER_TRAINING
#define EVALUATION PARAMETER_EVALUATION
#define PATH       PARAMETER_PATH
#define FILLED     PARAMETER_FILLED
#define FIXED      PARAMETER_FIXED
#define FREE       PARAMETER_FREE

#define SETTING_WORD(constant, word) word,
#define CHOICE(group, name, flags, words, value, sentence)                                         \
    static const char *const words_##group##_##name[] = {words(SETTING_WORD)};
#include "config/settings.def"

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

/* clang-format off */
#define RECORD(record) static const struct parameter fields_##record[] = {
#define RECORD_END(record) };
/* clang-format on */
#define FIELD_TEXT(record, field, bits, value, says)                                               \
    {.group = #record,                                                                             \
     .name = #field,                                                                               \
     .kind = PARAMETER_TEXT,                                                                       \
     .flags = (bits),                                                                              \
     .unit = "",                                                                                   \
     .sentence = (says),                                                                           \
     .offset = offsetof(struct record, field),                                                     \
     .text = (value)},
#define FIELD_INT(record, field, bits, value, least, most, of, says)                               \
    {.group = #record,                                                                             \
     .name = #field,                                                                               \
     .kind = PARAMETER_INT,                                                                        \
     .flags = (bits),                                                                              \
     .unit = (of),                                                                                 \
     .sentence = (says),                                                                           \
     .offset = offsetof(struct record, field),                                                     \
     .integer = (value),                                                                           \
     .integer_least = (least),                                                                     \
     .integer_most = (most)},
#define FIELD_REAL(record, field, bits, value, least, most, of, says)                              \
    {.group = #record,                                                                             \
     .name = #field,                                                                               \
     .kind = PARAMETER_REAL,                                                                       \
     .flags = (bits),                                                                              \
     .unit = (of),                                                                                 \
     .sentence = (says),                                                                           \
     .offset = offsetof(struct record, field),                                                     \
     .real = (value),                                                                              \
     .real_least = (least),                                                                        \
     .real_most = (most)},
#include "config/settings.def"

#define ROW(of_group, of_name, of_kind, bits, of_unit, says)                                       \
    .group = #of_group, .name = #of_name, .kind = PARAMETER_##of_kind, .flags = (bits),            \
    .unit = (of_unit), .sentence = (says), .offset = offsetof(struct settings, of_group.of_name)
#define ROW_COUNT(of_group, of_name)                                                               \
    .count_offset = offsetof(struct settings, of_group.of_name##_count)

const struct parameter parameter_table[SETTINGS_COUNT] = {
#define INT(group, name, flags, value, least, most, unit, sentence)                                \
    {ROW(group, name, INT, flags, unit, sentence), .integer = (value), .integer_least = (least),   \
     .integer_most = (most)},
#define REAL(group, name, flags, value, least, most, unit, sentence)                               \
    {ROW(group, name, REAL, flags, unit, sentence), .real = (value), .real_least = (least),        \
     .real_most = (most)},
#define PAIR(group, name, flags, first, other, least, most, unit, sentence)                        \
    {ROW(group, name, PAIR, flags, unit, sentence), .real = (first), .second = (other),            \
     .real_least = (least), .real_most = (most)},
#define BOOL(group, name, flags, value, sentence)                                                  \
    {ROW(group, name, BOOL, flags, "", sentence), .integer = (value)},
#define TEXT(group, name, flags, value, sentence)                                                  \
    {ROW(group, name, TEXT, flags, "", sentence), .text = (value)},
#define CHOICE(group, name, flags, list, value, sentence)                                          \
    {ROW(group, name, CHOICE, flags, "", sentence), .integer = (value),                            \
     .words = words_##group##_##name, .word_count = LENGTH(words_##group##_##name)},
#define TEXTS(group, name, flags, sentence)                                                        \
    {ROW(group, name, TEXTS, flags, "", sentence), ROW_COUNT(group, name)},
#define INTS(group, name, flags, value, least, most, unit, sentence)                               \
    {ROW(group, name, INTS, flags, unit, sentence), ROW_COUNT(group, name), .text = (value),       \
     .integer_least = (least), .integer_most = (most)},
#define RECORDS(group, name, flags, record, value, sentence)                                       \
    {ROW(group, name, RECORDS, flags, "", sentence),                                               \
     ROW_COUNT(group, name),                                                                       \
     .text = (value),                                                                              \
     .fields = fields_##record,                                                                    \
     .field_count = LENGTH(fields_##record),                                                       \
     .record_size = sizeof(struct record)},
#include "config/settings.def"
};

#define ONLY_WHERE(group, name, other_group, other_name, says)                                     \
    {SETTING_ID_##group##_##name, SETTING_ID_##other_group##_##other_name, says},
const struct parameter_condition parameter_conditions[] = {
#include "config/settings.def"
};
const int parameter_condition_count = LENGTH(parameter_conditions);

const struct parameter_group parameter_groups[] = {
#define GROUP(group, sentence) {#group, sentence},
#include "config/settings.def"
    {NULL, NULL},
};

static bool same(const char *name, const char *text, size_t length) {
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

const struct parameter_group *parameter_group_find(const char *name, size_t length) {
    for (const struct parameter_group *group = parameter_groups; group->name != NULL; group++)
        if (same(group->name, name, length))
            return group;
    return NULL;
}

const struct parameter *parameter_find(const char *group, const char *name) {
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (strcmp(parameter_table[i].group, group) == 0 &&
            strcmp(parameter_table[i].name, name) == 0)
            return &parameter_table[i];
    return NULL;
}

const struct parameter *parameter_find_full(const char *name, size_t length) {
    char full[PARAMETER_NAME_MAX];
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (same(parameter_full_name(&parameter_table[i], full), name, length))
            return &parameter_table[i];
    return NULL;
}

int parameter_id(const struct parameter *parameter) {
    return (int)(parameter - parameter_table);
}

int parameter_word_find(const struct parameter *parameter, const char *word) {
    for (int i = 0; i < parameter->word_count; i++)
        if (strcmp(parameter->words[i], word) == 0)
            return i;
    return -1;
}

const char *parameter_full_name(const struct parameter *parameter, char out[PARAMETER_NAME_MAX]) {
    snprintf(out, PARAMETER_NAME_MAX, "%s.%s", parameter->group, parameter->name);
    return out;
}

/* --- values --- */

void *parameter_value(const struct parameter *parameter, void *base) {
    return (char *)base + parameter->offset;
}

int64_t *parameter_count(const struct parameter *parameter, void *base) {
    return (int64_t *)(void *)((char *)base + parameter->count_offset);
}

const void *parameter_value_const(const struct parameter *parameter, const void *base) {
    return (const char *)base + parameter->offset;
}

int64_t parameter_count_const(const struct parameter *parameter, const void *base) {
    return *(const int64_t *)(const void *)((const char *)base + parameter->count_offset);
}

void *parameter_record(const struct parameter *parameter, const void *base, int64_t i) {
    char *first;
    memcpy(&first, parameter_value_const(parameter, base), sizeof first);
    return first + (size_t)i * parameter->record_size;
}

static void clear_texts(char ***texts, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        memory_release(&(*texts)[i]);
    memory_release(texts);
}

static void clear_records(const struct parameter *parameter, void *base, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        for (int f = 0; f < parameter->field_count; f++)
            parameter_clear(&parameter->fields[f], parameter_record(parameter, base, i));
    memory_release(parameter_value(parameter, base));
}

void parameter_clear(const struct parameter *parameter, void *base) {
    void *const value = parameter_value(parameter, base);
    if (parameter->kind == PARAMETER_TEXT)
        memory_release(value);
    if (parameter->kind == PARAMETER_TEXTS)
        clear_texts(value, *parameter_count(parameter, base));
    if (parameter->kind == PARAMETER_INTS)
        memory_release(value);
    if (parameter->kind == PARAMETER_RECORDS)
        clear_records(parameter, base, *parameter_count(parameter, base));
    if (parameter->kind == PARAMETER_TEXTS || parameter->kind == PARAMETER_INTS ||
        parameter->kind == PARAMETER_RECORDS)
        *parameter_count(parameter, base) = 0;
}

enum status parameter_set_text(char **value, const char *text, size_t length) {
    TRY(memory_new(value, length + 1, "a text of the settings"));
    memcpy(*value, text, length);
    return STATUS_OK;
}

/* --- the settings as a whole --- */

void settings_release(struct settings *settings) {
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        parameter_clear(&parameter_table[i], settings);
        memory_release(&settings->origins[i]);
    }
    *settings = (struct settings){.origins = {NULL}};
}

static int id_of(const char *name) {
    const struct parameter *const parameter = parameter_find_full(name, strlen(name));
    ASSERT(parameter != NULL);
    return parameter_id(parameter);
}

bool settings_origin_is_default(const struct settings *settings, const char *name) {
    return settings->origins[id_of(name)] == NULL;
}

const char *settings_origin(const struct settings *settings, const char *name) {
    const char *const origin = settings->origins[id_of(name)];
    return origin != NULL ? origin : "default";
}

const char *settings_word(const struct settings *settings, const char *name) {
    const struct parameter *const parameter = &parameter_table[id_of(name)];
    ASSERT(parameter->kind == PARAMETER_CHOICE);
    return parameter->words[*(const int *)parameter_value_const(parameter, settings)];
}
