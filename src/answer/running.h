/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers in running text, where no sign says which part of it is meant. Linear in the text.
 */
#ifndef ANSWER_RUNNING_H
#define ANSWER_RUNNING_H

#include <stdbool.h>

#include "answer/span.h"

/* The last formula between $ or the like, or the last number with what is computed with it:
 * "1200 * 6" of "so 1200 * 6 =". False when there is neither, and when the text breaks off in the
 * middle of a computation: what "so 4 + 3 *" would have come to nobody knows. */
bool running_last(struct span text, struct span *out);

/* The number that a sentence means: "24" of "that the classroom has 24 seats". The sentence must hold
 * one number, written in digits (or the same again: "has 2 legs and 2 arms"), and beside it words
 * that do not change what it means: false with a formula, a variable, the letter of a choice, "not",
 * "half", "at least", "dozen". */
bool running_number(struct span sentence, struct span *out);

#endif
