/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep/ascent.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void ascent_step(const double *b, int n, double size, double *x) {
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(b[i]));
    for (int i = 0; i < n; i++)
        x[i] = most > 0 ? size * b[i] / most : 0;
}

double ascent_value(const struct ascent_factor *factor, double x) {
    const double end = x > 0 ? factor->high : factor->low;
    return factor->logarithmic ? factor->centre * pow(end / factor->centre, fabs(x))
                               : factor->centre + fabs(x) * (end - factor->centre);
}

double ascent_round(double value, int digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*e", digits - 1, value);
    return strtod(text, NULL);
}
