/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of an evaluation alone (`gradus eval`): a rehearsal as in run/plan.h, of a model that is
 * loaded and draws its samples.
 */
#ifndef RUN_PLAN_EVALUATION_H
#define RUN_PLAN_EVALUATION_H

#include <stdint.h>

#include "base/status.h"
#include "config/settings.h"
#include "run/plan.h"

struct plan_evaluation {
    int64_t sets, problems, samples, at_once; /* samples: of all ranks; at once: of one */
    int64_t prompt, answer;                   /* tokens of the longest */
    int64_t parameters;
    int threads;
    struct plan_memory
        memory;     /* of rank 0; of its moments there are loading and drawing (rollout) */
    double drawing; /* operations */
};

/* Refuses what `eval` refuses at its start. threads 0: as in plan_options. */
enum status plan_evaluation(const struct settings *settings, int ranks, int threads,
                            struct plan_evaluation *plan) MUST_USE;

#endif
