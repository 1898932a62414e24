/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of a run: what the input file says, checked. settings.def declares every parameter;
 * this header makes of it
 *
 *     struct settings                one member per group: settings->rollout.group_size
 *     struct train_source            an element of settings->data.train[0 … data.train_count - 1]
 *     struct eval_set                an element of settings->eval.sets[… sets_count]
 *     struct reward_part             an element of settings->reward.parts[… parts_count]
 *     enum setting_objective_gate …  the constants of each choice, SETTING_GATE_ERF …
 *
 * Kinds: INT is int64_t, REAL double, BOOL bool, TEXT char * (NULL: absent), CHOICE int (a constant
 * of its enum), TEXTS char ** and INTS int64_t * with NAME_count beside it, RECORDS an array of structs with
 * NAME_count. All paths are absolute once read: those of a file are relative to its folder, those
 * of the command line to the working directory.
 *
 * A struct settings owns all its texts; the caller gives it back with settings_release.
 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"

#define SETTING_CONSTANT(constant, word) constant,
#define CHOICE(group, name, flags, words, value, sentence)                                         \
    enum setting_##group##_##name{words(SETTING_CONSTANT)};
#include "config/settings.def"
#undef SETTING_CONSTANT

#define RECORD(record) struct record {
#define RECORD_END(record)                                                                         \
    }                                                                                              \
    ;
#define FIELD_TEXT(record, name, flags, value, sentence)                    char *name;
#define FIELD_INT(record, name, flags, value, least, most, unit, sentence)  int64_t name;
#define FIELD_REAL(record, name, flags, value, least, most, unit, sentence) double name;
#include "config/settings.def"

#define GROUP(group, sentence) struct settings_##group {
#define GROUP_END(group)                                                                           \
    }                                                                                              \
    ;
#define INT(group, name, flags, value, least, most, unit, sentence)         int64_t name;
#define REAL(group, name, flags, value, least, most, unit, sentence)        double name;
#define PAIR(group, name, flags, first, other, least, most, unit, sentence) double name[2];
#define BOOL(group, name, flags, value, sentence)                           bool name;
#define TEXT(group, name, flags, value, sentence)                           char *name;
#define CHOICE(group, name, flags, words, value, sentence)                  int name;
#define TEXTS(group, name, flags, sentence)                                                        \
    char **name;                                                                                   \
    int64_t name##_count;
#define INTS(group, name, flags, value, least, most, unit, sentence)                               \
    int64_t *name;                                                                                 \
    int64_t name##_count;
#define RECORDS(group, name, flags, record, value, sentence)                                       \
    struct record *name;                                                                           \
    int64_t name##_count;
#include "config/settings.def"

/* A number for each parameter: SETTING_ID_rollout_group_size. */
enum setting_id {
#define INT(group, name, flags, value, least, most, unit, sentence)  SETTING_ID_##group##_##name,
#define REAL(group, name, flags, value, least, most, unit, sentence) SETTING_ID_##group##_##name,
#define PAIR(group, name, flags, first, other, least, most, unit, sentence)                        \
    SETTING_ID_##group##_##name,
#define BOOL(group, name, flags, value, sentence)                    SETTING_ID_##group##_##name,
#define TEXT(group, name, flags, value, sentence)                    SETTING_ID_##group##_##name,
#define CHOICE(group, name, flags, words, value, sentence)           SETTING_ID_##group##_##name,
#define TEXTS(group, name, flags, sentence)                          SETTING_ID_##group##_##name,
#define INTS(group, name, flags, value, least, most, unit, sentence) SETTING_ID_##group##_##name,
#define RECORDS(group, name, flags, record, value, sentence)         SETTING_ID_##group##_##name,
#include "config/settings.def"
    SETTINGS_COUNT
};

struct settings {
#define GROUP(group, sentence) struct settings_##group group;
#include "config/settings.def"
    /* Where each value comes from: NULL is the default, else "file:line", "command line" or
     * "derived from …". */
    char *origins[SETTINGS_COUNT];
};

/* The place in distill.teacher_template of what the teacher writes first. */
#define SETTINGS_REASON "{reason}"

/* The places in adversarial.judge_template of what a completion stands behind, and of itself. */
#define SETTINGS_PREFIX     "{prefix}"
#define SETTINGS_COMPLETION "{completion}"

/* What the settings are for decides which parameters must be given: a training run needs
 * run.directory, run.steps and data.train besides model.path, an evaluation run.directory and
 * eval.sets. */
enum settings_purpose { SETTINGS_FOR_TRAINING, SETTINGS_FOR_GENERATION, SETTINGS_FOR_EVALUATION };

/* Reads the input file at `path`, then `override_count` texts "group.name=value" from the command
 * line, and checks all. Refuses, with STATUS_INPUT and one sentence that names file and line: a
 * missing file, syntax errors, @include, anything given twice, unknown names (the nearest known one
 * is named), a value of another type or out of its bounds, inf and nan, a template without
 * {prompt}, a parameter that must be given and is not, and values that contradict each other. On
 * failure *settings is empty. */
enum status settings_read(const char *path, char *const *overrides, int override_count,
                          enum settings_purpose purpose, struct settings *settings) MUST_USE;

/* The same from text in memory: `path` names it in sentences, and its folder is what relative paths
 * are relative to. The text of settings_dump brought to another rank gives the same settings. */
enum status settings_read_text(const char *path, const char *text, size_t length,
                               char *const *overrides, int override_count,
                               enum settings_purpose purpose, struct settings *settings) MUST_USE;

void settings_release(struct settings *settings);

/* Whether nobody gave this parameter, "objective.clip_low", a value; and where it comes from:
 * "default", "grpo.cfg:12", "command line", "derived from objective.level". The name must exist. */
bool settings_origin_is_default(const struct settings *settings, const char *name);
const char *settings_origin(const struct settings *settings, const char *name);

/* The word of a choice: settings_word(settings, "objective.gate") is "erf". */
const char *settings_word(const struct settings *settings, const char *name);

/* What to say behind a word that is not known in a list that the settings do not check, such as
 * "reward.parts.name" or "command": ": it is called answer here", ": it is not there yet: …", or ""
 * (config/advice.def). Returns out. */
enum { SETTINGS_ADVICE_MAX = 400 };
const char *settings_advice(const char *place, const char *word, char out[SETTINGS_ADVICE_MAX]);

/* Tells, one sentence each, which parameters were given another value than their default although
 * they do not matter, or hardly, with the other choices: "x.cfg:3: objective.tau_pos has no effect:
 * …". */
enum status settings_unused(const struct settings *settings,
                            void (*tell)(const char *sentence)) MUST_USE;

/* A value that two settings do not share: "optimizer.learning_rate", "data.train[0].path". */
struct settings_difference {
    const char *name;
    const char *before, *now; /* as libconfig reads them; "" for an absent text */
    bool may_change;          /* a run that began with the one may go on with the other */
};

/* Tells every difference, in the order of settings.def; stops at a status that is not OK. */
enum status settings_compare(const struct settings *before, const struct settings *now,
                             enum status (*tell)(void *context,
                                                 const struct settings_difference *difference),
                             void *context) MUST_USE;

/* Appends all parameters as an input file: each with its value (17 digits), origin, unit and
 * sentence. Reading the text gives the same settings. */
enum status settings_dump(const struct settings *settings, struct strbuf *out) MUST_USE;

/* Appends what stands in input/reference.cfg: every parameter with its default, bounds, unit and
 * sentence. */
enum status settings_reference(struct strbuf *out) MUST_USE;

/* Appends the value of one parameter, "run.directory", for scripts: a text without its quotes, nothing
 * for an absent one. STATUS_USAGE for an unknown name. */
enum status settings_value(const struct settings *settings, const char *name,
                           struct strbuf *out) MUST_USE;

/* Appends the manual of one parameter ("rollout.top_p"), of one group ("rollout"), or with NULL a
 * list of all. STATUS_USAGE for an unknown name, with the nearest known one. */
enum status settings_help(const char *name, struct strbuf *out) MUST_USE;

#endif
