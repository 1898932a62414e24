/* SPDX-License-Identifier: Apache-2.0
 *
 * gradus sweep: the runs of a factorial design around an input file, and what their results say.
 */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "cli/sweep_plan.h"
#include "cli/sweep_results.h"
#include "file/atomic.h"
#include "run/directory.h"

enum { ALIAS_LETTERS_MAX = 3, VALUE_WIDTH = 12 };

static const struct settings_sweep *sweep_of(const struct sweep_plan *plan) {
    return &plan->settings.sweep;
}

static const char *name_of(const struct sweep_plan *plan, int factor) {
    return sweep_of(plan)->factors[factor].name;
}

static char letter_of(int factor) {
    char letters[DESIGN_WORD_MAX];
    return design_letters(UINT32_C(1) << factor, letters)[0];
}

/* --- the design --- */

static enum status print_factors(const struct sweep_plan *plan) {
    struct strbuf centre = STRBUF_EMPTY;
    printf("factor%34s %*s %*s %*s  scale\n", "", VALUE_WIDTH, "low", VALUE_WIDTH, "centre",
           VALUE_WIDTH, "high");
    for (int factor = 0; factor < plan->design.factors; factor++) {
        const struct sweep_factor *const given = &sweep_of(plan)->factors[factor];
        const bool words = !plan->ranges[factor].is_number;
        strbuf_clear(&centre);
        TRY(settings_value(&plan->settings, given->name, &centre));
        printf("  %c  %-35s %*s %*s %*s  %s\n", letter_of(factor), given->name, VALUE_WIDTH,
               given->low, VALUE_WIDTH, words ? "" : strbuf_text(&centre), VALUE_WIDTH, given->high,
               words ? "words" : given->scale);
    }
    strbuf_release(&centre);
    return STATUS_OK;
}

static int length_of(uint32_t letters) {
    char text[DESIGN_WORD_MAX];
    return letters == 0 ? 0 : (int)strlen(design_letters(letters, text));
}

/* " = BD = -CE", aliases of up to ALIAS_LETTERS_MAX letters; returns how many are left out. */
static int64_t print_aliases(const struct design *design, uint32_t letters) {
    char text[DESIGN_WORD_MAX];
    int64_t left = 0;
    for (int length = 1; length <= DESIGN_FACTORS_MAX; length++)
        for (int64_t i = 0; i < design_relation_count(design); i++) {
            const struct design_word alias = design_alias(design, letters, i);
            if (length_of(alias.letters) != length)
                continue;
            if (length <= ALIAS_LETTERS_MAX)
                printf(" = %s%s", alias.sign < 0 ? "-" : "", design_letters(alias.letters, text));
            else
                left++;
        }
    return left;
}

static void print_relation(const struct sweep_plan *plan) {
    const struct design *const design = &plan->design;
    char text[DESIGN_WORD_MAX];
    if (design->generators == 0) {
        printf("\ndesign 2^%d, full: %d points, no aliases", design->factors, design->runs);
    } else {
        printf("\ndesign 2^(%d-%d): %d points, resolution %d, I", design->factors,
               design->generators, design->runs, design_resolution(design));
        for (int64_t i = 0; i < design_relation_count(design) && i < 15; i++) {
            const struct design_word word = design_relation(design, i);
            printf(" = %s%s", word.sign < 0 ? "-" : "", design_letters(word.letters, text));
        }
        printf("%s", design_relation_count(design) > 15 ? " = ..." : "");
    }
    printf("\n%d runs: %d points x %lld, and %lld at the centre\n", plan->runs, design->runs,
           (long long)sweep_of(plan)->repeats, (long long)sweep_of(plan)->centre_points);
}

static void print_main_aliases(const struct design *design) {
    int64_t left = 0;
    if (design->generators == 0)
        return;
    printf("\naliases\n");
    for (int factor = 0; factor < design->factors; factor++) {
        printf("  %c", letter_of(factor));
        left += print_aliases(design, UINT32_C(1) << factor);
        printf("\n");
    }
    if (left > 0)
        printf("  left out: %lld of more than %d letters\n", (long long)left, ALIAS_LETTERS_MAX);
}

/* The levels of each run, with its result where there is one. */
static void print_runs(const struct sweep_plan *plan, const double *values) {
    printf("\nrun  ");
    for (int factor = 0; factor < plan->design.factors; factor++)
        printf(" %c", letter_of(factor));
    printf("  seed%s\n", values != NULL ? "        value" : "");
    for (int run = 0; run < plan->runs; run++) {
        const int point = sweep_plan_point(plan, run);
        printf("%4d ", run);
        for (int factor = 0; factor < plan->design.factors; factor++)
            printf(" %c", point < 0                                        ? '0'
                          : design_level(&plan->design, point, factor) > 0 ? '+'
                                                                           : '-');
        printf("  %4lld", (long long)plan->settings.run.seed + sweep_plan_repetition(plan, run));
        if (values != NULL)
            printf(" %12.6g", values[run]);
        printf("\n");
    }
}

/* --- the files --- */

static enum status write_text(const char *directory, const char *name, const struct strbuf *text) {
    char path[DIRECTORY_PATH_BYTES];
    TRY(directory_path(directory, path, name));
    return atomic_write_file(path, strbuf_text(text), (int64_t)text->length);
}

static enum status write_settings(const char *directory, const char *name,
                                  const struct settings *settings) {
    struct strbuf text = STRBUF_EMPTY;
    enum status status = settings_dump(settings, &text);
    if (status == STATUS_OK)
        status = write_text(directory, name, &text);
    strbuf_release(&text);
    return status;
}

/* A value that the design in the folder does not share with this one. */
static enum status refuse_difference(void *context, const struct settings_difference *difference) {
    const char *const path = context;
    if (difference->may_change && strncmp(difference->name, "sweep.", 6) != 0)
        return STATUS_OK;
    return FAIL(STATUS_INPUT,
                "%s is another design: %s is %s there and %s here; give this one another "
                "run.directory",
                path, difference->name, difference->before, difference->now);
}

/* Runs of one folder belong to one design. */
static enum status check_folder(const struct sweep_plan *plan) {
    char path[DIRECTORY_PATH_BYTES];
    struct settings before;
    TRY(directory_path(plan->settings.run.directory, path, "design.cfg"));
    FILE *const file = fopen(path, "rb");
    if (file == NULL)
        return STATUS_OK;
    fclose(file);
    TRY(settings_read(path, NULL, 0, SETTINGS_FOR_TRAINING, &before));
    const enum status status = settings_compare(&before, &plan->settings, refuse_difference, path);
    settings_release(&before);
    return status;
}

static enum status write_run(const struct sweep_plan *plan, int run, struct strbuf *table) {
    char name[32];
    struct settings settings;
    TRY(sweep_plan_changes(plan, run, table));
    TRY(strbuf_append_text(table, "\n"));
    TRY(sweep_plan_run(plan, run, &settings));
    snprintf(name, sizeof name, "run-%d.cfg", run);
    const enum status status = write_settings(plan->settings.run.directory, name, &settings);
    settings_release(&settings);
    return status;
}

static enum status write_runs(const struct sweep_plan *plan) {
    const char *const directory = plan->settings.run.directory;
    struct strbuf table = STRBUF_EMPTY;
    enum status status = strbuf_append_text(
        &table, "# The runs of design.cfg, for an array of jobs: what each changes.\n");
    TRY(directory_make(directory));
    TRY(write_settings(directory, "design.cfg", &plan->settings));
    for (int run = 0; run < plan->runs && status == STATUS_OK; run++)
        status = write_run(plan, run, &table);
    if (status == STATUS_OK)
        status = write_text(directory, "runs.txt", &table);
    strbuf_release(&table);
    return status;
}

static enum status make(const struct sweep_plan *plan, bool dry) {
    const char *const directory = plan->settings.run.directory;
    TRY(print_factors(plan));
    print_relation(plan);
    print_main_aliases(&plan->design);
    print_runs(plan, NULL);
    if (dry)
        return STATUS_OK;
    TRY(check_folder(plan));
    TRY(write_runs(plan));
    printf(
        "\nwritten: %s/run-0.cfg to run-%d.cfg, design.cfg, runs.txt; here gradus train with each of\n"
        "the former, on a cluster\n",
        directory, plan->runs - 1);
    printf("jobs/submit.sh --array 0-%d jobs/slurm/sweep.sh %s/design.cfg %s/runs.txt\n",
           plan->runs - 1, directory, directory);
    printf("and when all are over: gradus sweep %s/design.cfg --results\n", directory);
    return STATUS_OK;
}

/* --- the results --- */

static void print_effect(const struct sweep_plan *plan, const struct sweep_results *results,
                         uint32_t letters, const char *name) {
    char text[DESIGN_WORD_MAX];
    const double effect = effects_word(&plan->design, &results->responses, letters),
                 error = results->effects.effect_error;
    printf("  %-3s %-36s %12.6g", design_letters(letters, text), name, effect);
    if (isfinite(error))
        printf(" %12.3g %8.2f", error, effect / error);
    printf("  ");
    (void)print_aliases(&plan->design, letters);
    printf("\n");
}

/* Effects of the factors, and of those pairs that are no aliases of a factor or of an earlier pair. */
static void print_effects(const struct sweep_plan *plan, const struct sweep_results *results) {
    const bool errors = isfinite(results->effects.effect_error);
    printf("\neffect, high less low%20s %12s%s   aliases\n", "", "",
           errors ? "        error        t" : "");
    for (int a = 0; a < plan->design.factors; a++)
        print_effect(plan, results, UINT32_C(1) << a, name_of(plan, a));
    for (int a = 0; a < plan->design.factors; a++)
        for (int b = a + 1; b < plan->design.factors; b++) {
            const uint32_t pair = UINT32_C(1) << a | UINT32_C(1) << b;
            if (design_comes_first(&plan->design, pair))
                print_effect(plan, results, pair, "");
        }
}

static void print_curvature(const struct effects *effects) {
    printf("\nmean of the factorial points %.6g", effects->factorial_mean);
    if (isfinite(effects->centre_mean))
        printf(", of the centre %.6g, curvature %.6g", effects->centre_mean, effects->curvature);
    if (isfinite(effects->curvature_error))
        printf(" with error %.3g", effects->curvature_error);
    if (effects->freedom > 0)
        printf("\nstandard deviation of a run %.3g, by %d degrees of freedom", effects->deviation,
               effects->freedom);
    else
        printf("\nno point is repeated: there are no standard errors");
    printf("\n");
}

/* Whether a figure is told from 0 by so many of its errors; never where there is no error. */
static bool stands_out(double value, double error, double errors) {
    return isfinite(error) && fabs(value) > errors * error;
}

/* Why the ascent, which takes the responses for a plane with the slopes of the effects, may lead nowhere. */
static void print_doubts(const struct sweep_plan *plan, const struct sweep_results *results) {
    const struct effects *const effects = &results->effects;
    bool slope = !isfinite(effects->effect_error), pair = false;
    for (int a = 0; a < plan->design.factors; a++) {
        slope |= stands_out(effects_word(&plan->design, &results->responses, UINT32_C(1) << a),
                            effects->effect_error, 2);
        for (int b = a + 1; b < plan->design.factors; b++) {
            const uint32_t letters = UINT32_C(1) << a | UINT32_C(1) << b;
            pair |= design_comes_first(&plan->design, letters) &&
                    stands_out(effects_word(&plan->design, &results->responses, letters),
                               effects->effect_error, 3);
        }
    }
    if (!slope)
        printf("doubt: no factor's effect is twice its error: the ascent follows noise\n");
    if (pair)
        printf("doubt: factors act together, by more than three errors: the ascent, which takes "
               "the values for a plane, leaves that out\n");
    if (stands_out(effects->curvature, effects->curvature_error, 3))
        printf("doubt: the curvature is more than three errors: the values are no plane, and the "
               "ascent takes them for one\n");
}

static void print_next(const struct sweep_plan *plan, const struct sweep_next *next) {
    const bool largest = sweep_of(plan)->goal == SETTING_GOAL_MAXIMUM;
    printf("\nsteepest %s%27s %12s %12s %12s\n", largest ? "ascent " : "descent", "", "coded",
           "exact", "next");
    for (int factor = 0; factor < plan->design.factors; factor++) {
        printf("  %c   %-36s", letter_of(factor), name_of(plan, factor));
        if (plan->ranges[factor].is_number)
            printf(" %12.4f %12.6g", next->place[factor], next->exact[factor]);
        else
            printf(" %12s %12s", "", "");
        printf(" %12s\n", strbuf_text(&next->value[factor]));
    }
}

/* Next to the runs, ascent.cfg. */
static enum status write_next(const struct sweep_plan *plan, const struct sweep_next *next) {
    char *values[DESIGN_FACTORS_MAX];
    struct settings settings;
    for (int factor = 0; factor < plan->design.factors; factor++)
        values[factor] = next->value[factor].text;
    if (sweep_plan_settings(plan, values, plan->settings.run.seed, "ascent", &settings) !=
        STATUS_OK)
        return FAIL(STATUS_INPUT, "the next point cannot be run: %s; take a smaller sweep.step",
                    status_sentence());
    const enum status status =
        write_settings(plan->settings.run.directory, "ascent.cfg", &settings);
    settings_release(&settings);
    TRY(status);
    printf("\nwritten: %s/ascent.cfg\n", plan->settings.run.directory);
    return STATUS_OK;
}

static enum status ascend(const struct sweep_plan *plan, const struct sweep_results *results) {
    struct sweep_next next;
    enum status status = sweep_results_ascend(plan, results, &next);
    if (status == STATUS_OK) {
        print_next(plan, &next);
        status = write_next(plan, &next);
    }
    sweep_next_release(&next);
    return status;
}

static enum status tell(const struct sweep_plan *plan) {
    struct sweep_results results;
    TRY(sweep_results_read(plan, &results));
    TRY(print_factors(plan));
    print_relation(plan);
    printf("\nvalue: %s at the end of each run\n", sweep_of(plan)->metric);
    print_runs(plan, results.values);
    print_effects(plan, &results);
    print_curvature(&results.effects);
    print_doubts(plan, &results);
    const enum status status = ascend(plan, &results);
    sweep_results_release(&results);
    return status;
}

static enum status run(struct cli *cli) {
    const bool results = cli_given(cli, "results"), dry = cli_given(cli, "dry-run");
    struct sweep_plan plan;
    if (results && dry)
        return FAIL(STATUS_USAGE, "sweep takes --results or --dry-run, not both");
    TRY(sweep_plan_open(cli->argv[0], cli->argv + 1, cli->argc - 1, &plan));
    const enum status status = results ? tell(&plan) : make(&plan, dry);
    sweep_plan_close(&plan);
    return status;
}

const struct cli_command cmd_sweep = {
    .name = "sweep",
    .arguments = "DESIGN.cfg [group.name=value ...]",
    .text = "runs of a factorial design around an input file, and what their results say",
    .more =
        "DESIGN.cfg is an input file of gradus train with a group `sweep`: factors with a low and a\n"
        "high value, around the values that the file itself gives them. For each run an input file is\n"
        "written into run.directory, and a line of runs.txt for an array of jobs. With --results, when\n"
        "all runs are over, it tells the effect of each factor with its aliases, the curvature,\n"
        "standard errors where runs are repeated, and where the steepest ascent leads.\n"
        "`gradus params sweep` lists what the group holds; input/sweep.cfg is an example.",
    .options = {{"results", NULL, "read the runs and tell what they say", false},
                {"dry-run", NULL, "print the design and write nothing", false}},
    .least = 1,
    .most = -1,
    .run = run,
};
