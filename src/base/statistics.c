/* SPDX-License-Identifier: Apache-2.0 */
#include "base/statistics.h"

#include <math.h>

/* The mean of equal numbers may differ from them in the last bit when it is a sum divided. */
static double mean_of(const double *values, int64_t n, double least, double most) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += values[i];
    const double mean = sum / (double)n;
    return mean < least ? least : mean > most ? most : mean;
}

struct statistics statistics_of(const double *values, int64_t n) {
    struct statistics s = {.n = n, .mean = (double)NAN, .least = (double)NAN, .most = (double)NAN};
    double squares = 0;
    if (n == 0)
        return s;
    s.least = s.most = values[0];
    for (int64_t i = 1; i < n; i++) {
        s.least = values[i] < s.least ? values[i] : s.least;
        s.most = values[i] > s.most ? values[i] : s.most;
    }
    s.mean = mean_of(values, n, s.least, s.most);
    for (int64_t i = 0; i < n; i++)
        squares += (values[i] - s.mean) * (values[i] - s.mean);
    s.deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
    return s;
}

bool statistics_flat(const double *values, int64_t n) {
    for (int64_t i = 1; i < n; i++)
        if (values[i] != values[0])
            return false;
    return true;
}
