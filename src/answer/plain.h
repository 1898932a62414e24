/* SPDX-License-Identifier: Apache-2.0
 *
 * Written answers as texts: what is left of one when what only shapes its look is left out (blanks,
 * $, \left, \text, spaces of LaTeX). Linear in the length, without memory.
 */
#ifndef ANSWER_PLAIN_H
#define ANSWER_PLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "answer/span.h"

bool plain_equal(struct span a, struct span b, bool fold_case);

/* A name that plain_equal texts share (tree_name). */
uint64_t plain_name(uint64_t start, struct span text);

/* The letter of a choice that the text begins with: "C", "(C)", "\text{(C)}", and with `open`
 * also what goes on as "C. 12", "(C) 12" or "C: 12"; 0 when there is none. */
char plain_choice(struct span text, bool open);

/* Whether it holds letters, and nothing but them, blanks and - ' and ( ). */
bool plain_is_words(struct span text);

#endif
