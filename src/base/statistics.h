/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean, spread and extremes of numbers.
 */
#ifndef BASE_STATISTICS_H
#define BASE_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

struct statistics {
    int64_t n;
    double mean;      /* NaN when n is 0 */
    double deviation; /* sample standard deviation, with n − 1; 0 when n is below 2 */
    double least, most;
};

/* Goes over the numbers twice, so that a large mean costs the deviation nothing. The mean lies
 * between the extremes: equal numbers have exactly their value as mean and 0 as deviation. */
struct statistics statistics_of(const double *values, int64_t n);

/* Whether all numbers are equal; true for none. */
bool statistics_flat(const double *values, int64_t n);

#endif
