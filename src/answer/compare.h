/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether two answers mean the same: numbers, lists, sets, tuples, intervals, matrices, relations.
 *
 * Sets and lists without brackets have no order; tuples have one, and a list without brackets
 * may stand for a tuple. ( , ) is an open interval or a pair, whichever the other one is. x = 5
 * stands for 5, and a list of such for the tuple. A column or row stands for a tuple.
 * Inequalities of one variable are sets. Two equations are equal when their sides differ by
 * proportional amounts.
 */
#ifndef ANSWER_COMPARE_H
#define ANSWER_COMPARE_H

#include "answer/scalar.h"

bool compare_items(struct grader *grader, struct item given, struct item wanted);

#endif
