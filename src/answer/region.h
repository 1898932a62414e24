/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of real numbers: intervals, points, their unions, and what inequalities of one variable
 * describe. Ends are numbers in double precision.
 */
#ifndef ANSWER_REGION_H
#define ANSWER_REGION_H

#include "answer/scalar.h"

enum { REGION_PIECES = 24 };

/* Pieces in ascending order that do not touch. */
struct region {
    uint64_t name; /* of the variable of inequalities; 0: none */
    int count;
    struct piece {
        double low, high;
        bool low_closed, high_closed;
    } pieces[REGION_PIECES];
};

/* False when the item is no such set, or has too many pieces. */
bool region_read(struct grader *grader, struct item item, struct region *out);

/* Not of inequalities of different variables. */
bool region_equal(const struct region *a, const struct region *b);

#endif
