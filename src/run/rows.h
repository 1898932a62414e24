/* SPDX-License-Identifier: Apache-2.0
 *
 * Which rows of its data a run takes, and how long they may get.
 */
#ifndef RUN_ROWS_H
#define RUN_ROWS_H

#include <stdint.h>

#include "base/status.h"

struct run;

static inline int64_t rows_longer(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Opens run->stream, and run->corpus where there is one, on the rows whose prompts have at most `limit`
 * tokens, fills run->longest, and tells what is left out, comes again or looks wrong. STATUS_INPUT names
 * the file and line of a row that cannot be used. */
enum status rows_open(struct run *run, int64_t limit) MUST_USE;

/* For rows that cannot be counted: as long as the settings and the model let them get. */
void rows_assume(struct run *run, int64_t limit);

/* Most tokens of an answer, or of a completion that stands in its place before the discriminator. */
int64_t rows_answer_most(const struct run *run);

/* What the discriminator of the game reads, into run->longest and run->max_positions, when the rows are
 * known; and the longest sequence of it, 0 without one. */
enum status rows_measure_judged(struct run *run) MUST_USE;
int64_t rows_judged_most(const struct run *run);

#endif
