/* SPDX-License-Identifier: Apache-2.0
 *
 * All that a run is, after a step, beside what its settings and its model say: each thing once, in
 * two tables that the writer and the reader of checkpoints both walk, so that nothing can be
 * written and not read. What is not in them does not outlive a kill.
 */
#ifndef RUN_STATE_H
#define RUN_STATE_H

#include <stdbool.h>

#include "base/status.h"
#include "run/checkpoint.h"
#include "run/run.h"

enum { STATE_VALUES_MAX = 64 };

/* The numbers: fills `out` and returns how many there are. They point into the run. */
int state_values(struct run *run, struct checkpoint_value out[STATE_VALUES_MAX]);

/* The vectors: backend memory, aligned with the flat vector of parameters, or `packed`, this rank's
 * pieces of run->deal one behind the other. */
struct state_vector {
    float *values; /* NULL: this run has none */
    bool packed;
};
int state_vectors(const struct run *run); /* that it has */
struct state_vector state_vector(const struct run *run, enum checkpoint_section section);

/* Before the numbers are written, and after they were read: between the table and what keeps its
 * numbers to itself. */
void state_gather(struct run *run);
enum status state_apply(struct run *run) MUST_USE;

#endif
