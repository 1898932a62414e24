/* SPDX-License-Identifier: Apache-2.0
 *
 * The next point along the direction of steepest ascent. In coded units a factor is -1 at low, 0 at the
 * centre, 1 at high; its coefficient b is half its effect. The step is x = size b / max |b|. A value is
 *
 *     centre (high / centre)^x          of a logarithmic factor, x > 0
 *     centre + x (high - centre)        of a linear one
 *
 * and for x < 0 the same with low and -x: each side has its own interval, so that a centre need not lie
 * in the middle.
 */
#ifndef SWEEP_ASCENT_H
#define SWEEP_ASCENT_H

#include <stdbool.h>

struct ascent_factor {
    double low, centre, high; /* ascending; logarithmic: above 0 */
    bool logarithmic;
};

/* Fills x (n), which may be b itself; all 0 where no effect is. */
void ascent_step(const double *b, int n, double size, double *x);

/* The value at a coded place. */
double ascent_value(const struct ascent_factor *factor, double x);

/* The nearest number with so many significant decimal digits, as it is written with them. */
double ascent_round(double value, int digits);

#endif
