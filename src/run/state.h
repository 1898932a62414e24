/* SPDX-License-Identifier: Apache-2.0
 *
 * All that a run is, after a step, beside what its settings and its model say: each thing once, in
 * two tables that the writer and the reader of checkpoints both walk, so that nothing can be
 * written and not read. What is not in them does not outlive a kill.
 */
#ifndef RUN_STATE_H
#define RUN_STATE_H

#include "base/status.h"
#include "run/checkpoint.h"
#include "run/run.h"

enum { STATE_VALUES_MAX = 64 };

/* The numbers: fills `out` and returns how many there are. They point into the run. */
int state_values(struct run *run, struct checkpoint_value out[STATE_VALUES_MAX]);

/* The vector of a section, aligned with the flat vector of parameters. */
float *state_vector(const struct run *run, enum checkpoint_section section);

/* Vectors that stand in shards (run->shard) are neither written nor read yet. */
enum status state_check_whole(const struct run *run) MUST_USE;

/* Before the numbers are written, and after they were read: between the table and what keeps its
 * numbers to itself. */
void state_gather(struct run *run);
enum status state_apply(struct run *run) MUST_USE;

#endif
