/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sweep_results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "file/h5.h"
#include "run/diagnostics_last.h"
#include "run/directory.h"

/* --- a run --- */

static enum status check_steps(const struct sweep_plan *plan, const struct h5 *h5) {
    int64_t steps;
    TRY(diagnostics_valid(h5, &steps));
    if (steps >= plan->settings.run.steps)
        return STATUS_OK;
    return FAIL(STATUS_INPUT, "it has done %lld of %lld steps", (long long)steps,
                (long long)plan->settings.run.steps);
}

/* The factors had the values that the design gives them. */
static enum status check_factors(const struct sweep_plan *plan, const struct settings *had,
                                 const struct settings *want) {
    struct strbuf texts[2] = {STRBUF_EMPTY, STRBUF_EMPTY};
    enum status status = STATUS_OK;
    for (int factor = 0; factor < plan->design.factors && status == STATUS_OK; factor++) {
        const char *const name = plan->settings.sweep.factors[factor].name;
        strbuf_clear(&texts[0]);
        strbuf_clear(&texts[1]);
        status = settings_value(had, name, &texts[0]);
        if (status == STATUS_OK)
            status = settings_value(want, name, &texts[1]);
        if (status == STATUS_OK && strcmp(strbuf_text(&texts[0]), strbuf_text(&texts[1])) != 0)
            status = FAIL(STATUS_INPUT, "it had %s = %s, where the design has %s", name,
                          strbuf_text(&texts[0]), strbuf_text(&texts[1]));
    }
    strbuf_release(&texts[0]);
    strbuf_release(&texts[1]);
    return status;
}

static enum status check_settings(const struct sweep_plan *plan, const struct h5 *h5,
                                  const char *path, const struct settings *want) {
    struct strbuf text = STRBUF_EMPTY;
    struct settings had;
    enum status status = h5_get_text(h5, "/provenance/settings", &text);
    if (status == STATUS_OK)
        status = settings_read_text(path, strbuf_text(&text), text.length, NULL, 0,
                                    SETTINGS_FOR_TRAINING, &had);
    strbuf_release(&text);
    TRY(status);
    status = check_factors(plan, &had, want);
    settings_release(&had);
    return status;
}

static enum status read_file(const struct sweep_plan *plan, const char *path,
                             const struct settings *want, double *value) {
    struct h5 *h5;
    TRY(h5_open(&h5, path));
    enum status status = check_settings(plan, h5, path, want);
    if (status == STATUS_OK)
        status = check_steps(plan, h5);
    if (status == STATUS_OK)
        status = diagnostics_last(h5, plan->settings.sweep.metric,
                                  (enum diagnostics_form)plan->settings.sweep.form,
                                  plan->settings.sweep.last, value);
    (void)h5_close(&h5);
    return status;
}

static enum status read_run(const struct sweep_plan *plan, int run, double *value) {
    char path[DIRECTORY_PATH_BYTES];
    struct settings want;
    TRY(sweep_plan_run(plan, run, &want));
    enum status status = directory_path(want.run.directory, path, "diagnostics.h5");
    if (status == STATUS_OK)
        status = read_file(plan, path, &want, value);
    settings_release(&want);
    return status == STATUS_OK ? STATUS_OK
                               : FAIL(status, "run %d of the sweep: %s", run, status_sentence());
}

/* --- all runs --- */

static void find_effects(const struct sweep_plan *plan, struct sweep_results *results) {
    const int repeats = (int)plan->settings.sweep.repeats;
    results->responses = (struct responses){
        .factorial = results->values,
        .centre = results->values + plan->design.runs * repeats,
        .repeats = repeats,
        .centres = (int)plan->settings.sweep.centre_points,
    };
    effects_of(&plan->design, &results->responses, &results->effects);
}

enum status sweep_results_read(const struct sweep_plan *plan, struct sweep_results *results) {
    *results = (struct sweep_results){.values = NULL};
    TRY(memory_new(&results->values, plan->runs, "results of a sweep"));
    enum status status = STATUS_OK;
    for (int run = 0; run < plan->runs && status == STATUS_OK; run++)
        status = read_run(plan, run, &results->values[run]);
    if (status == STATUS_OK)
        find_effects(plan, results);
    else
        sweep_results_release(results);
    return status;
}

void sweep_results_release(struct sweep_results *results) {
    memory_release(&results->values);
    *results = (struct sweep_results){.values = NULL};
}

/* --- the next point --- */

static enum status append_number(const struct sweep_range *range, double value,
                                 struct strbuf *out) {
    if (range->is_integer)
        return strbuf_append_format(out, "%.0f", value);
    TRY(strbuf_append_format(out, "%.9g", value));
    return strbuf_append_text(out, strpbrk(strbuf_text(out), ".e") == NULL ? ".0" : "");
}

static enum status choose_value(const struct sweep_plan *plan, int factor,
                                struct sweep_next *next) {
    const struct sweep_range *const range = &plan->ranges[factor];
    const struct sweep_factor *const given = &plan->settings.sweep.factors[factor];
    const double place = next->place[factor];
    next->exact[factor] = range->is_number ? ascent_value(&range->ends, place) : (double)NAN;
    if (!range->is_number)
        return strbuf_append_text(&next->value[factor], place > 0 ? given->high : given->low);
    return append_number(range, ascent_round(next->exact[factor], (int)plan->settings.sweep.digits),
                         &next->value[factor]);
}

/* Steps of the numbers along their coefficients; of words the end with the better mean. */
static void choose_places(const struct sweep_plan *plan, const struct sweep_results *results,
                          double *place) {
    const double sign = plan->settings.sweep.goal == SETTING_GOAL_MAXIMUM ? 1 : -1;
    double b[DESIGN_FACTORS_MAX], x[DESIGN_FACTORS_MAX];
    int numbers = 0;
    for (int factor = 0; factor < plan->design.factors; factor++) {
        place[factor] =
            sign * effects_word(&plan->design, &results->responses, UINT32_C(1) << factor) / 2;
        if (plan->ranges[factor].is_number)
            b[numbers++] = place[factor];
    }
    ascent_step(b, numbers, plan->settings.sweep.step, x);
    numbers = 0;
    for (int factor = 0; factor < plan->design.factors; factor++)
        place[factor] = plan->ranges[factor].is_number ? x[numbers++] : place[factor] > 0 ? 1 : -1;
}

enum status sweep_results_ascend(const struct sweep_plan *plan, const struct sweep_results *results,
                                 struct sweep_next *next) {
    *next = (struct sweep_next){.place = {0}};
    choose_places(plan, results, next->place);
    for (int factor = 0; factor < plan->design.factors; factor++)
        TRY(choose_value(plan, factor, next));
    return STATUS_OK;
}

void sweep_next_release(struct sweep_next *next) {
    for (int factor = 0; factor < DESIGN_FACTORS_MAX; factor++)
        strbuf_release(&next->value[factor]);
}
