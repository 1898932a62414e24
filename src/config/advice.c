/* SPDX-License-Identifier: Apache-2.0 */
#include "config/advice.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CALLED(place, word, name)      {ADVICE_CALLED, place, word, name},
#define INSTEAD(place, word, sentence) {ADVICE_INSTEAD, place, word, sentence},
#define PLANNED(place, word, sentence) {ADVICE_PLANNED, place, word, sentence},
const struct advice advice_table[] = {
#include "config/advice.def"
};
const int advice_count = sizeof advice_table / sizeof *advice_table;

/* --- what is declared --- */

static char folded(char c) {
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static bool same(const char *word, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (word[i] == '\0' || word[i] != folded(text[i]))
            return false;
    return word[length] == '\0';
}

static const struct advice *find(const char *place, size_t place_length, const char *text,
                                 size_t length) {
    for (int i = 0; i < advice_count; i++)
        if (same(advice_table[i].place, place, place_length) &&
            same(advice_table[i].word, text, length))
            return &advice_table[i];
    return NULL;
}

/* False when nothing is declared. */
static bool say_at(const char *place, size_t place_length, const char *text, size_t length,
                   char out[SETTINGS_ADVICE_MAX]) {
    static const char *const formats[] = {[ADVICE_CALLED] = ": it is called %s here",
                                          [ADVICE_INSTEAD] = ": %s",
                                          [ADVICE_PLANNED] = ": it is not there yet: %s"};
    const struct advice *const advice = find(place, place_length, text, length);
    if (advice != NULL)
        snprintf(out, SETTINGS_ADVICE_MAX, formats[advice->kind], advice->says);
    return advice != NULL;
}

static bool say(const char *place, const char *text, size_t length, char out[SETTINGS_ADVICE_MAX]) {
    return say_at(place, strlen(place), text, length, out);
}

const char *settings_advice(const char *place, const char *word, char out[SETTINGS_ADVICE_MAX]) {
    out[0] = '\0';
    say(place, word, strlen(word), out);
    return out;
}

/* --- the nearest --- */

enum { DISTANCE_MAX = 64 }; /* longer names are compared by their beginning */

/* Edit distance (Levenshtein) by rows. */
static int distance(const char *a, size_t a_length, const char *b) {
    int row[DISTANCE_MAX + 1];
    const int m = a_length < DISTANCE_MAX ? (int)a_length : DISTANCE_MAX;
    const int n = strlen(b) < DISTANCE_MAX ? (int)strlen(b) : DISTANCE_MAX;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int change = diagonal + (a[i - 1] != b[j - 1]);
            const int insert_or_delete = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = change < insert_or_delete ? change : insert_or_delete;
        }
    }
    return row[n];
}

/* A slip of the pen: so many letters may differ in a name of this length. More is another name, and
 * to offer it would mislead. */
static int slip(size_t length) {
    return length < 4 ? 1 : length < 9 ? 2 : 3;
}

/* The nearest of the names so far, which starts as the largest slip that counts. */
struct nearest {
    const void *found;
    int distance;
};

static struct nearest nearest_begin(size_t length) {
    return (struct nearest){.distance = slip(length) + 1};
}

static void nearest_try(struct nearest *nearest, const char *text, size_t length, const char *name,
                        const void *what) {
    const int d = distance(text, length, name);
    if (d < nearest->distance)
        *nearest = (struct nearest){what, d};
}

static const char *near_group(const char *text, size_t length) {
    struct nearest nearest = nearest_begin(length);
    for (const struct parameter_group *group = parameter_groups; group->name != NULL; group++)
        nearest_try(&nearest, text, length, group->name, group->name);
    return nearest.found;
}

/* The one parameter of the group whose name begins so, as temperature with temp. */
static const struct parameter *begins_so(const char *group, size_t group_length, const char *name,
                                         size_t length) {
    const struct parameter *found = NULL;
    for (int i = 0; i < SETTINGS_COUNT && length >= 3; i++) {
        const struct parameter *const p = &parameter_table[i];
        if (!same(p->group, group, group_length) || strncmp(p->name, name, length) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = p;
    }
    return found;
}

/* In the group a slip or a name cut short; in another one the same name, of a long one but for a letter. */
static const struct parameter *near_parameter(const char *group, size_t group_length,
                                              const char *name, size_t length) {
    struct nearest here = nearest_begin(length), elsewhere = nearest_begin(length);
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        const struct parameter *const p = &parameter_table[i];
        nearest_try(same(p->group, group, group_length) ? &here : &elsewhere, name, length, p->name,
                    p);
    }
    if (here.found == NULL)
        here.found = begins_so(group, group_length, name, length);
    return here.found != NULL || elsewhere.distance > (length > 5) ? here.found : elsewhere.found;
}

/* --- sentences --- */

static const struct parameter *in_any_group(const char *name, size_t length) {
    for (int i = 0; i < SETTINGS_COUNT; i++)
        if (same(parameter_table[i].name, name, length))
            return &parameter_table[i];
    return NULL;
}

const char *advice_on_group(const char *name, size_t length, char out[SETTINGS_ADVICE_MAX]) {
    const struct parameter *const inside = in_any_group(name, length);
    const char *const group = near_group(name, length);
    if (say("group", name, length, out))
        return out;
    if (inside != NULL)
        snprintf(out, SETTINGS_ADVICE_MAX, ": it is a parameter of a group: %s : { %s = …; };",
                 inside->group, inside->name);
    else if (group != NULL)
        snprintf(out, SETTINGS_ADVICE_MAX, "; the nearest known name is %s", group);
    else
        snprintf(out, SETTINGS_ADVICE_MAX, "; `gradus params` lists all");
    return out;
}

/* The group decides first: what is planned as a group has no parameters yet. */
const char *advice_on_parameter(const char *group, size_t group_length, const char *name,
                                size_t length, char out[SETTINGS_ADVICE_MAX]) {
    const struct advice *const of_group = find("group", strlen("group"), group, group_length);
    const struct parameter *const near = near_parameter(group, group_length, name, length);
    char full[PARAMETER_NAME_MAX];
    if (of_group != NULL && of_group->kind == ADVICE_PLANNED)
        say("group", group, group_length, out);
    else if (say_at(group, group_length, name, length, out) || say("parameter", name, length, out))
        return out;
    else if (near != NULL)
        snprintf(out, SETTINGS_ADVICE_MAX, "; the nearest known name is %s",
                 parameter_full_name(near, full));
    else if (parameter_group_find(group, group_length) != NULL)
        snprintf(out, SETTINGS_ADVICE_MAX, "; `gradus params %.*s` lists those of its group",
                 (int)group_length, group);
    else
        snprintf(out, SETTINGS_ADVICE_MAX, "; `gradus params` lists all");
    return out;
}

/* " (clip, sigmoid, …)": the lists are short. */
static void list_words(const struct parameter *choice, char out[SETTINGS_ADVICE_MAX], int used) {
    for (int i = 0; i < choice->word_count && used < SETTINGS_ADVICE_MAX; i++)
        used +=
            snprintf(out + used, (size_t)(SETTINGS_ADVICE_MAX - used), "%s%s%s",
                     i == 0 ? " (" : ", ", choice->words[i], i + 1 < choice->word_count ? "" : ")");
}

const char *advice_on_word(const struct parameter *choice, const char *word,
                           char out[SETTINGS_ADVICE_MAX]) {
    char full[PARAMETER_NAME_MAX];
    struct nearest nearest = nearest_begin(strlen(word));
    if (say(parameter_full_name(choice, full), word, strlen(word), out))
        return out;
    for (int i = 0; i < choice->word_count; i++)
        nearest_try(&nearest, word, strlen(word), choice->words[i], choice->words[i]);
    const int used =
        nearest.found == NULL
            ? snprintf(out, SETTINGS_ADVICE_MAX, "; it takes one of its words")
            : snprintf(out, SETTINGS_ADVICE_MAX, "; the nearest of its words is \"%s\"",
                       (const char *)nearest.found);
    list_words(choice, out, used);
    return out;
}

const char *advice_on_field(const struct parameter *records, const char *name,
                            char out[SETTINGS_ADVICE_MAX]) {
    char full[PARAMETER_NAME_MAX];
    struct nearest nearest = nearest_begin(strlen(name));
    if (say(parameter_full_name(records, full), name, strlen(name), out))
        return out;
    for (int i = 0; i < records->field_count; i++)
        nearest_try(&nearest, name, strlen(name), records->fields[i].name, records->fields[i].name);
    if (nearest.found != NULL)
        snprintf(out, SETTINGS_ADVICE_MAX, "; the nearest is %s", (const char *)nearest.found);
    else
        snprintf(out, SETTINGS_ADVICE_MAX, "; `gradus params %s` lists them", full);
    return out;
}
