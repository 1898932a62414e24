/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps in a row in which all answers to each prompt had equal rewards, so that nothing was
 * learned: how many, and why it may be, from what the run looked like before.
 */
#ifndef RUN_FLAT_H
#define RUN_FLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "run/metrics.h"

/* All zeros at the start of a run. */
struct flat {
    int64_t steps;         /* in a row, up to now */
    bool had_form;         /* some earlier answers had the form of the format reward */
    bool had_end;          /* in some earlier step most answers ended by themselves */
    double longest_tokens; /* largest mean length of an earlier step */
};

/* Takes in a step; whether it is time to warn, at every fifth step in a row. */
bool flat_watch(struct flat *flat, const struct metrics *metrics);

/* The likeliest reason, with what helps against it. */
const char *flat_reason(const struct flat *flat, const struct metrics *metrics);

#endif
