/* SPDX-License-Identifier: Apache-2.0
 *
 * The runs of a design: what the group `sweep` of an input file asks for, and the settings of each run.
 * Runs are numbered from 0: the factorial points in standard order, each with its repetitions behind
 * each other, then the centre points. Run i goes to the folder run-i of the file's run.directory;
 * repetitions, and centre points, have seeds run.seed, run.seed + 1 …
 */
#ifndef CLI_SWEEP_PLAN_H
#define CLI_SWEEP_PLAN_H

#include <stdbool.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "config/settings.h"
#include "sweep/ascent.h"
#include "sweep/design.h"

struct sweep_range {
    bool is_number; /* else words: low and high are all there is */
    bool is_integer;
    struct ascent_factor ends; /* of numbers */
};

struct sweep_plan {
    const char *path; /* of the input file, with the overrides of the command line */
    char *const *overrides;
    int override_count;
    struct settings settings;
    struct design design;
    struct sweep_range ranges[DESIGN_FACTORS_MAX]; /* (design.factors) */
    int runs;
};

/* Reads the input file and checks the design and the settings of all its runs. STATUS_INPUT for a
 * factor that is no parameter, values out of its bounds or in a wrong order, a centre that does not lie
 * between them, and all that design_init and a run itself refuse. */
enum status sweep_plan_open(const char *path, char *const *overrides, int override_count,
                            struct sweep_plan *plan) MUST_USE;
void sweep_plan_close(struct sweep_plan *plan);

/* The factorial point of a run, -1 for a centre point; which repetition it is. */
int sweep_plan_point(const struct sweep_plan *plan, int run);
int sweep_plan_repetition(const struct sweep_plan *plan, int run);

/* Appends the value of a factor in a run as it stands on a command line: that of the input file at a
 * centre point. */
enum status sweep_plan_value(const struct sweep_plan *plan, int run, int factor,
                             struct strbuf *out) MUST_USE;

/* Appends what a run changes, "optimizer.learning_rate=5e-6 run.seed=1": its line of a job array. */
enum status sweep_plan_changes(const struct sweep_plan *plan, int run, struct strbuf *out) MUST_USE;

/* The settings of the input file with these values of the factors (texts, NULL: as there), this seed
 * and a folder of that name in its run.directory. The caller releases them. */
enum status sweep_plan_settings(const struct sweep_plan *plan, char *const *values, int64_t seed,
                                const char *folder, struct settings *settings) MUST_USE;

/* The same for a run. */
enum status sweep_plan_run(const struct sweep_plan *plan, int run,
                           struct settings *settings) MUST_USE;

#endif
