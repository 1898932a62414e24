/* SPDX-License-Identifier: Apache-2.0
 *
 * How a run begins or goes on: `gradus train` continues the run in run.directory by itself, from its
 * newest good checkpoint.
 */
#ifndef RUN_RESTART_H
#define RUN_RESTART_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/status.h"
#include "comm/comm.h"
#include "config/settings.h"
#include "run/directory.h"

struct language_model;
struct run;

/* From where a run begins. */
struct restart {
    /* What the user asks for. */
    bool fresh;         /* start over: the run in the directory is removed */
    const char *picked; /* a checkpoint; NULL: the newest good one */
    /* What restart_choose found. */
    bool again;                      /* a run is in run.directory, and goes on */
    int64_t step;                    /* its steps that stay; 0: from the beginning */
    char path[DIRECTORY_PATH_BYTES]; /* the checkpoint; "" at the beginning */
};

/* Whether a run of these settings may begin or go on in its run.directory, and from where: refuses
 * what directory_check does, a directory whose checkpoints are all damaged, and settings that a run
 * which goes on may not change; names them all. Damaged checkpoints are named in the log. Nothing
 * is changed, nothing large is read but the checkpoint. Collective. */
enum status restart_choose(const struct settings *settings, struct comm *comm,
                           struct restart *restart) MUST_USE;

/* The opened run becomes what it was when the checkpoint was written. Refuses other data and another
 * model than it was written with. Collective. */
enum status restart_load(struct run *run, const struct restart *restart) MUST_USE;

/* The parameters of a checkpoint, and nothing else of it, take the place of those of a model that is
 * loaded: in `master`, which has room for what the model trains, and in what it computes with. Every
 * checksum of the file is checked first. */
enum status restart_load_parameters(struct language_model *lm, const char *path,
                                    float *master) MUST_USE;

/* Under the directory's lock: takes back what the steps after restart->step have left: rollouts,
 * lines of metrics.jsonl, checkpoints (damaged ones are put aside); diagnostics.h5 is made by its
 * owner. Each change is done or not done, and doing it again is no harm. Rank 0 calls. */
enum status restart_take_back(const struct settings *settings,
                              const struct restart *restart) MUST_USE;

#endif
