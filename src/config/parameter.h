/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of parameters that settings.def expands to, for the reader and the writer of input
 * files. The row of a parameter is at its enum setting_id; the fields of a record are rows of the
 * same kind, with offsets into the record.
 */
#ifndef CONFIG_PARAMETER_H
#define CONFIG_PARAMETER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "config/settings.h"

enum parameter_kind {
    PARAMETER_INT,
    PARAMETER_REAL,
    PARAMETER_PAIR,
    PARAMETER_BOOL,
    PARAMETER_TEXT,
    PARAMETER_CHOICE,
    PARAMETER_TEXTS,
    PARAMETER_INTS,
    PARAMETER_RECORDS,
};

enum parameter_flag {
    PARAMETER_ALWAYS = 1,      /* must be given */
    PARAMETER_TRAINING = 2,    /* must be given for a training run */
    PARAMETER_EVALUATION = 64, /* must be given for an evaluation */
    PARAMETER_PATH = 4,        /* a file name */
    PARAMETER_FILLED = 8,      /* must not be empty */
    PARAMETER_FIXED = 16,      /* a run that goes on has the value that it began with */
    PARAMETER_FREE = 32,       /* … may have another one */
};

struct parameter {
    const char *group, *name; /* of a field: the record and the field */
    enum parameter_kind kind;
    int flags;
    const char *unit, *sentence;
    size_t offset;       /* of the value in struct settings, or in the record */
    size_t count_offset; /* TEXTS, INTS, RECORDS: of their int64_t count */

    const char *text; /* default of TEXT (NULL: absent); INTS, RECORDS: as libconfig */
    int64_t integer;  /* default of INT, BOOL, CHOICE */
    int64_t integer_least, integer_most; /* INT, INTS */
    double real, real_least, real_most;  /* REAL: default and bounds; PAIR: of its first number */
    double second;                       /* PAIR: default of the other one */
    const char *const *words;            /* CHOICE */
    int word_count;
    const struct parameter *fields; /* RECORDS */
    int field_count;
    size_t record_size;
};

struct parameter_group {
    const char *name, *sentence;
};

/* The parameter matters only where the other one matters and has one of these words, separated by
 * spaces, or is "above 0", a number. A parameter with several conditions needs all of them. */
struct parameter_condition {
    enum setting_id parameter, other;
    const char *words;
};

/* The tables; groups end with a NULL name, parameters of a group stand together
 * and in its order. */
extern const struct parameter parameter_table[SETTINGS_COUNT];
extern const struct parameter_group parameter_groups[];
extern const struct parameter_condition parameter_conditions[];
extern const int parameter_condition_count;

/* Rows by name, NULL when unknown. `length` of the name; a full name is "group.name". */
const struct parameter_group *parameter_group_find(const char *name, size_t length);
const struct parameter *parameter_find(const char *group, const char *name);
const struct parameter *parameter_find_full(const char *name, size_t length);
int parameter_id(const struct parameter *parameter);

/* The index of a word of a choice, -1 when it has no such word. */
int parameter_word_find(const struct parameter *parameter, const char *word);

/* The name as sentences say it: "rollout.top_p". Returns out. */
enum { PARAMETER_NAME_MAX = 96 };
const char *parameter_full_name(const struct parameter *parameter, char out[PARAMETER_NAME_MAX]);

/* The value inside `base`, a struct settings or a record. */
void *parameter_value(const struct parameter *parameter, void *base);
int64_t *parameter_count(const struct parameter *parameter, void *base);
const void *parameter_value_const(const struct parameter *parameter, const void *base);
int64_t parameter_count_const(const struct parameter *parameter, const void *base);

/* Record i of a RECORDS value. */
void *parameter_record(const struct parameter *parameter, const void *base, int64_t i);

/* A value gives back what it holds and becomes empty. */
void parameter_clear(const struct parameter *parameter, void *base);

/* Copies `length` bytes into a text value that is empty. */
enum status parameter_set_text(char **value, const char *text, size_t length) MUST_USE;

/* Appends the value inside `base` as libconfig reads it; nothing for an absent text (writer.c). */
enum status parameter_append_value(const struct parameter *parameter, const void *base,
                                   struct strbuf *out) MUST_USE;

/* Appends "objective.gate is sigmoid, erf or arctan" (writer.c). */
enum status parameter_append_condition(const struct parameter_condition *condition,
                                       struct strbuf *out) MUST_USE;

/* Fills *settings, which is all zeros, with every default (reader.c). */
enum status settings_set_defaults(struct settings *settings) MUST_USE;

/* Checks that involve more than one parameter, and the values that follow from others
 * (validate.c). `path` names the input file. */
enum status settings_validate(struct settings *settings, enum settings_purpose purpose,
                              const char *path) MUST_USE;

/* A value that another choice brings along, where nobody gave one: whether that is so, and then its
 * origin (validate.c). */
enum status settings_derives(struct settings *settings, enum setting_id id, const char *origin,
                             bool *so) MUST_USE;

/* The same of a text: where nobody gave it, *value becomes `text`. */
enum status settings_derives_text(struct settings *settings, enum setting_id id, const char *origin,
                                  char **value, const char *text) MUST_USE;

/* The same two of settings_validate, of run.method = "opsd" (distill.c). */
enum status settings_derive_distill(struct settings *settings) MUST_USE;
enum status settings_check_distill(const struct settings *settings) MUST_USE;

/* And of run.method = "adversarial" (adversarial.c). */
enum status settings_derive_adversarial(struct settings *settings) MUST_USE;
enum status settings_check_adversarial(const struct settings *settings) MUST_USE;

/* Tells of what is given there and has next to no effect. */
enum status settings_unseen_adversarial(const struct settings *settings,
                                        void (*tell)(const char *sentence)) MUST_USE;

#endif
