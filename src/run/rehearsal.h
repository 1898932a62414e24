/* SPDX-License-Identifier: Apache-2.0
 *
 * A step of a run gone through without its numbers, with rows as long as they may get: on a backend that
 * books memory and computes nothing (run/plan.h), or on that of a run before its first step, so that a
 * device has at hand what the steps will take (run_rehearse in run/run.h). Each part asks this rank
 * alone, in the order in which they stand here.
 */
#ifndef RUN_REHEARSAL_H
#define RUN_REHEARSAL_H

#include "base/status.h"

struct comm;
struct evaluation;
struct language_model;
struct run;

enum status rehearsal_rollout(struct run *run) MUST_USE;  /* and an evaluation on the way */
enum status rehearsal_training(struct run *run) MUST_USE; /* and MAUVE on the way */
enum status rehearsal_saving(struct run *run) MUST_USE;   /* for plans: booked, not taken */

/* The drawing of an evaluation's samples, as many as are decoded at once. */
enum status rehearsal_draw_samples(const struct language_model *lm, const struct comm *comm,
                                   const struct evaluation *problems) MUST_USE;

#endif
