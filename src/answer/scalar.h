/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether two numbers, or two expressions in variables, are equal.
 *
 * Rational numbers are compared exactly. Others must agree in double precision to
 * SCALAR_PRECISION of the larger one, with variables at several points; rational expressions
 * must have equal values in the field of value.h as well. Where one side is written with a
 * decimal point and the other has no finite decimals, the grader's tolerance counts instead. A
 * percentage is its hundredth or the number before the sign, degrees are an angle or the number
 * before the sign, when the other side has no such sign. Units that are known are converted,
 * others do not count.
 */
#ifndef ANSWER_SCALAR_H
#define ANSWER_SCALAR_H

#include "answer/value.h"

#define SCALAR_PRECISION 1e-9

/* One grading. */
struct grader {
    struct budget budget;
    double tolerance; /* relative */
    uint64_t seed;    /* of the points */
};

/* `wanted` is the reference. */
bool scalar_equal(struct grader *grader, struct item given, struct item wanted);

/* The differences of two sides, a first − a second and b first − b second, are proportional by a
 * constant that is not 0; *positive says its sign. */
bool scalar_proportional(struct grader *grader, const struct item a[2], const struct item b[2],
                         bool *positive);

/* Whether two real numbers agree to SCALAR_PRECISION, ∞ with ∞. */
bool scalar_near(double a, double b);

#endif
