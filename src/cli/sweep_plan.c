/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sweep_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { FOLDER_BYTES = 32 };

static const struct sweep_factor *factor_of(const struct sweep_plan *plan, int factor) {
    return &plan->settings.sweep.factors[factor];
}

/* --- runs --- */

int sweep_plan_point(const struct sweep_plan *plan, int run) {
    const int point = run / (int)plan->settings.sweep.repeats;
    return point < plan->design.runs ? point : -1;
}

int sweep_plan_repetition(const struct sweep_plan *plan, int run) {
    const int repeats = (int)plan->settings.sweep.repeats, factorial = plan->design.runs * repeats;
    return run < factorial ? run % repeats : run - factorial;
}

static int64_t seed_of(const struct sweep_plan *plan, int run) {
    return plan->settings.run.seed + sweep_plan_repetition(plan, run);
}

/* Of a factorial point; NULL at the centre. */
static char *value_of(const struct sweep_plan *plan, int run, int factor) {
    const int point = sweep_plan_point(plan, run);
    const struct sweep_factor *const given = factor_of(plan, factor);
    if (point < 0)
        return NULL;
    return design_level(&plan->design, point, factor) > 0 ? given->high : given->low;
}

enum status sweep_plan_value(const struct sweep_plan *plan, int run, int factor,
                             struct strbuf *out) {
    const char *const value = value_of(plan, run, factor);
    return value != NULL ? strbuf_append_text(out, value)
                         : settings_value(&plan->settings, factor_of(plan, factor)->name, out);
}

enum status sweep_plan_changes(const struct sweep_plan *plan, int run, struct strbuf *out) {
    for (int factor = 0; factor < plan->design.factors; factor++) {
        TRY(strbuf_append_format(out, "%s=", factor_of(plan, factor)->name));
        TRY(sweep_plan_value(plan, run, factor, out));
        TRY(strbuf_append_text(out, " "));
    }
    return strbuf_append_format(out, "run.seed=%lld", (long long)seed_of(plan, run));
}

/* --- settings of a run --- */

/* Behind the overrides of the command line: factors, seed, folder; the first `given` texts of *list
 * are the caller's, the others the list's own. */
struct changes {
    char **list;
    int count, given;
};

static enum status add_change(struct changes *changes, const char *name, const char *value) {
    const size_t length = strlen(name) + strlen(value) + 2;
    char *text;
    TRY(memory_new(&text, length, "an override"));
    snprintf(text, length, "%s=%s", name, value);
    changes->list[changes->count++] = text;
    return STATUS_OK;
}

static void release_changes(struct changes *changes) {
    for (int i = changes->given; i < changes->count; i++)
        memory_release(&changes->list[i]);
    memory_release(&changes->list);
}

static enum status make_changes(const struct sweep_plan *plan, char *const *values, int64_t seed,
                                const char *folder, struct changes *changes) {
    struct strbuf directory = STRBUF_EMPTY;
    char number[32];
    TRY(memory_new(&changes->list, plan->override_count + DESIGN_FACTORS_MAX + 2, "overrides"));
    for (int i = 0; i < plan->override_count; i++)
        changes->list[changes->count++] = plan->overrides[i];
    changes->given = changes->count;
    for (int factor = 0; factor < plan->design.factors; factor++)
        if (values[factor] != NULL)
            TRY(add_change(changes, factor_of(plan, factor)->name, values[factor]));
    snprintf(number, sizeof number, "%lld", (long long)seed);
    TRY(add_change(changes, "run.seed", number));
    TRY(strbuf_append_format(&directory, "%s/%s", plan->settings.run.directory, folder));
    const enum status status = add_change(changes, "run.directory", strbuf_text(&directory));
    strbuf_release(&directory);
    return status;
}

enum status sweep_plan_settings(const struct sweep_plan *plan, char *const *values, int64_t seed,
                                const char *folder, struct settings *settings) {
    struct changes changes = {.list = NULL};
    *settings = (struct settings){.origins = {NULL}};
    enum status status = make_changes(plan, values, seed, folder, &changes);
    if (status == STATUS_OK)
        status =
            settings_read(plan->path, changes.list, changes.count, SETTINGS_FOR_TRAINING, settings);
    release_changes(&changes);
    return status;
}

enum status sweep_plan_run(const struct sweep_plan *plan, int run, struct settings *settings) {
    char *values[DESIGN_FACTORS_MAX], folder[FOLDER_BYTES];
    for (int factor = 0; factor < plan->design.factors; factor++)
        values[factor] = value_of(plan, run, factor);
    snprintf(folder, sizeof folder, "run-%d", run);
    return sweep_plan_settings(plan, values, seed_of(plan, run), folder, settings);
}

/* --- factors --- */

/* A sentence about a factor names the file, and which factor. */
#define WRONG(plan, factor, format, ...)                                                           \
    FAIL(STATUS_INPUT, "%s: sweep.factors[%d], %s: " format,                                       \
         settings_origin(&(plan)->settings, "sweep.factors"), factor,                              \
         factor_of(plan, factor)->name, __VA_ARGS__)

/* What the reader says of an override, as a sentence about the factor. */
static enum status wrong_value(const struct sweep_plan *plan, int factor) {
    static const char place[] = "command line: ";
    const char *const said = status_sentence();
    return WRONG(plan, factor, "%s",
                 said + (strncmp(said, place, sizeof place - 1) == 0 ? sizeof place - 1 : 0));
}

static bool read_number(const char *text, double *number) {
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == '\0';
}

/* The value of a factor in the input file with one of its ends in place, as the settings tell it. */
static enum status value_with(const struct sweep_plan *plan, int factor, char *end,
                              struct strbuf *out) {
    char *values[DESIGN_FACTORS_MAX] = {NULL};
    struct settings settings;
    values[factor] = end;
    strbuf_clear(out);
    if (sweep_plan_settings(plan, values, plan->settings.run.seed, "run-0", &settings) != STATUS_OK)
        return wrong_value(plan, factor);
    const enum status status = settings_value(&settings, factor_of(plan, factor)->name, out);
    settings_release(&settings);
    return status;
}

static enum status check_order(const struct sweep_plan *plan, int factor) {
    const struct sweep_range *const range = &plan->ranges[factor];
    const struct ascent_factor *const ends = &range->ends;
    if (!(ends->low < ends->high))
        return WRONG(plan, factor, "low = %.9g is not below high = %.9g", ends->low, ends->high);
    if (ends->logarithmic && ends->low <= 0)
        return WRONG(plan, factor, "low = %.9g has no logarithm: write scale = \"linear\"",
                     ends->low);
    if (!(ends->low < ends->centre && ends->centre < ends->high))
        return WRONG(plan, factor,
                     "the centre, the value in this file, is %.9g, which is not between low = %.9g "
                     "and high = %.9g",
                     ends->centre, ends->low, ends->high);
    return STATUS_OK;
}

static enum status check_words(const struct sweep_plan *plan, int factor, const char *low,
                               const char *high) {
    if (strcmp(low, high) == 0)
        return WRONG(plan, factor, "low and high are the same: %s", low);
    if (plan->settings.sweep.centre_points > 0)
        return WRONG(plan, factor,
                     "between %s and %s there is no centre: write "
                     "sweep.centre_points = 0",
                     low, high);
    return STATUS_OK;
}

static enum status check_name(const struct sweep_plan *plan, int factor) {
    const struct sweep_factor *const given = factor_of(plan, factor);
    struct strbuf value = STRBUF_EMPTY;
    const enum status known = settings_value(&plan->settings, given->name, &value);
    strbuf_release(&value);
    if (known != STATUS_OK)
        return WRONG(plan, factor, "%s", status_sentence());
    if (strcmp(given->name, "run.seed") == 0 || strcmp(given->name, "run.directory") == 0 ||
        strncmp(given->name, "sweep.", 6) == 0)
        return WRONG(plan, factor, "%s", "the sweep sets it itself");
    for (int other = 0; other < factor; other++)
        if (strcmp(factor_of(plan, other)->name, given->name) == 0)
            return WRONG(plan, factor, "%s", "it is a factor already");
    if (strcmp(given->scale, "log") != 0 && strcmp(given->scale, "linear") != 0)
        return WRONG(plan, factor, "%s", "scale is log or linear");
    if (strpbrk(given->low, " \t\n") != NULL || strpbrk(given->high, " \t\n") != NULL)
        return WRONG(plan, factor, "%s",
                     "a value with blanks has no place on a line of a job array");
    return STATUS_OK;
}

/* The ends and the centre, as the settings tell them. */
static enum status read_factor(struct sweep_plan *plan, int factor, struct strbuf texts[3]) {
    const struct sweep_factor *const given = factor_of(plan, factor);
    struct sweep_range *const range = &plan->ranges[factor];
    struct ascent_factor *const ends = &range->ends;
    TRY(check_name(plan, factor));
    TRY(value_with(plan, factor, given->low, &texts[0]));
    TRY(value_with(plan, factor, NULL, &texts[1]));
    TRY(value_with(plan, factor, given->high, &texts[2]));
    ends->logarithmic = strcmp(given->scale, "log") == 0;
    range->is_number = read_number(strbuf_text(&texts[0]), &ends->low) &&
                       read_number(strbuf_text(&texts[1]), &ends->centre) &&
                       read_number(strbuf_text(&texts[2]), &ends->high);
    range->is_integer = strpbrk(strbuf_text(&texts[0]), ".e") == NULL;
    return range->is_number
               ? check_order(plan, factor)
               : check_words(plan, factor, strbuf_text(&texts[0]), strbuf_text(&texts[2]));
}

static enum status read_factors(struct sweep_plan *plan) {
    enum status status = STATUS_OK;
    for (int factor = 0; factor < plan->design.factors && status == STATUS_OK; factor++) {
        struct strbuf texts[3] = {STRBUF_EMPTY, STRBUF_EMPTY, STRBUF_EMPTY};
        status = read_factor(plan, factor, texts);
        for (int i = 0; i < 3; i++)
            strbuf_release(&texts[i]);
    }
    return status;
}

/* --- all of it --- */

/* Values that suit one by one may contradict each other. */
static enum status check_runs(const struct sweep_plan *plan) {
    for (int run = 0; run < plan->runs; run++) {
        struct settings settings;
        if (sweep_plan_run(plan, run, &settings) != STATUS_OK)
            return FAIL(STATUS_INPUT, "run %d of the sweep: %s", run, status_sentence());
        settings_release(&settings);
    }
    return STATUS_OK;
}

static enum status make_plan(struct sweep_plan *plan) {
    const struct settings_sweep *const sweep = &plan->settings.sweep;
    if (sweep->factors_count == 0)
        return FAIL(STATUS_INPUT,
                    "%s has no sweep.factors: it takes a list as ( { name = "
                    "\"optimizer.learning_rate\"; low = \"5e-6\"; high = \"2e-5\"; }, … )",
                    plan->path);
    const int64_t factors = sweep->factors_count;
    if (design_init(&plan->design, (int)(factors > 1000 ? 1000 : factors), sweep->generators,
                    (int)sweep->generators_count) != STATUS_OK)
        return FAIL(STATUS_INPUT, "%s: %s", settings_origin(&plan->settings, "sweep.factors"),
                    status_sentence());
    plan->runs = plan->design.runs * (int)sweep->repeats + (int)sweep->centre_points;
    if (plan->runs > 16 * DESIGN_RUNS_MAX)
        return FAIL(STATUS_INPUT, "sweep.repeats = %lld makes %d runs; at most %d are made",
                    (long long)sweep->repeats, plan->runs, 16 * DESIGN_RUNS_MAX);
    TRY(read_factors(plan));
    return check_runs(plan);
}

enum status sweep_plan_open(const char *path, char *const *overrides, int override_count,
                            struct sweep_plan *plan) {
    *plan =
        (struct sweep_plan){.path = path, .overrides = overrides, .override_count = override_count};
    TRY(settings_read(path, overrides, override_count, SETTINGS_FOR_TRAINING, &plan->settings));
    const enum status status = make_plan(plan);
    if (status != STATUS_OK)
        sweep_plan_close(plan);
    return status;
}

void sweep_plan_close(struct sweep_plan *plan) {
    settings_release(&plan->settings);
    *plan = (struct sweep_plan){.path = NULL};
}
